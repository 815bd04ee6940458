"""Outcomes: a CSV of what became of entities, and when that was known.

Columns: entity, task, label, revealed_at, and perhaps occurred_at.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ingest.table import header, numbers, read, seen
from ingest.times import read_times
from schemas.errors import InputError

_COLUMNS = ("entity", "task", "label", "revealed_at")
_OCCURRED = "occurred_at"
_TIME = "ISO 8601 or epoch milliseconds"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an entity. Nothing may be learned from it before `revealed_ms` (epoch milliseconds UTC).

    `occurred_ms` is when it happened, or until when it is known not to have; None: that was not told.
    """

    entity: str
    task: str
    value: bool
    revealed_ms: int
    occurred_ms: int | None = None

    @property
    def known_until_ms(self) -> int:
        """When it happened, or until when it is known not to have: where that was not told, when it was revealed."""
        return self.revealed_ms if self.occurred_ms is None else self.occurred_ms


def read_outcomes(path: Path) -> list[Outcome]:
    """Read a file of outcomes, in its order. A row without a label (nobody knows) is left out.

    Raises:
        InputError: no such file, a column is missing, a name is empty, a label is neither 0 nor 1, a time cannot be
            read, or something was revealed before it happened.
    """
    names = header(path)
    for name in _COLUMNS:
        if name not in names:
            raise InputError(f"{path}: expected a column {name!r}, got columns {names[:20]}")
    dated = [_OCCURRED] if _OCCURRED in names else []
    table = read(path, numeric=["label"], texts=["entity", "task"], others=["revealed_at", *dated])
    labels, unreadable = numbers(table["label"])
    revealed = read_times(table["revealed_at"].to_pandas(), f"{path}: revealed_at")
    entity, task = (table[name].fill_null("").to_pylist() for name in ("entity", "task"))
    told = unreadable | ~np.isnan(labels)
    checks = [
        ("entity", "a name", np.array(list(map(bool, entity)), np.bool_)),
        ("task", "a name", np.array(list(map(bool, task)), np.bool_)),
        ("label", "0, 1 or nothing", np.isin(labels, (0.0, 1.0))),
        ("revealed_at", _TIME, revealed.timed),
    ]
    occurred = read_times(table[_OCCURRED].to_pandas(), f"{path}: {_OCCURRED}") if dated else None
    if occurred is not None:
        empty = np.array([cell is None or cell == "" for cell in table[_OCCURRED].to_pylist()], np.bool_)
        checks.append((_OCCURRED, f"{_TIME}, or nothing", empty | occurred.timed))
        checks.append((_OCCURRED, "no later than revealed_at", ~occurred.timed | (occurred.ms <= revealed.ms)))
    for name, expected, sound in checks:
        wrong = np.flatnonzero(told & ~sound)
        if len(wrong):
            row = int(wrong[0])
            raise InputError(f"{path}: row {row + 1}: {name}: got {seen(table[name], row)}; expected {expected}")
    return [
        Outcome(
            entity[row],
            task[row],
            bool(labels[row]),
            int(revealed.ms[row]),
            int(occurred.ms[row]) if occurred is not None and occurred.timed[row] else None,
        )
        for row in np.flatnonzero(told)
    ]
