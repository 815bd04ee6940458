"""An alert's entity up to the alert's row, as scoring admitted it: from the topic it came from, or from files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from infra.assembly import utc_now
from ingest.files import FileSource
from ingest.lookback import rows_before
from schemas.errors import InputError
from schemas.layout import Layout
from schemas.observation import Batch, Field, Float64, Int64, Partition, Status
from scorer.admission import Admission
from scorer.globals import GlobalTable
from scorer.waves import waves_of

Record = Mapping[str, Any]
_LEAST_ROWS = 2


@dataclass(frozen=True, slots=True)
class EntityRows:
    """Rows in time order, the alert's own last.

    Attributes:
        time_ms: [R].
        values: raw units, NaN = missing, [R, S].
        vectors: as in `Batch`, of the same rows.
    """

    time_ms: Int64
    values: Float64
    vectors: Mapping[str, Field]

    def __getitem__(self, rows: Any) -> "EntityRows":
        vectors = {name: vector[rows] for name, vector in self.vectors.items()}
        return EntityRows(self.time_ms[rows], self.values[rows], vectors)


def rows_of(layout: Layout, record: Record, origin: Record, rows: int, files: Sequence[Path]) -> EntityRows:
    """The entity's last rows, two or more.

    Args:
        layout: the monitor's.
        record: the alert's row.
        origin: that of the transition which its score is of.
        rows: how many at most.
        files: read them from there; none: from the topic.

    Raises:
        InputError: they are no longer there, or too few.
        StackError: the broker cannot be read.
    """
    table = GlobalTable(layout)
    if files:
        found = _from_files(layout, files, record["entity"], origin["event_time"])
    else:
        partition = Partition(record["topic"], origin["partition"])
        batch, known = rows_before(layout, utc_now, partition, origin["offset"], record["entity"], rows)
        table.add(known)
        found = _admitted(layout, batch)
    if len(found.time_ms) < _LEAST_ROWS:
        raise InputError(
            f"alert {record['id']}: got {len(found.time_ms)} rows up to it; expected {_LEAST_ROWS} or more"
        )
    return replace(found, values=table.join(found.time_ms, found.values))[-rows:]


def _from_files(layout: Layout, files: Sequence[Path], entity: str, until: datetime) -> EntityRows:
    until_ms = round(until.timestamp() * 1_000)
    found = []
    for batch in FileSource(files, layout).batches(_Nobody()):
        assert batch is not None
        mine = (np.array(batch.entity) == entity) & (batch.time_ms <= until_ms) & (batch.status == Status.OK)
        found.append(_rows(batch)[mine])
    time_ms = np.concatenate([each.time_ms for each in found])
    if not len(time_ms) or time_ms[-1] != until_ms:
        when = until.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        raise InputError(f"--input: got no row of the alert's entity at {when}; expected the alert's own")
    vectors = {name: np.concatenate([each.vectors[name] for each in found]) for name in layout.vectors}
    return EntityRows(time_ms, np.concatenate([each.values for each in found]), vectors)


class _Nobody:
    """Owns nothing: files are read from their beginning."""

    def adopt(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        return dict.fromkeys(partitions, 0)

    def release(self, partitions: Sequence[Partition]) -> None:
        pass


def _admitted(layout: Layout, batch: Batch) -> EntityRows:
    """What scoring would have let through, in event time where rows may wait for each other."""
    order = np.arange(len(batch))
    if layout.monitor.lateness:
        order = np.argsort(batch.time_ms, kind="stable")
    rows, status = _rows(batch)[order], batch.status[order]
    admission = Admission(len(layout.signals), layout.monitor.conflicts)
    entity = np.zeros(len(batch), dtype=np.int64)
    found = admission.admit(waves_of(entity), entity, rows.time_ms, rows.values, status, admission.initial())
    return replace(rows, values=found.values)[found.status == Status.OK]


def _rows(batch: Batch) -> EntityRows:
    return EntityRows(batch.time_ms, batch.values, batch.vectors)
