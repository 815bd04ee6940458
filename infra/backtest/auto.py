"""The monitor of `--auto`: made of column names and types alone, never of how large a value is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from ingest.part import LABEL
from ingest.table import Kind, kinds
from ingest.wide import expand, no_row
from schemas.errors import InputError
from schemas.horizon import Horizon
from schemas.modality import Modality
from schemas.monitor import Monitor
from schemas.names import Name
from schemas.signal import Signal
from schemas.task import Task, TaskKind
from schemas.topics import Topics

_REASONS = {
    Kind.EMPTY: "empty in every file",
    Kind.OTHER: "its cells are not numbers",
    Kind.NAMELESS: "it has no name",
}
_UNNAMEABLE = "a signal's name has 1 to 120 characters and no control characters"


@dataclass(frozen=True, slots=True)
class AutoColumns:
    """Columns but those of entity, time and label. `left_out`: name -> why it is no signal."""

    signals: tuple[str, ...]
    left_out: Mapping[str, str]


def auto_columns(files: Sequence[Path], entity: str = "entity", time: str = "time") -> AutoColumns:
    """Signals are the columns that hold numbers in at least one file (`ingest.table.kinds` says what that means).

    Args:
        files: tables, and folders of them.
        entity: the column of names, which is none.
        time: that of event times.

    Raises:
        InputError: a file is missing or no table, or there is no row, or no column of numbers or of that time.
    """
    found: dict[str, Kind] = {}
    held: set[Kind] = set()
    for path in expand(files):
        columns = kinds(path)
        if time not in columns:
            got = [*columns][:20]
            raise InputError(
                f"{path}: expected a column {time!r} of event times, got columns {got}; --time names another"
            )
        held.update(columns.values())
        for name, kind in columns.items():
            if name not in {entity, time, LABEL}:
                found[name] = kind if found.get(name, Kind.EMPTY) is Kind.EMPTY or kind is Kind.NUMBERS else found[name]
    if held <= {Kind.EMPTY, Kind.NAMELESS}:
        raise no_row(files)
    numeric = [name for name, kind in found.items() if kind is Kind.NUMBERS]
    signals = tuple(name for name in numeric if _nameable(name))
    left_out = {name: _REASONS.get(kind, _UNNAMEABLE) for name, kind in found.items() if name not in signals}
    if not signals:
        given = ", ".join(map(str, files))
        seen = "; ".join(f"{name!r}: {reason}" for name, reason in list(left_out.items())[:10]) or "no other"
        raise InputError(f"{given}: got no numeric column ({seen}); expected one besides {entity}, {time} and label")
    return AutoColumns(signals, left_out)


def auto_monitor(
    signals: Sequence[str], horizons: tuple[Horizon, ...] = (1,), entity: str = "entity", time: str = "time"
) -> Monitor:
    """One modality of all signals, a forecast and an anomaly task."""
    return Monitor(
        monitor="auto",
        entity=entity,
        time=time,
        topics=Topics(observations="auto"),
        modalities=(Modality(name="signals", signals=tuple(Signal(name=name) for name in signals)),),
        tasks=(
            Task(name="forecast", kind=TaskKind.FORECAST, horizons=horizons),
            Task(name="anomaly", kind=TaskKind.ANOMALY),
        ),
    )


def _nameable(name: str) -> bool:
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError:
        return False
    return True
