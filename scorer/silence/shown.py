"""What an entity's rows show of its own feed: a gap, frozen values, a buffer played again, a wrong clock or unit.

N rows of the batch, n rows of distinct entities, S target signals, K kinds; state is gathered, [n, ...].
"""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np

from schemas.alert import Alert, Change
from schemas.duration import short_form
from schemas.layout import Layout
from schemas.observation import Bool, Field, Int64
from schemas.prediction import Predictions
from schemas.silence import TOLD_BY_ROWS, SilenceKind, SilenceSettings
from scorer.silence import clocks, repeats
from scorer.silence.clocks import NEVER, Times
from scorer.silence.pulse import State
from scorer.silence.report import Report, Seen
from scorer.silence.still import Still
from scorer.silence.still import initial as initial_still
from scorer.silence.units import Units

_MILLISECOND = timedelta(milliseconds=1)


class Shown:
    """Looks at rows.

    Args:
        layout: of the monitor.
        settings: its `silence`.
        report: makes the alerts.
    """

    def __init__(self, layout: Layout, settings: SilenceSettings, report: Report) -> None:
        self._settings, self._report = settings, report
        self._n_signals = layout.n_targets
        self._resolve_after = layout.monitor.alerts.resolve_after
        self._units = units_of(layout)

    def look(
        self, state: State, rows: Int64, late_nS: Bool, still: Still, times: Times, predictions: Predictions
    ) -> list[tuple[int, Alert]]:
        """Alerts of some of the batch's rows, and where their entities stand after.

        Args:
            state: of the rows' entities.
            rows: of the batch, [n].
            late_nS: whether a signal that the row carries was overdue by then.
            still: what stays what it is.
            times: of the rows.
            predictions: of the batch.
        """
        value_nS = predictions.batch.values[rows, : self._n_signals]
        present_nS = ~np.isnan(value_nS)
        shown = {
            SilenceKind.GAP: late_nS,
            SilenceKind.FROZEN: still.frozen_nS,
            SilenceKind.REPEATED: repeats.repeated(state, value_nS)[:, None] & present_nS,
            SilenceKind.SKEW: self._skewed(state, times)[:, None] & present_nS,
            SilenceKind.UNIT: self._units.changed(state, value_nS, present_nS),
        }
        found = []
        for column, kind in enumerate(TOLD_BY_ROWS):
            if kind in self._settings.kinds:
                found += self._turned(state, column, kind, shown[kind], rows, still, times, predictions)
        return found

    def _skewed(self, state: State, times: Times) -> Bool:
        """Rows of a wrong clock, [n]; one that is known to run behind does so while its rows come late."""
        late_n, steady_n = clocks.behind(state, times, self._settings.behind // _MILLISECOND)
        is_open_n = state["started_ms"][:, TOLD_BY_ROWS.index(SilenceKind.SKEW)] != NEVER
        skewed_n: Bool = clocks.ahead(times, self._settings.skew // _MILLISECOND) | (late_n & (steady_n | is_open_n))
        return skewed_n

    def _turned(
        self,
        state: State,
        column: int,
        kind: SilenceKind,
        shown_nS: Bool,
        rows: Int64,
        still: Still,
        times: Times,
        predictions: Predictions,
    ) -> list[tuple[int, Alert]]:
        """Alerts of one kind that open, and those that resolve after enough rows without."""
        shown_n: Bool = np.logical_or.reduce(shown_nS, axis=1)
        started_n, without_n = state["started_ms"][:, column], state["without"][:, column]
        is_open_n = started_n != NEVER
        without_n[:] = np.where(shown_n, 0, np.minimum(without_n, 9999) + 1)
        ends_n = is_open_n & (without_n >= self._resolve_after)
        bit = np.uint8(1 << column)
        state["shown"] |= shown_nS * bit
        state["shown"][ends_n] &= ~bit
        found = []
        for place in np.flatnonzero((shown_n & ~is_open_n) | ends_n).tolist():
            row, opens = int(rows[place]), bool(shown_n[place])
            seen = Seen.at(predictions, row)
            started_ms = seen.time_ms if opens else int(started_n[place])
            started_n[place] = started_ms if opens else NEVER
            signals = np.flatnonzero(shown_nS[place]).tolist()
            change = Change.OPENED if opens else Change.RESOLVED
            said = f"{self._resolve_after} rows without"
            if opens:
                said = self._words(kind, state, place, signals, still, times)
            found.append(
                (row, self._report.alert(predictions.batch.entity[row], kind, started_ms, change, signals, said, seen))
            )
        return found

    def _words(
        self, kind: SilenceKind, state: State, place: int, signals: Sequence[int], still: Still, times: Times
    ) -> str:
        if kind is SilenceKind.GAP:
            waited_ms = int(times.after_ms[place]) - int(state["seen_ms"][place, signals].max())
            return f"nothing for {short_form(waited_ms / 1000)}, and nothing was sent later"
        if kind is SilenceKind.FROZEN:
            return f"{int(still.run_nS[place, signals].max())} equal values"
        if kind is SilenceKind.REPEATED:
            return f"{int(state['matches'][place, 1:].max())} rows that were there before"
        if kind is SilenceKind.UNIT:
            return f"as if in {self._units.names[signals[0]][int(state['unit'][place, signals[0]])]}"
        delay_ms, excess_ms = int(times.delay_ms[place]), int(times.excess_ms[place])
        if delay_ms < 0:
            return f"{short_form(-delay_ms / 1000)} ahead of the record"
        return f"{short_form(excess_ms / 1000)} further behind the record than others"


def units_of(layout: Layout) -> Units:
    """What the units of a layout's target signals may be taken for."""
    return Units.of([signal.unit for signal in layout.signals[: layout.n_targets]])


def initial(layout: Layout) -> dict[str, Field]:
    """State of an entity never seen."""
    kinds = len(TOLD_BY_ROWS)
    return {
        "started_ms": np.full((1, kinds), NEVER, dtype=np.int64),
        "without": np.zeros((1, kinds), dtype=np.int16),
        "shown": np.zeros((1, layout.n_targets), dtype=np.uint8),
        **initial_still(layout.n_targets),
        **repeats.initial(),
        **units_of(layout).initial(),
    }
