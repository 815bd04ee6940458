"""Detection without labels: simple statistics of every signal, each through its own online tail, plainly fused.

Per signal four families: *residual* (the change; the deviation from the daily profile, and from a short average),
*level* (short averages against a slow mean), *season* (the deviation from the profile and its averages) and *band*
(averages against longer ones). Every statistic's tail turns it into -log10 p; the quadratic mean is taken within a
family, then across families; over signals the fourth-power mean; and one more tail per entity calibrates the result.
Equal weights: picking components on labels was measured to do worse.

The judged series of a signal is its value on the model scale, or its change where the level is a random walk.
Averages are kept as deviations from the newest value, so that float32 holds them whatever the signal's offset.
Scoring comes before learning. Every operation is element-wise along entities: a row's result does not depend on
which rows were batched with it. A frozen signal is not surprising here: silence and flatlines have their own path.

N packed rows, E packed entities, S target signals, A averages, B bins of the day, T tailed statistics,
X columns of which statistics are made.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from schemas.layout import Layout
from schemas.observation import Bool, Field, Float64, Int64
from schemas.prediction import Float32
from scorer.served import Served
from scorer.tail import Tail, judge

_SPANS = (4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 2000.0)
"""Rows of the moving averages; the last is the slow mean."""
_SEASONAL_SPANS = (8.0, 24.0)
_E4, _E8, _E16, _E32, _E64, _E128, _SLOW, _CHANGE, _VALUE, _SEASONAL, _S8, _S24 = range(12)
"""Columns. All are deviations from the value, so the value itself is 0."""
_FAMILIES = (
    ((_CHANGE, _VALUE), (_SEASONAL, _VALUE), (_E8, _VALUE)),
    ((_E4, _SLOW), (_E16, _SLOW), (_E64, _SLOW)),
    ((_SEASONAL, _VALUE), (_S8, _VALUE), (_S24, _VALUE)),
    ((_E4, _E32), (_E16, _E128)),
)
"""Pairs whose absolute difference is judged: residual, level, season, band."""
_BINS, _BIN_SECONDS = 24, 3600.0
_PROFILE_RATE, _ERROR_RATE = 0.1, 1.0 / 500.0
_TINY = 1e-30
_FLOOR = 0.02
"""Statistics are judged down to this share of the signal's typical change: below it, all are equally unremarkable."""


@dataclass(frozen=True, slots=True)
class Detection:
    """Of each packed row; 0 where nothing was observed.

    Attributes:
        score: fused evidence, -log10 p before calibration, [N].
        surprise: -log10 of the calibrated tail probability, [N].
        anomaly: 1 - that probability, in [0, 1], [N].
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
        widths = {"average": len(_SPANS), "seasonal": len(_SEASONAL_SPANS), "profile": _BINS, "error": 2}
        tail = Tail.initial((*shape, len(_WEIGHT_T)), (*shape, 1))
        return {
            **{name: np.zeros((*shape, width), dtype=np.float32) for name, width in widths.items()},
            **{f"tail.{name}": value for name, value in tail.fields().items()},
            **{f"fused.{name}": value for name, value in Tail.initial((e,)).fields().items()},
        }

    def scan(self, served: Served, state: dict[str, Field]) -> tuple[Detection, dict[str, Field]]:
        """Judge packed rows in order. `state` is that of the packed entities, [E, ...]; the new one is returned.

        The network's residuals (`served.residual`) are not part of the fusion: they have not been seen to improve it.
        """
        state = {name: value.copy() for name, value in state.items()}
        waves = served.rows.waves
        series = self._series(served)
        log_NST = _statistics(series, waves, state)
        evidence_NS = _across_families(_judge(_tail(state, "tail."), log_NST, series.present_NS[..., None], waves))
        evidence_NS *= series.present_NS
        score_N = _across_signals(evidence_NS, series.present_NS)
        present_N = np.asarray(series.present_NS.any(axis=1))
        # The score is a logarithm already: it goes to the tail as it is.
        surprise = (_judge(_tail(state, "fused."), score_N, present_N, waves) * present_N).astype(np.float64)
        return Detection(score_N.astype(np.float64), surprise, 1.0 - 10.0**-surprise, evidence_NS), state

    def _series(self, served: Served) -> "_Series":
        s = self._n_signals
        observed = served.observed
        change_NS = (served.rows.value_NS[:, :s] - observed.before_NS[:, :s]).numpy().astype(np.float32)
        present_NS = np.isfinite(change_NS)
        change_NS[~present_NS] = 0.0
        return _Series(
            change_NS=change_NS,
            present_NS=present_NS,
            differenced_S=self._differenced_S,
            seen_NS=np.maximum(observed.count_NS[:, :s].numpy().astype(np.float32) - self._differenced_S, 1.0),
            scale_NS=observed.scale_NS[:, :s].numpy().astype(np.float32),
            bin_N=(served.rows.time_N.numpy() // _BIN_SECONDS).astype(np.int64) % _BINS,
        )


@dataclass(frozen=True, slots=True)
class _Series:
    """What is judged.

    Attributes:
        change_NS: since the signal's last value, float32, 0 where absent.
        present_NS: the row carries the signal, and so did an earlier one.
        differenced_S: the change itself is the judged series.
        seen_NS: values of the judged series, this one included, at least 1.
        scale_NS: the typical change.
        bin_N: hour of the day.
    """

    change_NS: Float32
    present_NS: Bool
    differenced_S: Bool
    seen_NS: Float32
    scale_NS: Float32
    bin_N: Int64

    def rates(self, spans: tuple[float, ...]) -> Float32:
        """Rates of averages over `spans` rows: early ones are plain means, absent values leave them. [N, S, len]."""
        least = np.array([1.0 / span for span in spans], dtype=np.float32)
        rate: Float32 = np.maximum(np.float32(1.0) / self.seen_NS[..., None], least) * self.present_NS[..., None]
        return rate


def _statistics(series: _Series, waves: tuple[int, ...], state: dict[str, Field]) -> Float32:
    """Logarithm of every statistic, in typical changes of its signal, [N, S, T]."""
    columns_NSX = np.zeros((*series.change_NS.shape, _S24 + 1), dtype=np.float32)
    columns_NSX[..., : len(_SPANS)] = _averages(series, waves, state["average"])
    columns_NSX[..., _CHANGE] = series.change_NS
    columns_NSX[..., _SEASONAL] = _seasonal(series, -columns_NSX[..., _SLOW], waves, state["profile"], state["error"])
    rate_NSA = series.rates(_SEASONAL_SPANS)
    add_NSA = rate_NSA * columns_NSX[..., _SEASONAL, None]
    columns_NSX[..., _S8:] = _affine(state["seasonal"], np.float32(1.0) - rate_NSA, add_NSA, waves)
    log_NST: Float32 = columns_NSX[..., _LEFT_T] - columns_NSX[..., _RIGHT_T]
    np.abs(log_NST, out=log_NST)
    log_NST /= series.scale_NS[..., None]
    log_NST += np.float32(_FLOOR)
    np.log(log_NST, out=log_NST)
    return log_NST


def _averages(series: _Series, waves: tuple[int, ...], average_ESA: Float32) -> Float32:
    """Averages, the row included, minus the row's value, [N, S, A].

    The state of a level is its average minus its newest value; that of a change is the average itself.
    """
    keep_NSA = np.float32(1.0) - series.rates(_SPANS)
    value_NS1 = (series.change_NS * series.differenced_S)[..., None]
    add_NSA = value_NS1 - keep_NSA * series.change_NS[..., None]
    after_NSA = _affine(average_ESA, keep_NSA, add_NSA, waves)
    after_NSA -= value_NS1
    return after_NSA


def _seasonal(
    series: _Series, value_NS: Float32, waves: tuple[int, ...], profile_ESB: Float32, error_ES2: Float32
) -> Float32:
    """What is left of the value (minus its slow mean) when the profile by hour of day is taken off, [N, S].

    Profile and no profile are mixed by inverse mean squared error: a signal without a daily rhythm keeps its value.
    """
    left_NS = np.empty_like(value_NS)
    profile_rate_NS = np.float32(_PROFILE_RATE) * series.present_NS
    error_rate_NS1 = series.rates((1.0 / _ERROR_RATE,))
    for rows, size in _slices(waves):
        value = value_NS[rows]
        at = (np.arange(size)[:, None], np.arange(value.shape[1]), series.bin_N[rows, None])
        profile, error = profile_ESB[at], error_ES2[:size]
        without, with_profile = error[..., 0] + np.float32(_TINY), error[..., 1] + np.float32(_TINY)
        left_NS[rows] = value - profile * (without / (without + with_profile))
        missed = value - profile
        profile_ESB[at] = profile + missed * profile_rate_NS[rows]
        error += error_rate_NS1[rows] * (np.square(np.stack([value, missed], -1)) - error)
    return left_NS


def _affine(state_ESA: Float32, keep_NSA: Float32, add_NSA: Float32, waves: tuple[int, ...]) -> Float32:
    """Multiply by keep and add, wave by wave, in place; the state after each row, [N, S, A]."""
    after_NSA = np.empty_like(add_NSA)
    for rows, size in _slices(waves):
        state = state_ESA[:size]
        state *= keep_NSA[rows]
        state += add_NSA[rows]
        after_NSA[rows] = state
    return after_NSA


def _judge(tail: Tail, log_NX: Float32, present_NX: Bool, waves: tuple[int, ...]) -> Float32:
    surprise_NX = np.empty_like(log_NX)
    for rows, size in _slices(waves):
        surprise_NX[rows] = judge(tail[size], log_NX[rows], present_NX[rows])
    return surprise_NX


def _slices(waves: tuple[int, ...]) -> Iterator[tuple[slice, int]]:
    """Rows and size of each wave: its entities are the first `size`."""
    start = 0
    for size in waves:
        yield slice(start, start + size), size
        start += size


def _tail(state: dict[str, Field], prefix: str) -> Tail:
    return Tail(**{name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)})


def _across_families(surprise_NST: Float32) -> Float32:
    """Quadratic mean within each family, then across families, [N, S]."""
    mean_NS: Float32 = (np.square(surprise_NST) * _WEIGHT_T).sum(-1)
    return np.sqrt(mean_NS, out=mean_NS)


def _across_signals(evidence_NS: Float32, present_NS: Bool) -> Float32:
    """Fourth-power mean over the signals observed, [N]; 0 where there are none."""
    observed_N = np.maximum(present_NS.sum(-1), 1).astype(np.float32)
    mean_N: Float32 = np.square(np.square(evidence_NS)).sum(-1) / observed_N
    return np.sqrt(np.sqrt(mean_N))


_LEFT_T, _RIGHT_T = (np.array([pair[side] for family in _FAMILIES for pair in family]) for side in (0, 1))
_WEIGHT_T = np.array([1.0 / len(_FAMILIES) / len(family) for family in _FAMILIES for _ in family], dtype=np.float32)
