"""Outcomes: a CSV of what became of entities, and when that was known (entity, task, label, revealed_at)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ingest.events import read_times
from schemas.errors import InputError

_COLUMNS = ("entity", "task", "label", "revealed_at")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an entity. Nothing may be learned from it before `revealed_ms` (epoch milliseconds UTC)."""

    entity: str
    task: str
    value: bool
    revealed_ms: int


def read_outcomes(path: Path) -> list[Outcome]:
    """Read a file of outcomes, in its order. A row without a label (nobody knows) is left out.

    Raises:
        InputError: no such file, a column is missing, a label is neither 0 nor 1, or a time cannot be read.
    """
    import pandas as pd  # noqa: PLC0415

    try:
        table = pd.read_csv(path, dtype={"entity": str, "task": str})
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected a CSV of {', '.join(_COLUMNS)}, got {type(error).__name__}") from error
    for name in _COLUMNS:
        if name not in table.columns:
            raise InputError(f"{path}: expected a column {name!r}, got {list(table.columns)[:20]}")
    table = table[table["label"].notna()]
    labels = pd.to_numeric(table["label"], errors="coerce").to_numpy(np.float64)
    revealed_ms, timed = read_times(table["revealed_at"])
    named = (table["entity"].notna() & table["task"].notna()).to_numpy(bool)
    for what, sound in (
        ("an entity and a task", named),
        ("label 0 or 1", np.isin(labels, (0.0, 1.0))),
        ("revealed_at as ISO 8601 or epoch milliseconds", timed),
    ):
        if not sound.all():
            line = int(table.index[int(np.argmin(sound))]) + 2
            raise InputError(f"{path}: line {line}: expected {what}, got something else")
    columns = (table["entity"], table["task"], labels > 0, revealed_ms.tolist())
    return [Outcome(entity, task, bool(value), when) for entity, task, value, when in zip(*columns, strict=True)]
