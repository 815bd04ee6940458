"""Detection without labels: what neither its past nor the other signals explain, through online tails, plainly fused.

Per signal two deviations: from a short average, and from the slow mean after the profile by hour of the day. Of one
signal the second is judged, as it is and averaged over 8, 24 and 64 rows; its change since the last value stands apart.
Of several both are judged given the other signals, as they are and averaged over 8 rows. Each statistic's tail turns it
into about -log10 p; a signal's evidence is the quadratic mean of the four, or what a sudden change of one signal counts
as if that is more; the entity's is sqrt(sum of squares / sqrt(signals observed)), between the mean, in
which one signal of many drowns, and the sum, which raises more alarms the more signals there are. Equal weights:
picking components on labels was measured to do worse. That is what alerts are made of, of several signals believed
sooner than the tails would (`_gain`); the dense score averages it, and of several signals also looks at levels that
hardly adapt (`dense`).

The judged series of a signal is its value on the model scale, or its change where the level is a random walk.
Averages are kept as deviations from the newest value, so that float32 holds them whatever the signal's offset.
Scoring comes before learning. Every operation is element-wise along entities: a row's result does not depend on
which rows were batched with it. A frozen signal is not surprising here: silence and flatlines have their own path.

N packed rows, E packed entities, S target signals, D kinds of deviation, A averages, T tailed statistics.
"""

from dataclasses import dataclass

import numpy as np

from schemas.layout import Layout
from schemas.observation import Bool, Field, Float64, Int64
from schemas.prediction import Float32
from scorer import dense, level, others, profile
from scorer.recurrence import affine, slices, total
from scorer.served import Served
from scorer.tail import WARM_UP, Tail, judge_rows

_SHORT, _SLOW, UNIT = range(3)
_SPANS = (8.0, 2000.0, 4000.0)
"""Rows of the short average, of the slow mean, and of the mean change, which is a signal's unit."""
_AVERAGES_ALONE, _AVERAGES_TOGETHER = (8.0, 24.0, 64.0), (8.0,)
_MOST_TOGETHER = 48
"""Signals whose correlations are kept at most: they cost 8 S^2 bytes an entity."""
_FLOOR_ALONE, _FLOOR_TOGETHER = 1.0, 0.05
"""Added to a statistic before its logarithm: below about that, all are equally unremarkable. Typical changes of one
signal; standard deviations given the others."""
AVERAGED = 4
"""Statistics of a signal that are averaged."""
_CHANGE_COUNTS, _CHANGE_COSTS = 0.6, 0.2
"""What the evidence of one signal's change is multiplied with, and what is then taken off: it is one more chance of a
false alarm, and alone would be one of four. A spike within the range of a daily rhythm shows in nothing else."""
_LINGER_ALONE, _LINGER_TOGETHER = 64.0, 16.0
"""Rows that the dense score's evidence is averaged over, of one signal and of several."""
_ONSET = 0.8
"""Of the evidence of one signal's row that its dense score is at least, so that it also rises at once."""
UNIT_ROWS, TAIL_ROWS = 8.0, 400.0
"""What others' experience counts as: values of the typical change and of how signals go together, and of the tails."""
_ALERTS_WARM_UP = 12.0
"""Rows after which half of the evidence of several signals may alert."""
_HALF = 2.0
"""Evidence at which `anomaly` is 0.5: about where alerts begin."""
_TINY = 1e-30


@dataclass(frozen=True, slots=True)
class Detection:
    """Of each packed row; 0 where nothing was observed.

    Attributes:
        score: dense evidence: high over the whole of a fault, so it lingers, [N].
        surprise: evidence of the row itself, about -log10 p, as far as it is believed: what alerts are made of, [N].
        anomaly: score / (score + 2), in [0, 1); float64 keeps its resolution at any score, [N].
        probability: that a row of this entity brings less evidence, by its own online tail, in [0, 1], [N].
        evidence: per-signal -log10 p, float32 [N, S].
        statistics: -log10 p of each statistic that the evidence is made of, as far as it counts, named by
            `statistic_names`, [N, S, T].
        lent: the entity was lent others' experience, [N].
        rhythm: how much the hour is expected to change each signal until the entity's next row, model scale, [N, S].
    """

    score: Float64
    surprise: Float64
    anomaly: Float64
    probability: Float64
    evidence: Float32
    statistics: Float32
    lent: Bool
    rhythm: Float32


class Detector:
    """Judges the target signals of one layout.

    Args:
        layout: order of the signals.
    """

    def __init__(self, layout: Layout) -> None:
        self._n_signals = layout.n_targets
        self._differenced_S = np.array(layout.differenced[: layout.n_targets])
        self._together = judged_together(layout)
        self._several = layout.n_targets > 1
        self._tails = AVERAGED if self._several else AVERAGED + 1

    def initial(self, e: int) -> dict[str, Field]:
        """State of entities never seen, [E, ...]."""
        s = self._n_signals
        averages = (2, s, len(_AVERAGES_TOGETHER)) if self._together else (1, s, len(_AVERAGES_ALONE))
        shapes = {"average": (s, len(_SPANS)), "smooth": averages, "rows": (), "linger": (), "lent": (s,)}
        return {
            **{name: np.zeros((e, *shape), dtype=np.float32) for name, shape in shapes.items()},
            **profile.initial((e, s)),
            **(others.initial(e, 3, s) if self._together else {}),
            **({**level.initial((e, s)), **dense.initial(e)} if self._several else {}),
            **{f"tail.{name}": value for name, value in Tail.initial((e, s, self._tails), (e, s, 1)).fields().items()},
            **{f"calibration.{name}": value for name, value in Tail.initial((e,)).fields().items()},
        }

    def scan(self, served: Served, state: dict[str, Field]) -> tuple[Detection, dict[str, Field]]:
        """Judge packed rows in order. `state` is that of the packed entities, [E, ...], changed in place and returned.

        The network's residuals (`served.residual`) are not part of the fusion: they have not been seen to improve it.
        """
        waves = served.rows.waves
        series = self._series(served, state)
        deviation_NDS, unit_NS, rhythm_NS = self._deviations(series, waves, state)
        if self._together:
            deviation_NDS = _given_others(deviation_NDS, series, waves, state)
        log_NST = _statistics(deviation_NDS[:, : 2 if self._together else 1], series, waves, state)
        if not self._several:
            log_NST = np.append(log_NST, _sudden(series, unit_NS), axis=-1)
        surprise_NST = judge_rows(_tail(state, "tail."), log_NST, series.present_NS[..., None], waves)
        surprise_NST[..., AVERAGED:] = surprise_NST[..., AVERAGED:] * _CHANGE_COUNTS - _CHANGE_COSTS
        evidence_NS = _of_signal(surprise_NST) * series.present_NS
        surprise_N = _across_signals(evidence_NS, series.present_NS)
        score_N = self._dense(surprise_N, deviation_NDS[:, -1], series, waves, state)
        score = (score_N * series.any_N).astype(np.float64)
        anomaly_N = score / (score + _HALF)
        # The evidence is a logarithm already: it goes to the tail as it is.
        rarity_N = judge_rows(_tail(state, "calibration."), surprise_N, series.any_N, waves) * series.any_N
        probability_N = 1.0 - 10.0 ** -rarity_N.astype(np.float64)
        lent_N: Bool = np.logical_or.reduce(series.lent_NS > 0, axis=1)
        if self._several:
            gain_N = _gain(series)
            surprise_N *= gain_N
            evidence_NS *= gain_N[:, None]
            surprise_NST *= gain_N[:, None, None]
        surprise = surprise_N.astype(np.float64)
        return Detection(score, surprise, anomaly_N, probability_N, evidence_NS, surprise_NST, lent_N, rhythm_NS), state

    def _series(self, served: Served, state: dict[str, Field]) -> "_Series":
        s, observed = self._n_signals, served.observed
        change_NS = (served.rows.value_NS[:, :s] - observed.before_NS[:, :s]).numpy().astype(np.float32)
        present_NS = np.isfinite(change_NS)
        change_NS[~present_NS] = 0.0
        any_N: Bool = np.logical_or.reduce(present_NS, axis=1)
        time_N = served.rows.time_N.numpy()
        return _Series(
            change_NS=change_NS,
            present_NS=present_NS,
            differenced_S=self._differenced_S,
            seen_NS=np.maximum(observed.count_NS[:, :s].numpy().astype(np.float32) - self._differenced_S, 1.0),
            any_N=any_N,
            real=tuple(int(real_N.sum()) for real_N in served.rows.real_N.split(list(served.rows.waves))),
            lent_NS=np.concatenate([state["lent"][:size] for _, size in slices(served.rows.waves)]),
            rows_N=affine(
                state["rows"], np.ones(len(any_N), dtype=np.float32), any_N.astype(np.float32), served.rows.waves
            ),
            bins_2N=profile.bins_of(time_N),
            next_bins_2N=profile.bins_of(time_N + observed.gap_NS[:, :s].numpy().min(axis=1)),
        )

    def _deviations(
        self, series: "_Series", waves: tuple[int, ...], state: dict[str, Field]
    ) -> tuple[Float32, Float32, Float32]:
        """What is judged, in typical changes of the signal, [N, D, S]: of one signal only what its rhythm leaves.

        Of several the last one is the deviation from the slow mean with its rhythm: the dense score's.

        And the typical change, and how the rhythm goes on, model scale, [N, S].
        """
        average_NSA = _averages(series, waves, state["average"])
        unit_NS = average_NSA[..., UNIT] + np.float32(_TINY)
        slow_NS = average_NSA[..., _SLOW] / unit_NS
        error_rate_NS1 = series.rates((profile.ERROR_SPAN,))
        bins = series.bins_2N, series.next_bins_2N
        left_NS, ahead_NS = profile.without_rhythm(slow_NS, *bins, error_rate_NS1, waves, state)
        left_NS *= series.present_NS
        if not self._together:
            return left_NS[:, None], unit_NS, ahead_NS * unit_NS
        whole_NS = slow_NS * series.present_NS
        judged_NDS = np.stack([average_NSA[..., _SHORT] / unit_NS, left_NS, whole_NS], axis=1)
        return judged_NDS, unit_NS, ahead_NS * unit_NS

    def _dense(
        self,
        surprise_N: Float32,
        unexplained_NS: Float32,
        series: "_Series",
        waves: tuple[int, ...],
        state: dict[str, Field],
    ) -> Float32:
        if not self._several:
            lingering_N = _lingering(surprise_N, _LINGER_ALONE, series, waves, state["linger"])
            score_N: Float32 = np.maximum(lingering_N, np.float32(_ONSET) * surprise_N)
            return score_N
        lingering_N = _lingering(surprise_N, _LINGER_TOGETHER, series, waves, state["linger"])
        level_NS = level.deviations(
            series.change_NS, series.present_NS, series.seen_NS, series.differenced_S, waves, state
        )
        evidence = dense.Evidence(level_NS, unexplained_NS if self._together else level_NS, surprise_N, lingering_N)
        return dense.dense(evidence, series.present_NS, series.rows_N, waves, state)


def judged_together(layout: Layout) -> bool:
    """Are signals judged given each other?"""
    return 1 < layout.n_targets <= _MOST_TOGETHER


def statistic_names(layout: Layout) -> tuple[str, ...]:
    """What each of a signal's T statistics looks at, in words that follow "by its"."""
    if not judged_together(layout):
        sudden = ("sudden change",) if layout.n_targets == 1 else ()
        return ("level", *(f"level over {rows:g} rows" for rows in _AVERAGES_ALONE), *sudden)
    return tuple(
        name + over
        for name in ("sudden change", "level")
        for over in (" given the others", *(f" over {rows:g} rows given the others" for rows in _AVERAGES_TOGETHER))
    )


@dataclass(frozen=True, slots=True)
class _Series:
    """What the rows brought.

    Attributes:
        change_NS: since the signal's last value, float32, 0 where absent.
        present_NS: the row carries the signal, and so did an earlier one.
        differenced_S: the change itself is the judged series.
        seen_NS: values of the judged series, this one included, at least 1.
        lent_NS: values that others' experience of the signal counts as.
        any_N: the row carries any.
        real: entities of each wave that are no padding.
        rows_N: the entity's rows that did, this one included.
        bins_2N, next_bins_2N: of the profiles' hours, now and at the entity's next row by its typical gap.
    """

    change_NS: Float32
    present_NS: Bool
    differenced_S: Bool
    seen_NS: Float32
    lent_NS: Float32
    any_N: Bool
    real: tuple[int, ...]
    rows_N: Float32
    bins_2N: Int64
    next_bins_2N: Int64

    def rates(self, spans: tuple[float, ...]) -> Float32:
        """Rates of averages over `spans` rows: early ones are plain means, absent values leave them. [N, S, len]."""
        least = np.array([1.0 / span for span in spans], dtype=np.float32)
        rate: Float32 = np.maximum(np.float32(1.0) / self.seen_NS[..., None], least) * self.present_NS[..., None]
        return rate

    def lent_rates(self, span: float) -> Float32:
        """The same, of what is lent: that counts as values seen. [N, S]."""
        least = np.float32(1.0 / span)
        rate: Float32 = np.maximum(np.float32(1.0) / (self.seen_NS + self.lent_NS), least) * self.present_NS
        return rate


def _averages(series: _Series, waves: tuple[int, ...], average_ESA: Float32) -> Float32:
    """The value minus its short average and minus its slow mean, both including it; then the mean |change|. [N, S, A].

    The state of a level's average is its difference to the newest value; that of a change is the average itself.
    """
    rate_NSA = series.rates(_SPANS)
    rate_NSA[..., UNIT] = series.lent_rates(_SPANS[UNIT])
    keep_NSA = np.float32(1.0) - rate_NSA
    value_NS = series.change_NS * series.differenced_S
    add_NSA = value_NS[..., None] - keep_NSA * series.change_NS[..., None]
    add_NSA[..., UNIT] = rate_NSA[..., UNIT] * np.abs(series.change_NS)
    after_NSA = affine(average_ESA, keep_NSA, add_NSA, waves)
    after_NSA[..., :UNIT] = value_NS[..., None] - after_NSA[..., :UNIT]
    return after_NSA


def _given_others(deviation_NDS: Float32, series: _Series, waves: tuple[int, ...], state: dict[str, Field]) -> Float32:
    rate_NS = series.lent_rates(_SPANS[_SLOW])
    lent_N = total(series.lent_NS) / np.float32(series.lent_NS.shape[1])
    seen_N = series.rows_N - series.any_N + lent_N
    return others.given_others(deviation_NDS, series.present_NS, rate_NS, seen_N, waves, series.real, state)


def _statistics(deviation_NDS: Float32, series: _Series, waves: tuple[int, ...], state: dict[str, Field]) -> Float32:
    """Logarithm of every statistic, [N, S, T]."""
    together = deviation_NDS.shape[1] > 1
    rate_N1SA = series.rates(_AVERAGES_TOGETHER if together else _AVERAGES_ALONE)[:, None]
    now_NDS1 = deviation_NDS[..., None]
    smooth_NDSA = affine(state["smooth"], np.float32(1.0) - rate_N1SA, rate_N1SA * now_NDS1, waves)
    columns_NDSX = np.concatenate([now_NDS1, smooth_NDSA], axis=-1)
    n, _, s, _ = columns_NDSX.shape
    log_NST: Float32 = np.abs(columns_NDSX.transpose(0, 2, 1, 3)).reshape(n, s, AVERAGED)
    log_NST += np.float32(_FLOOR_TOGETHER if together else _FLOOR_ALONE)
    return np.log(log_NST, out=log_NST)


def _sudden(series: _Series, unit_NS: Float32) -> Float32:
    """Logarithm of each change in typical ones, [N, S, 1]."""
    log_NS: Float32 = np.log(np.abs(series.change_NS) / unit_NS + np.float32(_FLOOR_ALONE))
    return log_NS[..., None]


def _of_signal(surprise_NST: Float32) -> Float32:
    """A signal's evidence, [N, S]; a fifth statistic, the sudden change, stands apart."""
    mean_NS = np.sqrt(total(np.square(surprise_NST[..., :AVERAGED])) * np.float32(1.0 / AVERAGED))
    found_NS: Float32 = np.maximum.reduce([mean_NS, *np.moveaxis(surprise_NST[..., AVERAGED:], -1, 0)])
    return found_NS


def _tail(state: dict[str, Field], prefix: str) -> Tail:
    return Tail(**{name: state[prefix + name] for name in Tail.__dataclass_fields__})


def _across_signals(evidence_NS: Float32, present_NS: Bool) -> Float32:
    """Quadratic sum over the signals observed, divided by their number to the power of a quarter, [N]."""
    observed_N = np.maximum(total(present_NS.astype(np.float32)), np.float32(1.0))
    return np.sqrt(total(np.square(evidence_NS)) / np.sqrt(observed_N))


def _gain(series: _Series) -> Float32:
    """What the evidence of several signals is multiplied with before it may alert, [N].

    Tails believe n values to n / (n + 30), which keeps the dense score low while an entity is young. Of several signals
    the evidence that one row in 500 exceeds would be the same from about 15 values on without: alerts believe them to
    n^2 / (n^2 + 12^2).
    """
    rows_N = series.rows_N + series.lent_NS.max(axis=1) * np.float32(TAIL_ROWS / UNIT_ROWS)
    rows_N = np.maximum(rows_N, np.float32(1.0))
    gain_N: Float32 = rows_N * (rows_N + np.float32(WARM_UP)) / (np.square(rows_N) + np.float32(_ALERTS_WARM_UP**2))
    return gain_N


def _lingering(surprise_N: Float32, span: float, series: _Series, waves: tuple[int, ...], linger_E: Float32) -> Float32:
    """Moving quadratic mean of the evidence, [N]."""
    rate_N = np.maximum(np.float32(1.0 / span), np.float32(1.0) / np.maximum(series.rows_N, 1.0)) * series.any_N
    return np.sqrt(affine(linger_E, np.float32(1.0) - rate_N, rate_N * np.square(surprise_N), waves))
