"""What a backtest saw and said of single entities, as pictures: series, forecast bands, score, alerts, labels.

N rows of an entity, in event time.
"""

from dataclasses import dataclass
from io import StringIO
from typing import Any

import numpy as np

from infra.backtest.table import ScoresTable
from schemas.observation import Bool, Float64, Int64, Status

_ENTITIES, _SIGNALS, _ROWS = 4, 3, 1500
"""Most that is shown: entities, signals of each, and rows in a stretch."""
_COLOURS = {"info": "tab:cyan", "warning": "tab:orange", "critical": "tab:red"}
_STYLE: dict[Any, Any] = {
    "text.parse_math": False,
    "svg.hashsalt": "bellwether",
    "font.size": 8,
    "figure.constrained_layout.use": True,
}
"""A signal may be named `$`; the same report is the same bytes."""


@dataclass(frozen=True, slots=True)
class Chart:
    """One entity's picture.

    Attributes:
        title: the entity and the stretch that is shown.
        svg: an element for an HTML page.
    """

    title: str
    svg: str


def charts(table: ScoresTable, label: Float64 | None) -> list[Chart]:
    """Of the entities with most alerts (then labels, then rows), each where it had most of them."""
    stream = table.order[table.status[table.order] == Status.OK]
    names, place = np.unique(table.entity[stream].astype(str), return_inverse=True)
    labelled = np.zeros(len(table.entity)) if label is None else np.nan_to_num(label)
    counts = [np.bincount(place, weights, len(names)) for weights in (table.alert[stream], labelled[stream], None)]
    chosen = np.lexsort([-count for count in reversed(counts)])[:_ENTITIES]
    return [_chart(str(names[each]), stream[place == each], table, labelled > 0) for each in chosen.tolist()]


def _chart(name: str, rows_n: Int64, table: ScoresTable, labelled: Bool) -> Chart:
    from matplotlib import rc_context

    shown_n = _eventful(rows_n, table.alert[rows_n] + 0.5 * labelled[rows_n])
    first, last = (str(np.datetime64(int(table.time_ms[row]), "ms")).replace("T", " ")[:19] for row in shown_n[[0, -1]])
    with rc_context(_STYLE):
        svg = _drawn(shown_n, table, labelled)
    return Chart(f"{name}, {first} to {last} UTC, {len(shown_n):,} of {len(rows_n):,} rows", svg)


def _eventful(rows_n: Int64, events_n: Float64) -> Int64:
    """The stretch of rows in which most happened."""
    if len(rows_n) <= _ROWS:
        return rows_n
    summed = np.concatenate([[0.0], np.cumsum(events_n)])
    first = int(np.argmax(summed[_ROWS:] - summed[:-_ROWS]))
    return rows_n[first : first + _ROWS]


def _drawn(rows_n: Int64, table: ScoresTable, labelled: Bool) -> str:
    from matplotlib.figure import Figure

    signals = _signals(table.values[rows_n])
    figure = Figure(figsize=(11.0, 1.5 * (len(signals) + 1)))
    axes = list(figure.subplots(len(signals) + 1, 1, sharex=True, squeeze=False)[:, 0])
    time_n = table.time_ms[rows_n].astype("datetime64[ms]")
    for axis, signal in zip(axes, signals, strict=False):
        _draw_signal(axis, time_n, rows_n, signal, table)
    axes[-1].plot(time_n, table.anomaly[rows_n], color="tab:purple", linewidth=0.8)
    axes[-1].set_ylabel("anomaly")
    for axis in axes:
        _mark(axis, time_n, labelled[rows_n], table.severity[rows_n])
    written = StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None})
    return "".join(written.getvalue().partition("<svg")[1:])


def _signals(value_nS: Float64) -> list[int]:
    """Those that came most often, in their own order."""
    seen_S = (~np.isnan(value_nS)).sum(0)
    often = [signal for signal in np.argsort(-seen_S, kind="stable")[:_SIGNALS].tolist() if seen_S[signal]]
    return sorted(often)


def _draw_signal(axis: Any, time_n: Any, rows_n: Int64, signal: int, table: ScoresTable) -> None:
    """What came, over the band that had been forecast one step before: between the outermost quantiles."""
    value_n, forecast_nQ = table.values[rows_n, signal], table.forecast[rows_n, signal, 0]
    axis.fill_between(time_n[1:], forecast_nQ[:-1, 0], forecast_nQ[:-1, -1], color="tab:blue", alpha=0.2, linewidth=0)
    there_n = ~np.isnan(value_n)
    axis.plot(time_n[there_n], value_n[there_n], color="black", linewidth=0.7, marker=".", markersize=1.5)
    axis.set_ylabel(table.layout.names[signal])


def _mark(axis: Any, time_n: Any, labelled_n: Bool, severity_n: Any) -> None:
    """Labelled stretches in grey, alerts as lines in their severity's colour."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], labelled_n.astype(np.int8), [0]])))
    for first, after in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        axis.axvspan(time_n[first], time_n[after - 1], color="grey", alpha=0.25, linewidth=1)
    for severity, colour in _COLOURS.items():
        for at in time_n[severity_n == severity]:
            axis.axvline(at, color=colour, linewidth=0.8)
