"""The scores file: one output row per input row, in input order.

Shapes: N input rows, S_t target signals, H horizons, Q quantiles.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from infra.backtest.figures import number
from infra.backtest.raised import Alarm, Raised
from schemas.alert import Alert, Change
from schemas.alerting import Severity
from schemas.horizon import name_of
from schemas.layout import Layout
from schemas.observation import Bool, Int64, Status
from schemas.prediction import Predictions

_PLAIN = re.compile(r"[^A-Za-z0-9_]")
_NO_TIME = np.datetime64("NaT", "ms")
_DAY_MS = 86_400_000
_ROWS = 16_384
"""Rows written at once."""
_TYPES = {
    "entity": pa.string(),
    "time": pa.timestamp("ms", "UTC"),
    "status": pa.string(),
    "alert": pa.bool_(),
    "severity": pa.string(),
    "state": pa.string(),
}
"""Of the columns that are no float64."""


def signal_map(names: Sequence[str]) -> dict[str, str]:
    """Signal -> its name in columns: other characters become ``_``; a clash gets a number, never a name that fits."""
    mapped = {name: _PLAIN.sub("_", name) for name in names}
    taken = {name for name, plain in mapped.items() if name == plain}
    for name, plain in mapped.items():
        if name != plain:
            numbered = (f"{plain}_{n}" for n in range(2, len(names) + 2))
            mapped[name] = next(each for each in (plain, *numbered) if each not in taken)
            taken.add(mapped[name])
    return mapped


def per_entity_day(count: int, table: "ScoresTable", rows_n: Int64) -> float | None:
    """A number of things over the days that entities were watched, in some rows; None where that is no time."""
    times = pd.Series(table.time_ms[rows_n]).groupby(table.entity[rows_n])
    days = float(((times.max() - times.min()) / _DAY_MS).sum())
    return number(count / days) if days > 0 else None


class ScoresTable:
    """Collects predictions batch by batch; rows arrive in event-time order and leave in input order.

    Args:
        layout: the columns.
        order: input row of each streamed position, [N]: a batch's offsets are positions.
        timed: input rows whose time could be read, [N]; the others have none here, only a place in the stream.
    """

    def __init__(self, layout: Layout, order: Int64, timed: Bool) -> None:
        task, n_rows = layout.forecast, len(order)
        self.layout = layout
        self.timed = timed
        self.entity = np.full(n_rows, "", dtype=object)
        self.time_ms = np.zeros(n_rows, dtype=np.int64)
        self.status = np.full(n_rows, Status.INVALID, dtype=np.uint8)
        self.anomaly, self.anomaly_head, self.probability = np.zeros(n_rows), np.zeros(n_rows), np.zeros(n_rows)
        self.alert = np.zeros(n_rows, dtype=np.bool_)
        self.severity = np.full(n_rows, None, dtype=object)
        self.values = np.full((n_rows, layout.n_targets), np.nan)
        self.forecast = np.full((n_rows, layout.n_targets, len(task.horizons), len(task.quantiles)), np.nan)
        rules = [rule.name for rule in layout.monitor.rules]
        self.ruled = [task for task in layout.states if task.target]
        self._rules = [rules.index(task.target.rule) for task in self.ruled if task.target]
        self.rules = np.full((n_rows, len(self._rules)), np.nan)
        self.states = [np.zeros((n_rows, len(names)), dtype=np.float32) for names in layout.classes.values()]
        self.order = order
        self.replacing = np.zeros(n_rows, dtype=np.bool_)
        """Which rows took the place of values that their entity had at the same time."""
        self.guarded: Counter[str] = Counter()
        self.versions: Counter[int] = Counter()
        """Rows that each model version answered."""
        self.opened: dict[tuple[str, str], list[int]] = {}
        """Rows at which alerts opened, in stream order, by task (or rule) and kind."""
        self.raised = Raised(layout)

    def add(self, predictions: Predictions, alerts: Sequence[Alert]) -> None:
        """Place one batch's rows."""
        batch, targets = predictions.batch, self.layout.n_targets
        rows = self.order[batch.offset]
        ok = predictions.status == Status.OK
        self.entity[rows] = batch.entity
        self.time_ms[rows] = batch.time_ms
        self.status[rows] = predictions.status
        self.replacing[rows] = predictions.replaced
        self.anomaly[rows] = np.where(ok, predictions.anomaly, 0.0)
        self.anomaly_head[rows] = np.where(ok, predictions.anomaly_head, 0.0)
        self.probability[rows] = np.where(ok, predictions.probability, 0.0)
        self.values[rows] = np.where(ok[:, None], batch.values[:, :targets], np.nan)
        self.forecast[rows] = predictions.forecast
        self.rules[rows] = predictions.rules[:, self._rules]
        for state, probability in zip(self.states, predictions.states, strict=True):
            state[rows] = probability
        self.guarded.update(predictions.guarded)
        self.versions.update(predictions.version[ok].tolist())
        for alert in alerts:
            row = int(self.order[alert.offset])
            alarm = self.raised.add(alert, row)
            if alarm is not None:
                self._mark(alarm)
            if alert.change is Change.OPENED:
                self.opened.setdefault((alert.task, alert.kind), []).append(row)

    def write(self, path: Path) -> None:
        """Write Parquet, some rows at a time: many horizons make many columns.

        Raises:
            OSError: the file cannot be written.
        """
        schema = pa.schema([(name, _TYPES.get(name, pa.float64())) for name in self.frame(slice(0)).columns])
        with parquet.ParquetWriter(path, schema) as writer:
            for start in range(0, len(self.entity), _ROWS):
                frame = self.frame(slice(start, start + _ROWS))
                writer.write_table(pa.Table.from_pandas(frame, schema, preserve_index=False))

    def frame(self, rows: slice = slice(None)) -> pd.DataFrame:
        """The table, or some of its rows, as the contract names its columns."""
        time_ms = self.time_ms[rows].astype("datetime64[ms]")
        columns: dict[str, object] = {
            "entity": self.entity[rows],
            "time": pd.DatetimeIndex(np.where(self.timed[rows], time_ms, _NO_TIME)).tz_localize("UTC"),
            "status": np.array([status.name.lower() for status in Status], dtype=object)[self.status[rows]],
            "anomaly": self.anomaly[rows],
            "alert": self.alert[rows],
            "severity": self.severity[rows],
        }
        columns |= self._state_columns(rows)
        columns |= self._forecast_columns(rows)
        return pd.DataFrame(columns)

    def _mark(self, alarm: Alarm) -> None:
        """A row shows the alarms of its own entity: that a feed stopped is told by rows of others, which are well."""
        row = alarm.row
        if alarm.entity != self.entity[row]:
            return
        self.alert[row] = True
        if self.severity[row] is None or alarm.severity.rank > Severity(self.severity[row]).rank:
            self.severity[row] = alarm.severity.value

    def _state_columns(self, rows: slice) -> dict[str, object]:
        found: dict[str, object] = {"state": np.full(len(self.entity[rows]), None, dtype=object)}
        states = [state[rows] for state in self.states]
        for index, (task, probability) in enumerate(zip(self.layout.states, states, strict=False)):
            if index == 0:
                likely = np.array(task.classes, dtype=object)[probability.argmax(axis=1)]
                found["state"] = np.where(probability.any(axis=1), likely, None)
            for column, name in enumerate(task.classes):
                found[f"state.{task.name}.{name}"] = probability[:, column]
        for task, probability in zip(self.layout.events, states[len(self.layout.states) :], strict=True):
            found[f"event.{task.name}"] = probability[:, 1]
        return found

    def _forecast_columns(self, rows: slice) -> dict[str, object]:
        task = self.layout.forecast
        names = signal_map(self.layout.names[: self.layout.n_targets])
        return {
            f"forecast.{plain}.{horizon}.q{quantile:g}": self.forecast[rows, signal, h, q]
            for signal, plain in enumerate(names.values())
            for h, horizon in enumerate(map(name_of, task.horizons))
            for q, quantile in enumerate(task.quantiles)
        }
