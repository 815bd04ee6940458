"""Replay: silence before the committed offset, and the versions that the swap log names."""

import numpy as np
import pytest

from schemas.protocols import Position
from scorer.timeline import Timeline


def test_replayed_rows_are_scored_by_the_versions_that_served_them() -> None:
    timeline = Timeline.resume(Position(epoch=3, committed=30, snapshots=(), swaps=((0, 1), (10, 2), (20, 5))))
    served = timeline.served(np.array([0, 9, 10, 19, 20, 29, 30, 31]), version=7)
    assert served.tolist() == [1, 1, 2, 2, 5, 5, 7, 7]


def test_a_partition_never_committed_replays_nothing() -> None:
    timeline = Timeline.resume(Position(epoch=1, committed=-2, snapshots=(), swaps=()))
    assert (timeline.next_offset, timeline.served(np.array([0, 1]), version=4).tolist()) == (0, [4, 4])


@pytest.mark.parametrize(
    ("committed", "logged", "served"),
    [(4, 0, [1, 1, 2, 2, 9, 9]), (0, 4, [1, 1, 2, 2, 9, 9]), (0, 0, [9, 9, 9, 9, 9, 9])],
)
def test_the_log_of_swaps_says_which_version_scores_as_far_as_it_goes(committed, logged, served):
    timeline = Timeline.resume(Position(1, committed, (), ((0, 1), (2, 2)), logged))
    assert timeline.served(np.arange(6), 9).tolist() == served
