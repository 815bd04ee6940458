"""The fast head: a linear forecast per entity and signal, learned at every value, served as far as it is better.

It starts as persistence and adds what the signal's own averages, the hour and the network's forecast have been worth:
normalised least mean squares (Nagumo and Noda, 1967), inputs in units of their own running size and clipped, errors
clipped (Huber, 1964), the step 1 / n until it reaches a floor that keeps it following drift; where errors grow, it is
that of a younger stream again, and where they are far beyond persistence's, it begins anew. With inputs so scaled a
full covariance was measured to be hardly better (ETTh1, first row ahead, MSE 0.211 against 0.214), at P^2 of state.
What serves is a mean of network and fast head (`scorer.mixture`), signal by signal and horizon by horizon, drawn to
persistence as far as it says more than comes; the network's band moves along, scaled by the two errors; `scorer.bands`
widens it to what it claims.

Learning an error needs what was known when the forecast was made: the last rows' inputs are state. A duration horizon
keeps the network's forecast. Every operation is element-wise along entities.

N packed rows, E packed entities, S target signals, M moments, H horizons in rows, Q quantiles, I inputs of the entity's
past, C inputs of the clock, P = C + I + 1 weights, R rows remembered (the longest horizon).
"""

import itertools
from dataclasses import dataclass
from operator import itemgetter

import numpy as np

from schemas.layout import Layout
from schemas.observation import Bool, Field, Float64, Int64
from schemas.prediction import Float32
from scorer.bands import SIDES, Bands
from scorer.mixture import FAST, MOMENTS, SLOW, kept, rate, share, weigh
from scorer.recurrence import slices, total
from scorer.served import Served

_WAVES_A_DAY = 3
_MINUTES = 1440
_LONGEST_STEP = 0.1
_SHORTEST_STEP, _SHORTEST_FAR, _NEAR = 3e-3, 1e-3, 8
"""Where steps end that get shorter: of forecasts up to so many rows ahead, and of those far ahead."""
_SPAN = 2000.0
"""Rows that the size of an input is averaged over."""
_REACH, _EARLY_REACH = 3.0, 30.0
"""Sizes that an input counts as at most; more for the first rows, which say what its size is."""
_CLIP = 8.0
"""Mean absolute errors that one error teaches at most."""
_LATELY, _ALARM, _ANEW = 24.0, 1.5, 100.0
"""Values that the nearest error is averaged over to see a change, how many times the usual one it must be for that, and
how many values what was learned counts as from then on."""
_FAR_WORSE = 0.5
"""Mean over as many values of (own error - persistence's) / (their sum): three times as large."""
_YOUNG = 10
"""Values that what was learned counts as where it begins anew: what both had been worth stays known for a while."""
_NARROWEST, _WIDEST = 0.2, 5.0


def _clock() -> Float32:
    """A constant, and sine and cosine of the time of day, by minute, each of mean square 1: [1440, C]."""
    angle = 2.0 * np.pi * np.arange(_MINUTES) / _MINUTES
    waves = [turn(k * angle) * np.sqrt(2.0) for k in range(1, _WAVES_A_DAY + 1) for turn in (np.sin, np.cos)]
    return np.stack([np.ones(_MINUTES), *waves], axis=-1).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is served, model scale: quantiles [N, S, all horizons, Q], and what stood for each row, [N, S]."""

    quantiles: Float64
    expected: Float64


class FastHead:
    """Corrects the forecasts of one layout.

    Args:
        layout: order of signals and horizons.
    """

    def __init__(self, layout: Layout) -> None:
        task = layout.forecast
        self._ahead = tuple(horizon for horizon in task.horizons if isinstance(horizon, int))
        self._remembered, self._n_signals = max(self._ahead), layout.n_targets
        self._starts = tuple(itertools.accumulate(self._ahead, initial=0))
        self._median = task.quantiles.index(0.5)
        self._bands = Bands(task.quantiles)
        self._clock_MC = _clock()

    def initial(self, e: int) -> dict[str, Field]:
        """State of entities never seen, [E, ...]; what both said is kept until it can be judged."""
        s, h, r, c = self._n_signals, len(self._ahead), self._remembered, self._clock_MC.shape[1]
        shapes = {"weight": (s, h, c + _INPUTS + 1), "square": (s, _INPUTS + h), "error": (s, h, 2)}
        shapes |= {"moment": (s, h, MOMENTS), "lately": (s,), "width": (s, h, SIDES)}
        held = {"minute": ((r,), np.int16), "input": ((r, s, _INPUTS + h), np.float16), "last": ((r, s), np.float64)}
        held |= dict.fromkeys(("said", "bound"), ((self._starts[-1], s, 2), np.float32))
        held |= {"share": ((self._starts[-1], s), np.float16), "worse": ((s,), np.float16), "known": ((s,), np.uint16)}
        return {
            "rows": np.zeros(e, dtype=np.int32),
            **{name: np.zeros((e, *shape), dtype=np.float32) for name, shape in shapes.items()},
            **{name: np.zeros((e, *shape), dtype=dtype) for name, (shape, dtype) in held.items()},
        }

    def scan(self, served: Served, rhythm_NS: Float32, state: dict[str, Field]) -> tuple[Forecast, dict[str, Field]]:
        """Learn what each row teaches, then forecast from it. `state` is changed in place and returned.

        Args:
            served: packed rows, their statistics, and the network's forecasts.
            rhythm_NS: how much the hour is expected to change the signal until its next value, model scale.
            state: that of the packed entities, [E, ...].
        """
        rows = _Rows.of(served, rhythm_NS, self._n_signals, len(self._ahead), self._median)
        quantiles, expected = served.forecast.copy(), served.expected.copy()
        reals = served.rows.real_N.numpy()
        for wave, _ in slices(served.rows.waves):
            size = int(reals[wave].sum())
            now = slice(wave.start, wave.start + size)
            mine = {name: value[:size] for name, value in state.items()}
            self._learn(rows[now], mine, expected[now])
            self._serve(rows[now], mine, quantiles[now])
        return Forecast(quantiles, expected), state

    def _learn(self, rows: "_Rows", state: dict[str, Field], expected_ES: Float64) -> None:
        """From the rows that the forecasts were made at; what stood for this row goes to `expected_ES`."""
        entity = np.arange(len(rows.minute))
        for h, ahead in sorted(enumerate(self._ahead), key=itemgetter(1)):
            place = (state["rows"] - ahead) % self._remembered
            then_ESI = state["input"][entity, place].astype(np.float32)
            x_ESP = self._weighed(state["minute"][entity, place], then_ESI, h)
            last_ES, weight_ESP = state["last"][entity, place], state["weight"][:, :, h]
            came_ES = rows.value - last_ES
            told_ES = np.isfinite(came_ES) & (state["rows"] >= ahead)[:, None]
            came_ES = np.where(told_ES, came_ES, 0.0).astype(np.float32)
            then = entity, self._place(h, state)
            said_ES2, error_ES2, moment_ESM = state["said"][then], state["error"][:, :, h], state["moment"][:, :, h]
            mean_ES = _mean(said_ES2, state["share"][then])
            if ahead == 1:
                kept_ES = kept(rows.count - rows.present, moment_ESM, ahead)
                share_ES = state["share"][then].astype(np.float32)
                moved_ES = share_ES * (last_ES + said_ES2[..., FAST] - expected_ES)
                drawn_ES = (kept_ES - np.float32(1.0)) * mean_ES
                known_ES = (state["rows"] > 0)[:, None]
                np.add(expected_ES, moved_ES, out=expected_ES, where=(share_ES > 0) & known_ES)
                np.add(expected_ES, drawn_ES, out=expected_ES, where=(kept_ES < 1) & known_ES)
            if ahead == min(self._ahead):
                _notice(state, error_ES2[..., FAST], came_ES - said_ES2[..., FAST], told_ES)
                _begin_anew(state, came_ES - said_ES2[..., FAST], came_ES, told_ES)
                said_ES2 = state["said"][then]
            # Errors far ahead overlap: they say less of a change, and steps as large would follow noise.
            count_ES = np.minimum(rows.count, state["known"].astype(np.float32) * np.float32(ahead))
            shortest = max(_SHORTEST_FAR, _SHORTEST_STEP * min(1.0, _NEAR / ahead))
            _correct(weight_ESP, error_ES2, x_ESP, came_ES, told_ES, _step(count_ES, shortest))
            rate_ES = rate(told_ES, count_ES, ahead)
            weigh(moment_ESM, error_ES2[..., SLOW], state["lately"], came_ES, said_ES2, mean_ES, rate_ES)
            _judge(error_ES2, came_ES, said_ES2, rate_ES)
            self._bands.learn(state["width"][:, :, h], state["bound"][then], came_ES, told_ES, count_ES)

    def _serve(self, rows: "_Rows", state: dict[str, Field], quantile_ESHQ: Float64) -> None:
        """Remember the row's inputs, and serve the mean of both forecasts as far as it is better than what stands."""
        raw_ESI = np.concatenate([rows.input, rows.slow], axis=-1)
        input_ESI = _scaled(raw_ESI, state["square"], rows.count, rows.present)
        entity, place = np.arange(len(rows.minute)), state["rows"] % self._remembered
        state["minute"][entity, place] = rows.minute
        state["input"][entity, place] = input_ESI
        state["last"][entity, place] = rows.last
        input_ESI = input_ESI.astype(np.float16).astype(np.float32)
        for h, ahead in enumerate(self._ahead):
            error_ES2, moment_ESM = state["error"][:, :, h], state["moment"][:, :, h]
            share16_ES, kept_ES = share(rows.count, moment_ESM).astype(np.float16), kept(rows.count, moment_ESM, ahead)
            share_ES = share16_ES.astype(np.float32)
            said_ES = _dot(self._weighed(rows.minute, input_ESI, h), state["weight"][:, :, h])
            ratio_ES = np.clip(error_ES2[..., FAST] / np.maximum(error_ES2[..., SLOW], _TINY), _NARROWEST, _WIDEST)
            median_ES = quantile_ESHQ[:, :, h, self._median].copy()
            wider_ESQ = (quantile_ESHQ[:, :, h] - median_ES[..., None]) * (ratio_ES - np.float32(1.0))[..., None]
            moved_ESQ = share_ES[..., None] * ((rows.last + said_ES - median_ES)[..., None] + wider_ESQ)
            np.add(quantile_ESHQ[:, :, h], moved_ESQ, out=quantile_ESHQ[:, :, h], where=share_ES[..., None] > 0)
            said_ES2 = np.stack([said_ES, rows.slow[..., h]], axis=-1)
            drawn_ES1 = ((kept_ES - np.float32(1.0)) * _mean(said_ES2, share16_ES))[..., None]
            np.add(quantile_ESHQ[:, :, h], drawn_ES1, out=quantile_ESHQ[:, :, h], where=kept_ES[..., None] < 1)
            now = entity, self._place(h, state)
            state["said"][now], state["share"][now] = said_ES2, share16_ES
            self._bands.widen(quantile_ESHQ[:, :, h], state["width"][:, :, h])
            state["bound"][now] = self._bands.bounds(quantile_ESHQ[:, :, h], rows.last)
        state["rows"] += 1

    def _place(self, h: int, state: dict[str, Field]) -> Int64:
        """Where what was said of this row so many rows ago lies, and where what is said now will, [E]."""
        place_E: Int64 = self._starts[h] + state["rows"] % self._ahead[h]
        return place_E

    def _weighed(self, minute_E: Int64, input_ESI: Float32, h: int) -> Float32:
        """All inputs of one horizon, [E, S, P]."""
        e, s, _ = input_ESI.shape
        clock_ESC = np.broadcast_to(self._clock_MC[minute_E][:, None], (e, s, self._clock_MC.shape[1]))
        slow_ES1 = input_ESI[..., _INPUTS + h, None]
        return np.concatenate([clock_ESC, input_ESI[..., :_INPUTS], slow_ES1], axis=-1)


_INPUTS = 5
"""The last change, the short averages and the mean minus the last value, and the rhythm."""
_TINY = np.float32(1e-30)


@dataclass(frozen=True, slots=True)
class _Rows:
    """What rows bring, model scale. `last` and `value` are NaN where unknown; the rest is finite.

    Attributes:
        value: of each signal, [N, S].
        last: newest value, this row's included.
        present: the row carries the signal.
        count: values seen, float32.
        minute: of the day, [N].
        input: changes, [N, S, I].
        slow: the network's median minus the last value, [N, S, H].
    """

    value: Float64
    last: Float64
    present: Bool
    count: Float32
    minute: Int64
    input: Float32
    slow: Float32

    @classmethod
    def of(cls, served: Served, rhythm_NS: Float32, s: int, h: int, median: int) -> "_Rows":
        observed = served.observed
        last = observed.last_NS[:, :s].numpy()
        below = [each[:, :s].numpy() - last for each in (observed.fast_NS, observed.slow_NS, observed.level_NS)]
        change = last - observed.before_NS[:, :s].numpy()
        value = served.rows.value_NS[:, :s].numpy()
        return cls(
            value=value,
            last=last,
            present=np.isfinite(value),
            count=observed.count_NS[:, :s].numpy().astype(np.float32),
            minute=(served.rows.time_N.numpy() // 60.0).astype(np.int64) % _MINUTES,
            input=_finite(np.stack([change, *below, rhythm_NS], axis=-1)),
            slow=_finite(served.forecast[:, :, :h, median] - last[..., None]),
        )

    def __getitem__(self, rows: slice) -> "_Rows":
        return _Rows(*(getattr(self, name)[rows] for name in self.__slots__))


def _finite(value: Float64) -> Float32:
    found: Float32 = np.where(np.isfinite(value), value, 0.0).astype(np.float32)
    return found


def _dot(x_ESP: Float32, weight_ESP: Float32) -> Float32:
    """Sum over the inputs, [E, S]."""
    return total(x_ESP * weight_ESP)


def _scaled(raw_ESI: Float32, square_ESI: Float32, count_ES: Float32, present_ES: Bool) -> Float32:
    """Inputs in units of their own running size, clipped; the size learns them afterwards."""
    size = np.sqrt(square_ESI)
    reach = np.float32(_REACH) + np.float32(_EARLY_REACH) / np.square(count_ES + np.float32(1.0))[..., None]
    limit = np.where(square_ESI > 0, size * reach, np.float32(np.inf))
    clipped = np.clip(raw_ESI, -limit, limit)
    rate = np.maximum(np.float32(1.0 / _SPAN), np.float32(1.0) / (count_ES + np.float32(1.0))) * present_ES
    scaled = np.divide(clipped, size, out=np.zeros_like(clipped), where=size > 0)
    square_ESI += rate[..., None] * (np.square(clipped) - square_ESI)
    return scaled


def _mean(said_ES2: Float32, share_ES: Field) -> Float32:
    """Of what fast head and network say, by the fast head's share."""
    slow_ES = said_ES2[..., SLOW]
    found: Float32 = slow_ES + share_ES.astype(np.float32) * (said_ES2[..., FAST] - slow_ES)
    return found


def _notice(state: dict[str, Field], error_ES: Float32, missed_ES: Float32, told_ES: Bool) -> None:
    """Where errors have grown lately, what was learned counts as little: steps are as large as a young stream's."""
    known_ES, lately_ES = state["known"], state["lately"]
    np.add(known_ES, told_ES, out=known_ES, where=known_ES < np.iinfo(known_ES.dtype).max)
    limited_ES = np.minimum(np.abs(missed_ES), _limit(error_ES))
    rate_ES = np.maximum(np.float32(1.0 / _LATELY), np.float32(1.0) / np.maximum(known_ES, np.float32(1.0))) * told_ES
    lately_ES += rate_ES * (limited_ES - lately_ES)
    changed_ES = told_ES & (lately_ES > np.float32(_ALARM) * error_ES)
    np.minimum(known_ES, np.uint16(_ANEW), out=known_ES, where=changed_ES)


def _begin_anew(state: dict[str, Field], missed_ES: Float32, came_ES: Float32, told_ES: Bool) -> None:
    """Where it is far worse than persistence, as which it began, what it has learned is of a stream that has passed.

    By how much is told row by row, from -1 to 1, so that no single one decides. Rows in which nothing moved say nothing
    of it: a signal that stands still for a night has not become another. What it said of rows that are still to come is
    taken back.
    """
    moved_ES, own_ES, change_ES = told_ES & (came_ES != 0), np.abs(missed_ES), np.abs(came_ES)
    by_ES = (own_ES - change_ES) / np.maximum(own_ES + change_ES, _TINY)
    worse_ES = state["worse"].astype(np.float32)
    worse_ES += np.float32(1.0 / _LATELY) * moved_ES * (by_ES - worse_ES)
    begins_ES = worse_ES > np.float32(_FAR_WORSE)
    state["weight"][begins_ES] = 0
    np.copyto(state["said"][..., FAST], np.float32(0.0), where=begins_ES[:, None])
    np.minimum(state["known"], np.uint16(_YOUNG), out=state["known"], where=begins_ES)
    state["worse"][:] = np.where(begins_ES, np.float32(0.0), worse_ES)


def _step(count_ES: Float32, shortest: float) -> Float32:
    """Of the weights, smaller the more values count."""
    found: Float32 = np.maximum(np.float32(shortest), np.float32(1.0) / (count_ES + np.float32(1.0 / _LONGEST_STEP)))
    return found


def _correct(
    weight_ESP: Float32, error_ES2: Float32, x_ESP: Float32, came_ES: Float32, told_ES: Bool, step_ES: Float32
) -> None:
    """One step where something was told, from what the weights would say of it now."""
    missed_ES = came_ES - _dot(x_ESP, weight_ESP)
    limit_ES = _limit(error_ES2[..., FAST])
    gain_ES = step_ES / (np.float32(1.0) + step_ES * total(np.square(x_ESP)))
    weight_ESP += (gain_ES * np.clip(missed_ES, -limit_ES, limit_ES) * told_ES)[..., None] * x_ESP


def _judge(error_ES2: Float32, came_ES: Float32, said_ES2: Float32, rate_ES: Float32) -> None:
    """Both mean absolute errors, of what was said at the time."""
    missed_ES2 = np.minimum(np.abs(came_ES[..., None] - said_ES2), _limit(error_ES2[..., FAST])[..., None])
    error_ES2 += rate_ES[..., None] * (missed_ES2 - error_ES2)


def _limit(error_ES: Float32) -> Float32:
    """The largest error that teaches: one absurd value must neither bend the weights nor blind the comparison."""
    return np.where(error_ES > 0, np.float32(_CLIP) * error_ES, np.float32(np.inf)).astype(np.float32)
