"""The monitor of `--auto`: made of column names and types alone, never of a value."""

from collections.abc import Sequence

from schemas.errors import InputError
from schemas.horizon import Horizon
from schemas.monitor import Modality, Monitor, Signal, Task, TaskKind, Topics


def auto_monitor(signals: Sequence[str], horizons: tuple[Horizon, ...] = (1,)) -> Monitor:
    """One modality of all numeric columns, a forecast and an anomaly task."""
    if not signals:
        raise InputError("input: got no numeric column; expected at least one besides entity, time and label")
    return Monitor(
        monitor="auto",
        topics=Topics(observations="auto"),
        modalities=(Modality(name="signals", signals=tuple(Signal(name=name) for name in signals)),),
        tasks=(
            Task(name="forecast", kind=TaskKind.FORECAST, horizons=horizons),
            Task(name="anomaly", kind=TaskKind.ANOMALY),
        ),
    )
