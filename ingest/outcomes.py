"""Outcomes: a CSV of what became of entities, and when that was known (entity, task, label, revealed_at)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ingest.table import header, numbers, read, seen
from ingest.times import read_times
from schemas.errors import InputError

_COLUMNS = ("entity", "task", "label", "revealed_at")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an entity. Nothing may be learned from it before `revealed_ms` (epoch milliseconds UTC)."""

    entity: str
    task: str
    value: bool
    revealed_ms: int
    occurred_ms: int | None = None


def read_outcomes(path: Path) -> list[Outcome]:
    """Read a file of outcomes, in its order. A row without a label (nobody knows) is left out.

    Raises:
        InputError: no such file, a column is missing, a name is empty, a label is neither 0 nor 1, or a time cannot be
            read.
    """
    names = header(path)
    for name in _COLUMNS:
        if name not in names:
            raise InputError(f"{path}: expected a column {name!r}, got columns {names[:20]}")
    table = read(path, numeric=["label"], texts=["entity", "task"], others=["revealed_at"])
    labels, unreadable = numbers(table["label"])
    times = read_times(table["revealed_at"].to_pandas())
    entity, task = (table[name].fill_null("").to_pylist() for name in ("entity", "task"))
    told = unreadable | ~np.isnan(labels)
    for name, expected, sound in (
        ("entity", "a name", np.array(list(map(bool, entity)), np.bool_)),
        ("task", "a name", np.array(list(map(bool, task)), np.bool_)),
        ("label", "0, 1 or nothing", np.isin(labels, (0.0, 1.0))),
        ("revealed_at", "ISO 8601 or epoch milliseconds", times.timed),
    ):
        wrong = np.flatnonzero(told & ~sound)
        if len(wrong):
            row = int(wrong[0])
            raise InputError(f"{path}: row {row + 1}: {name}: got {seen(table[name], row)}; expected {expected}")
    return [Outcome(entity[row], task[row], bool(labels[row]), int(times.ms[row])) for row in np.flatnonzero(told)]
