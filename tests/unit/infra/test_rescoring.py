"""What of a topic is scored again."""

import pytest

from infra.rescoring.topic import ScoredRows
from schemas.errors import InputError
from schemas.protocols import Position
from scorer.shard import BEGINNING
from tests.laws.ward import TOPIC, layout


class Blank:
    """An owner whose snapshots were all deleted meanwhile."""

    def adopt(self, partitions):
        return dict.fromkeys(partitions, BEGINNING)


def test_rows_after_a_snapshot_that_is_gone_are_not_scored_from_nothing() -> None:
    begins = {TOPIC: Position(0, 500, (("gone", 500),), (), logged=600)}
    with pytest.raises(InputError, match="got no snapshot of offset 500 that can be read"):
        ScoredRows(layout(), begins).batches(Blank())


def test_from_the_first_row_on_no_snapshot_is_needed() -> None:
    begins = {TOPIC: Position(0, 0, (), (), logged=600)}
    assert ScoredRows(layout(), begins).batches(Blank()) is not None
