"""Detection without labels: simple statistics of every signal, each through its own online tail, plainly fused.

Per signal three families: *residual* (the change; the deviation from a short average), *level* (short averages
against a slow mean) and *band* (averages against longer ones). Every statistic's tail turns it into -log10 p; the
quadratic mean is taken within a family, then across families; over signals the fourth-power mean; and one more tail
per entity calibrates the result. Equal weights: picking components on labels was measured to do worse.

The judged series of a signal is its value on the model scale, or its change where the level is a random walk.
Averages are kept as deviations from the newest value, so that float32 holds them whatever the signal's offset.
Scoring comes before learning. Every operation is element-wise along entities: a row's result does not depend on
which rows were batched with it.

N packed rows, E packed entities, S target signals, A averages, T tailed statistics.
"""

from dataclasses import dataclass

import numpy as np

from schemas.layout import Layout
from schemas.observation import Bool, Field, Float64
from schemas.prediction import Float32
from scorer.served import Served
from scorer.tail import Tail, judge

_SPANS = (4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 2000.0)
"""Rows of the moving averages; the last is the slow mean."""
_RATES = np.array([1.0 / span for span in _SPANS], dtype=np.float32)
_SEASONAL_RATES = np.array([1.0 / 8.0, 1.0 / 24.0], dtype=np.float32)
_E4, _E8, _E16, _E32, _E64, _E128, _SLOW, _CHANGE, _VALUE, _R, _R8, _R24 = range(12)
"""Columns of what statistics are made of. As deviations from the value, the value itself is 0."""
_FAMILIES = (
    ((_CHANGE, _VALUE), (_E8, _VALUE)),
    ((_E4, _SLOW), (_E16, _SLOW), (_E64, _SLOW)),
    ((_R, _VALUE), (_R8, _VALUE), (_R24, _VALUE)),
    ((_E4, _E32), (_E16, _E128)),
)
"""Pairs whose absolute difference is judged: residual, level, season, band."""
_LEFT, _RIGHT = (np.array([pair[side] for family in _FAMILIES for pair in family]) for side in (0, 1))
_WEIGHT = np.array([1.0 / len(_FAMILIES) / len(family) for family in _FAMILIES for _ in family], dtype=np.float32)
POWER = 1
_BINS, _BIN_SECONDS = 48, 1800.0
_PROFILE_RATE = 0.1
_ERROR_RATE = 1.0 / 500.0
_FLOOR = 0.02
"""Statistics are judged down to this share of the signal's typical change: below it, all are equally unremarkable."""
_SCORE_FLOOR = 0.05


@dataclass(frozen=True, slots=True)
class Detection:
    """Of each packed row; 0 where nothing was observed.

    Attributes:
        score: fused evidence, -log10 p before calibration, float64 [N].
        surprise: -log10 of the calibrated tail probability, float64 [N].
        anomaly: 1 - that probability, in [0, 1], float64 [N].
        evidence: per-signal -log10 p, float32 [N, S].
    """

    score: Float64
    surprise: Float64
    anomaly: Float64
    evidence: Float32


class Detector:
    """Judges the target signals of one layout.

    Args:
        layout: order of the signals.
    """

    def __init__(self, layout: Layout) -> None:
        self._n_signals = layout.n_targets
        self._differenced_S = np.array(layout.differenced[: layout.n_targets])

    def initial(self, e: int) -> dict[str, Field]:
        """State of entities never seen, [E, ...]."""
        shape = (e, self._n_signals)
        tail = Tail.initial((*shape, sum(map(len, _FAMILIES))), (*shape, 1))
        fused = Tail.initial((e,))
        return {
            "average": np.zeros((*shape, len(_SPANS)), dtype=np.float32),
            "profile": np.zeros((*shape, _BINS), dtype=np.float32),
            "profile_error": np.zeros((*shape, 2), dtype=np.float32),
            "seasonal": np.zeros((*shape, len(_SEASONAL_RATES)), dtype=np.float32),
            **{f"tail.{name}": value for name, value in tail.fields().items()},
            **{f"fused.{name}": value for name, value in fused.fields().items()},
        }

    def scan(self, served: Served, state: dict[str, Field]) -> tuple[Detection, dict[str, Field]]:
        """Judge packed rows in order. `state` is that of the packed entities, [E, ...]; the new one is returned."""
        state = {name: value.copy() for name, value in state.items()}
        log_NST, present_NS = self._statistics(served, state)
        surprise_NST = _judge(_tail(state, "tail."), log_NST, present_NS[..., None], served.rows.waves)
        evidence_NS = _across_families(surprise_NST) * present_NS
        score_N = _across_signals(evidence_NS, present_NS)
        present_N = present_NS.any(axis=1)
        log_N = np.log(score_N + np.float32(_SCORE_FLOOR))
        surprise_N = _judge(_tail(state, "fused."), log_N, present_N, served.rows.waves) * present_N
        surprise = surprise_N.astype(np.float64)
        detection = Detection(score_N.astype(np.float64), surprise, 1.0 - 10.0**-surprise, evidence_NS)
        return detection, state

    def _statistics(self, served: Served, state: dict[str, Field]) -> tuple[Float32, Bool]:
        """log of every statistic, in typical changes of its signal, [N, S, T]; where there is one, [N, S]."""
        n = self._n_signals
        value_NS, observed = served.rows.value_NS.numpy()[:, :n], served.observed
        change_NS = (value_NS - observed.before_NS.numpy()[:, :n]).astype(np.float32)
        present_NS = np.isfinite(change_NS)
        change_NS[~present_NS] = 0.0
        count_NS = observed.count_NS.numpy()[:, :n].astype(np.float32)
        deviation_NSA = self._deviations(change_NS, present_NS, count_NS, served.rows.waves, state["average"])
        bin_N = (served.rows.time_N.numpy() // _BIN_SECONDS).astype(np.int64) % _BINS
        self._season(deviation_NSA, present_NS, count_NS, bin_N, served.rows.waves, state)
        log_NST = np.abs(deviation_NSA[..., _LEFT] - deviation_NSA[..., _RIGHT])
        log_NST /= observed.scale_NS.numpy()[:, :n, None].astype(np.float32)
        log_NST += np.float32(_FLOOR)
        return np.log(log_NST, out=log_NST), present_NS

    def _deviations(
        self, change_NS: Float32, present_NS: Bool, count_NS: Float32, waves: tuple[int, ...], average_ESA: Float32
    ) -> Float32:
        """Averages, the row included, minus the row's value; then the change; then 0. [N, S, A + 2].

        The state of a level is its average minus its newest value, that of a change is the average itself.
        Early averages are plain means.
        """
        values_NS = np.maximum(count_NS - self._differenced_S, np.float32(1.0))
        rate_NSA = np.maximum(np.float32(1.0) / values_NS[..., None], _RATES) * present_NS[..., None]
        keep_NSA = np.float32(1.0) - rate_NSA
        shift_NS1 = (change_NS * self._differenced_S)[..., None]
        add_NSA = shift_NS1 - keep_NSA * change_NS[..., None]
        after_NSX = np.zeros((*change_NS.shape, 12), dtype=np.float32)
        start = 0
        for size in waves:
            rows = slice(start, start + size)
            average_ESA[:size] *= keep_NSA[rows]
            average_ESA[:size] += add_NSA[rows]
            after_NSX[rows, :, : len(_SPANS)] = average_ESA[:size]
            start += size
        after_NSX[..., : len(_SPANS)] -= shift_NS1
        after_NSX[..., _CHANGE] = change_NS
        return after_NSX

    def _season(self, dev, present_NS, count_NS, bin_N, waves, state):
        y_NS = -dev[..., _SLOW]
        profile, error, seasonal = state["profile"], state["profile_error"], state["seasonal"]
        rate_NS = np.float32(_PROFILE_RATE) * present_NS
        erate_NS = np.maximum(np.float32(_ERROR_RATE), 1 / np.maximum(count_NS, 1)).astype(np.float32) * present_NS
        srate_NSA = np.maximum(_SEASONAL_RATES, 1 / np.maximum(count_NS, 1)[..., None]).astype(np.float32) * present_NS[..., None]
        start = 0
        for size in waves:
            rows = slice(start, start + size)
            y = y_NS[rows]
            at = (np.arange(size)[:, None], np.arange(y.shape[1])[None], bin_N[rows, None])
            p = profile[at]
            e = y - p
            err = error[:size]
            q0 = err[..., 0] + np.float32(1e-30); q1 = err[..., 1] + np.float32(1e-30)
            w = q0 / (q0 + q1)
            w = w ** POWER / (w ** POWER + (1 - w) ** POWER)
            r = y - w * p
            profile[at] = p + rate_NS[rows] * e
            er = erate_NS[rows]
            err[..., 0] += er * (y * y - err[..., 0])
            err[..., 1] += er * (e * e - err[..., 1])
            seasonal[:size] += srate_NSA[rows] * (r[..., None] - seasonal[:size])
            dev[rows, :, _R] = r
            dev[rows, :, _R8:] = seasonal[:size]
            start += size


def _judge(tail: Tail, log_NX: Float32, present_NX: Bool, waves: tuple[int, ...]) -> Float32:
    surprise_NX = np.empty_like(log_NX)
    start = 0
    for size in waves:
        rows = slice(start, start + size)
        surprise_NX[rows] = judge(tail[size], log_NX[rows], present_NX[rows])
        start += size
    return surprise_NX


def _tail(state: dict[str, Field], prefix: str) -> Tail:
    return Tail(**{name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)})


def _across_families(surprise_NST: Float32) -> Float32:
    """Quadratic mean within each family, then across families, [N, S]."""
    weighted: Float32 = (np.square(surprise_NST) * _WEIGHT).sum(-1)
    return np.sqrt(weighted)


def _across_signals(evidence_NS: Float32, present_NS: Bool) -> Float32:
    """Fourth-power mean over the signals observed, [N]; 0 where there are none."""
    observed_N = np.maximum(present_NS.sum(-1), 1).astype(np.float32)
    mean_N: Float32 = np.square(np.square(evidence_NS)).sum(-1) / observed_N
    return np.sqrt(np.sqrt(mean_N))
