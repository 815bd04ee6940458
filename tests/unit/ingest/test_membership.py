"""Entities that a relation names are told their group, wherever their rows come from."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from ingest.decode import Decoder
from ingest.files import FileSource
from ingest.record import PlainRecord
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.observation import Partition


@pytest.fixture
def desk() -> Layout:
    line = {"name": "line", "range": [0, 1]}
    return Layout(
        Monitor.model_validate(
            {
                "monitor": "desk",
                "topics": {"observations": "t"},
                "modalities": [
                    {"name": "bars", "signals": [{"name": "close"}]},
                    {"name": "fixed", "scope": "static", "signals": [line]},
                ],
                "tasks": [{"name": "next", "kind": "forecast"}, {"name": "odd", "kind": "anomaly"}],
                "knowledge": {
                    "relations": [
                        {"name": "line", "by": "line", "entities": {"north": ["a", "b"], "south": ["c"]}},
                    ]
                },
            }
        )
    )


class Reader:
    def adopt(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        return dict.fromkeys(partitions, -2)

    def release(self, partitions: Sequence[Partition]) -> None:
        """Files are never taken away."""


def test_a_named_entity_gets_its_group_unless_its_row_says_another(desk: Layout, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("entity,time,close,line\na,1000,1,\nc,2000,1,\nc,3000,1,0\nd,4000,1,\n")
    (batch,) = FileSource([file], desk).batches(Reader())
    assert batch is not None
    np.testing.assert_array_equal(batch.values[:, desk.index["line"]], [0.0, 1.0, 0.0, np.nan])


def test_a_record_of_a_named_entity_gets_its_group_too(desk: Layout) -> None:
    record = PlainRecord(b"b", b'{"entity": "b", "time": 1772366340000, "close": 2}', 0)
    batch = Decoder(desk, lambda: datetime(2026, 3, 2, tzinfo=UTC)).decode({Partition("t", 0): [record]})
    np.testing.assert_array_equal(batch.values, [[2.0, 0.0]])
