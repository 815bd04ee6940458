"""Files as a source of batches: history through the same code that reads the stream.

Shapes: N rows, S signals.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from ingest.events import Events
from ingest.judge import LONGEST_ENTITY
from ingest.membership import Membership
from ingest.part import Wanted
from ingest.wide import read_events
from schemas.errors import InputError
from schemas.layout import Layout
from schemas.observation import Batch, Bool, DeadLetter, Float64, GlobalRow, Int64, Partition, Status
from schemas.protocols import Owner
from schemas.reasons import Reason

INPUT = Partition("input", 0)
"""The one partition of a backtest. Its offsets are positions in event-time order."""


class FileSource:
    """Implements `schemas.protocols.Source` over wide CSV and Parquet files, and recorded frames.

    Rows come by event time, stable by position, whatever the order of files. Every input row is answered: one
    without a readable time, an entity or a sound value has status INVALID and no values. Cells outside their
    signal's range, or no number, are masked. `Batch.offset` is the row's position in the stream; `order` leads from
    there to its number in input order.

    Args:
        files: .csv, .csv.gz, .parquet, or folders of them; folders of frames.
        layout: the monitor's columns; a file column of any scope counts for its row.
        batch_rows: rows in a batch; batches are cut by number alone, never by what rows hold.
        labelled: read the column `label` too, and ``label.<task>`` of state tasks that labels alone teach.

    Raises:
        InputError: a file cannot be read, or no column of any of them is a signal of the monitor.
    """

    def __init__(
        self, files: Sequence[Path], layout: Layout, batch_rows: int = 2_000, *, labelled: bool = False
    ) -> None:
        monitor = layout.monitor
        names = set(layout.names[layout.n_derived :])
        taught = {task.name: task.classes for task in layout.states if labelled and task.target is None}
        wanted = Wanted(monitor.entity, monitor.time, names, labelled, layout, taught)
        self.events = read_events(files, wanted)
        if not self.events.columns:
            got, expected = _some(self.events.others), _some(layout.names)
            raise InputError(
                f"{_some(map(str, files))}: got columns {got}; expected a signal of {monitor.monitor}: {expected}"
            )
        self._layout, self._batch_rows = layout, batch_rows
        self._values, self._faults = _checked(self.events, layout)
        entity = np.array([0 < len(name) <= LONGEST_ENTITY and "\x00" not in name for name in self.events.entity], bool)
        self._valid = self.events.timed & entity & ~np.isnan(self._values).all(axis=1)
        Membership(layout).fill(self.events.entity, self._values)
        self._values[~self._valid] = np.nan
        self._entity_sound = entity
        self.order = self.events.order()
        self.refused: Counter[str] = Counter()
        self.refused_signals: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self.events)

    @property
    def left_out(self) -> dict[str, str]:
        """Column that is not read -> why."""
        return dict.fromkeys(self.events.others, f"not a signal of {self._layout.monitor.monitor}")

    def batches(self, owner: Owner) -> Iterator[Batch | None]:
        """Yield every row once, in batches of `batch_rows`, whatever offset the owner names."""
        owner.adopt([INPUT])
        for start in range(0, len(self.order), self._batch_rows):
            yield self._batch(self.order[start : start + self._batch_rows], start)

    def _batch(self, rows: Int64, start: int) -> Batch:
        valid = self._valid[rows]
        return Batch(
            entity=[self.events.entity[row] for row in rows.tolist()],
            time_ms=self.events.time_ms[rows],
            values=self._values[rows],
            partition=np.zeros(len(rows), dtype=np.int64),
            offset=np.arange(start, start + len(rows)),
            status=np.where(valid, Status.OK, Status.INVALID).astype(np.uint8),
            masked=valid & self._faults[rows].any(axis=1),
            vectors={name: vector[rows] for name, vector in self.events.vectors.items()},
            partitions=(INPUT,),
            next_offsets=(start + len(rows),),
            dead_letters=tuple(
                letter for position, row in enumerate(rows.tolist(), start) for letter in self._letters(row, position)
            ),
        )

    def _letters(self, row: int, position: int) -> Iterator[DeadLetter]:
        if not self._valid[row]:
            yield DeadLetter(INPUT, position, self._reason(row), "expected a row with entity, time and a sound value")
        else:
            for column in np.flatnonzero(self._faults[row]).tolist():
                low, high = self._layout.signals[column].range
                detail = f"expected a number in [{low:g}, {high:g}]"
                yield DeadLetter(INPUT, position, self._fault(row, column), detail, self._layout.names[column])

    def _reason(self, row: int) -> Reason:
        if not self.events.timed[row]:
            return Reason.WRONG_CLOCK
        if not self._entity_sound[row]:
            return Reason.WRONG_ENTITY
        faults = np.flatnonzero(self._faults[row]).tolist()
        return self._fault(row, faults[0]) if faults else Reason.EMPTY

    def _fault(self, row: int, column: int) -> Reason:
        name = self._layout.names[column]
        unreadable = self.events.unreadable.get(name)
        if unreadable is not None and unreadable[row]:
            return Reason.WRONG_TYPE
        return Reason.NOT_FINITE if np.isinf(self.events.columns[name][row]) else Reason.IMPLAUSIBLE

    def dead_letter(self, letters: Sequence[DeadLetter]) -> None:
        """Count them by reason, and by signal where one is to blame: the rows themselves are in the user's files."""
        self.refused.update(letter.reason for letter in letters)
        self.refused_signals.update(letter.signal for letter in letters if letter.signal)

    def globals(self) -> Sequence[GlobalRow]:
        """None: global columns stand in the rows themselves."""
        return ()

    def close(self) -> None:
        """Nothing to close."""


def _some(names: Iterable[str]) -> str:
    """The first ten."""
    first = list(islice(names, 11))
    return ", ".join([*first[:10], "..."] if len(first) > 10 else first) or "none"


def _checked(events: Events, layout: Layout) -> tuple[Float64, Bool]:
    """Values with implausible ones masked, and where that was, [N, S] both."""
    missing = np.full(len(events), np.nan)
    values = np.column_stack([events.columns.get(name, missing) for name in layout.names])
    unreadable = np.column_stack([events.unreadable.get(name, np.zeros(len(events), bool)) for name in layout.names])
    low, high = np.array([signal.range for signal in layout.signals]).T
    faults = unreadable | (~np.isnan(values) & ~((values >= low) & (values <= high)))
    return np.where(faults, np.nan, values), faults
