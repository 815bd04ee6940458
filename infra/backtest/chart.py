"""What a backtest saw and said of single entities, as pictures: series, forecast bands, score, alerts, labels.

N rows of an entity, in event time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

import numpy as np

from infra.backtest.raised import Alarm
from infra.backtest.table import ScoresTable
from schemas.alerting import Severity
from schemas.observation import Bool, Float64, Int64, Status
from schemas.silence import TASK

_ENTITIES, _SIGNALS, _ROWS = 4, 3, 1500
"""Most that is shown: entities, signals of each, and rows in a stretch."""
_COLOURS = {Severity.INFO: "tab:cyan", Severity.WARNING: "tab:orange", Severity.CRITICAL: "tab:red"}
_STYLE: dict[Any, Any] = {
    "text.parse_math": False,
    "svg.hashsalt": "bellwether",
    "font.size": 8,
    "figure.constrained_layout.use": True,
}
"""A signal may be named `$`; the same report is the same bytes."""


@dataclass(frozen=True, slots=True)
class Charts:
    """Pictures of some of the `entities` that were scored."""

    shown: list["Chart"]
    entities: int


@dataclass(frozen=True, slots=True)
class Chart:
    """One entity's picture.

    Attributes:
        title: the entity, the stretch that is shown, and how many of its rows and signals are.
        svg: an element for an HTML page.
    """

    title: str
    svg: str


def charts(table: ScoresTable, label: Float64 | None) -> Charts:
    """Of the entities with most alarms (then labels, then rows), each where it had most of them."""
    stream = table.order[table.status[table.order] == Status.OK]
    names, place = np.unique(table.entity[stream].astype(str), return_inverse=True)
    labelled = np.zeros(len(table.entity)) if label is None else np.nan_to_num(label)
    alarms: dict[str, list[Alarm]] = {name: [] for name in names.tolist()}
    for alarm in table.raised.alarms:
        alarms[alarm.entity].append(alarm)
    told = np.array([len(each) for each in alarms.values()])
    counts = [told, *(np.bincount(place, weights, len(names)) for weights in (labelled[stream], None))]
    chosen = np.lexsort([-count for count in reversed(counts)])[:_ENTITIES].tolist()
    shown = [_chart(stream[place == each], alarms[str(names[each])], table, labelled > 0) for each in chosen]
    return Charts(shown, len(names))


def _chart(rows_n: Int64, alarms: Sequence[Alarm], table: ScoresTable, labelled: Bool) -> Chart:
    from matplotlib import rc_context

    at = np.searchsorted(table.time_ms[rows_n], [alarm.time_ms for alarm in alarms], side="right") - 1
    shown_n = _eventful(rows_n, np.bincount(np.maximum(at, 0), minlength=len(rows_n)) + 0.5 * labelled[rows_n])
    first, last = (str(np.datetime64(int(table.time_ms[row]), "ms")).replace("T", " ")[:19] for row in shown_n[[0, -1]])
    signals, known = _signals(table.values[shown_n])
    with rc_context(_STYLE):
        svg = _drawn(shown_n, signals, _within(alarms, shown_n, rows_n, table), table, labelled)
    some = f", {len(signals)} of {known} signals" if len(signals) < known else ""
    stretch = f"{first} to {last} UTC, {len(shown_n):,} of {len(rows_n):,} rows"
    return Chart(f"{table.entity[rows_n[0]]}, {stretch}{some}", svg)


def _within(alarms: Sequence[Alarm], shown_n: Int64, rows_n: Int64, table: ScoresTable) -> list[Alarm]:
    """Those of the stretch; of one that ends with the entity's last row, also what came after: its feed stopped."""
    first_ms, last_ms = table.time_ms[shown_n[[0, -1]]].tolist()
    lasts = shown_n[-1] == rows_n[-1]
    return [alarm for alarm in alarms if first_ms <= alarm.time_ms and (lasts or alarm.time_ms <= last_ms)]


def _eventful(rows_n: Int64, events_n: Float64) -> Int64:
    """The stretch of rows in which most happened."""
    if len(rows_n) <= _ROWS:
        return rows_n
    summed = np.concatenate([[0.0], np.cumsum(events_n)])
    first = int(np.argmax(summed[_ROWS:] - summed[:-_ROWS]))
    return rows_n[first : first + _ROWS]


def _drawn(rows_n: Int64, signals: Sequence[int], alarms: Sequence[Alarm], table: ScoresTable, labelled: Bool) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 1.5 * (len(signals) + 1)))
    axes = list(figure.subplots(len(signals) + 1, 1, sharex=True, squeeze=False)[:, 0])
    time_n = table.time_ms[rows_n].astype("datetime64[ms]")
    for axis, signal in zip(axes, signals, strict=False):
        _draw_signal(axis, time_n, rows_n, signal, table)
    axes[-1].plot(time_n, table.anomaly[rows_n], color="tab:purple", linewidth=0.8)
    axes[-1].set_ylabel("anomaly")
    for axis in axes:
        _mark(axis, time_n, labelled[rows_n], alarms)
    written = StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None})
    return "".join(written.getvalue().partition("<svg")[1:])


def _signals(value_nS: Float64) -> tuple[list[int], int]:
    """Those that came most often, in their own order; and how many came at all."""
    seen_S = (~np.isnan(value_nS)).sum(0)
    often = [signal for signal in np.argsort(-seen_S, kind="stable")[:_SIGNALS].tolist() if seen_S[signal]]
    return sorted(often), int((seen_S > 0).sum())


def _draw_signal(axis: Any, time_n: Any, rows_n: Int64, signal: int, table: ScoresTable) -> None:
    """What came, over the band that had been forecast one step before: between the outermost quantiles."""
    value_n, forecast_nQ = table.values[rows_n, signal], table.forecast[rows_n, signal, 0]
    axis.fill_between(time_n[1:], forecast_nQ[:-1, 0], forecast_nQ[:-1, -1], color="tab:blue", alpha=0.2, linewidth=0)
    there_n = ~np.isnan(value_n)
    axis.plot(time_n[there_n], value_n[there_n], color="black", linewidth=0.7, marker=".", markersize=1.5)
    axis.set_ylabel(table.layout.names[signal])


def _mark(axis: Any, time_n: Any, labelled_n: Bool, alarms: Sequence[Alarm]) -> None:
    """Labelled stretches in grey, alarms as lines in their severity's colour, dashed where a feed failed."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], labelled_n.astype(np.int8), [0]])))
    for first, after in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        axis.axvspan(time_n[first], time_n[after - 1], color="grey", alpha=0.25, linewidth=1)
    for alarm in alarms:
        at, style = np.datetime64(alarm.time_ms, "ms"), "--" if alarm.source == TASK else "-"
        axis.axvline(at, color=_COLOURS[alarm.severity], linewidth=0.8, linestyle=style)
