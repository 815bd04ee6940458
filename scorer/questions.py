"""Champion and challenger are asked the same, and judged by what came: values at each horizon, a rule's worst value.

Judged is what rows settle by themselves: the forecast at every horizon, and states that have a rule as their target. No
truth about the others comes to a shard: labels, of states without a target, of events and of the anomaly task, are told
to trainers alone, as injected faults are, whose gate judges these before a version is tried.

Each question, a horizon's or a state's, is asked again only when its last answer is known. So state does not grow with
how far it looks, and the rows judged do not overlap: errors over the same rows are no independent ones.

N rows, n rows of one wave, S_t target signals, H horizons, of which R in rows and D durations, Q quantiles, C classes;
axis V: champion, challenger.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import torch

from schemas.horizon import name_of, rows_of
from schemas.layout import Layout
from schemas.observation import Bool, Field, Float64, Int64
from schemas.prediction import Predictions
from schemas.task import Target
from scorer.store import Store
from scorer.waves import waves_of
from trainer.criteria import pinball
from trainer.rows import to_model

_TENTHS = 10
_WORST = 10.0
"""A signal's loss counts no more than this: one forecast gone wild must not hide what all the others say."""
_NEVER_MS = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class Answers:
    """What was answered, per row; NaN and -1 where nothing could be judged.

    A question is a state task, by its name, or the forecast at one horizon: ``forecast.h6``.

    Attributes:
        loss: question -> losses of both, [N, V].
        inside: horizon's question -> signals whose outer band could be judged, and those it held, [N, 1 + V].
        came: state task -> whether the class that is warned of came, 0 or 1, -1 unknown, [N].
        probability: state task -> how probable both had called that, [N, V].
    """

    loss: dict[str, Float64]
    inside: dict[str, Float64]
    came: dict[str, Int64]
    probability: dict[str, Float64]

    def sums(self, rows: Bool) -> dict[str, tuple[float, ...]]:
        """Of the rows, as `schemas.shadow.Sums`."""
        found: dict[str, tuple[float, ...]] = {}
        for question, loss_NV in self.loss.items():
            judged_NV = loss_NV[rows & ~np.isnan(loss_NV[:, 0])]
            squares = float(((judged_NV[:, 1] - judged_NV[:, 0]) ** 2).sum())
            found[f"{question}.loss"] = (float(len(judged_NV)), *map(float, judged_NV.sum(0)), squares)
        for question, inside_N3 in self.inside.items():
            found[f"{question}.coverage"] = tuple(map(float, inside_N3[rows].sum(0)))
        for task, came_N in self.came.items():
            known = rows & (came_N >= 0)
            for place, side in enumerate(("champion", "challenger")):
                found[f"{task}.{side}"] = _tenths(self.probability[task][known, place], came_N[known])
        return found


class Questions:
    """Asks and judges. What waits for its answer is state of the entity, fields ``question.*`` of the store."""

    def __init__(self, layout: Layout, store: Store) -> None:
        self._layout, self._store, self._horizons = layout, store, _horizons_of(layout)
        task = layout.forecast
        self._quantile_Q = torch.tensor(task.quantiles, dtype=torch.float64)
        self._rows_R = np.array([each for each in task.horizons if isinstance(each, int)], dtype=np.int16)
        self._span_ms_D = np.array(_spans_ms(layout), dtype=np.int64)
        self._unit_H = 0.5 * np.sqrt([rows_of(each) for each in task.horizons])
        rules = [rule.name for rule in layout.monitor.rules]
        self._states = [
            (place, task, task.target, rules.index(task.target.rule))
            for place, task in enumerate(layout.states)
            if task.target is not None
        ]

    def ask(self, champion: Predictions, challenger: Predictions, slot: Int64, accepted: Bool) -> Answers:
        """Judge what stood open by these rows, then ask anew on each. `slot` [N] is the store's own."""
        n, rows = len(slot), np.flatnonzero(accepted)
        states = [task.name for _, task, _, _ in self._states]
        answers = Answers(
            loss={name: np.full((n, 2), np.nan) for name in (*self._horizons, *states)},
            inside={name: np.zeros((n, 3)) for name in self._horizons},
            came={name: np.full(n, -1) for name in states},
            probability={name: np.zeros((n, 2)) for name in states},
        )
        both = (champion, challenger)
        for wave in waves_of(slot[rows]):
            self._forecast(both, rows[wave], slot[rows[wave]], answers)
            for place, _, target, rule in self._states:
                self._state(both, rows[wave], slot[rows[wave]], answers, place, target, rule)
        return answers

    def _forecast(self, both: Sequence[Predictions], rows: Int64, slot: Int64, answers: Answers) -> None:
        batch = both[0].batch
        value_nS = to_model(batch.values[rows, : self._layout.n_targets], self._layout)
        time_ms_n1 = batch.time_ms[rows, None]
        left_nR, until_ms_nD, newest_nSD = (self._store.field(f"question.{name}")[slot] for name in _FORECAST)
        over_nD, free_nR = time_ms_n1 > until_ms_nD, left_nR <= 1
        came_nSR = np.where((left_nR == 1)[:, None], value_nS[..., None], np.nan)
        came_nSD = np.where(over_nD[:, None], newest_nSD, np.nan)
        self._judge(rows, slot, np.concatenate([came_nSR, came_nSD], -1), both[0].scale[rows], answers)
        self._ask_anew(both, rows, slot, np.concatenate([free_nR, over_nD], -1))
        newest_nSD = np.where(np.isnan(value_nS)[..., None], newest_nSD, value_nS[..., None])
        waits = (
            np.where(free_nR, self._rows_R, left_nR - 1),
            np.where(over_nD, time_ms_n1 + self._span_ms_D, until_ms_nD),
            np.where(over_nD[:, None], np.nan, newest_nSD),
        )
        for name, value in zip(_FORECAST, waits, strict=True):
            self._store.field(f"question.{name}")[slot] = value

    def _judge(self, rows: Int64, slot: Int64, came_nSH: Float64, scale_nS: Float64, answers: Answers) -> None:
        """What came, model scale, NaN nothing: few of all signals and horizons, K in all."""
        n, s, h = np.nonzero(~np.isnan(came_nSH))
        error_KVQ = came_nSH[n, s, h][:, None, None] - self._store.field("question.band")[slot[n], :, s, h]
        known = ~np.isnan(error_KVQ).any((1, 2))
        n, s, h, error_KVQ = n[known], s[known], h[known], error_KVQ[known]
        cost_KV = pinball(torch.from_numpy(error_KVQ), self._quantile_Q).numpy().mean(-1)
        loss_KV = np.minimum(cost_KV / (self._unit_H[h] * scale_nS[n, s])[:, None], _WORST)
        held_KV = (error_KVQ[..., 0] >= 0) & (error_KVQ[..., -1] <= 0)
        for place, name in enumerate(self._horizons):
            mine = h == place
            count_n, *sums = (
                np.bincount(n[mine], weights, len(rows)) for weights in (None, *loss_KV[mine].T, *held_KV[mine].T)
            )
            with np.errstate(invalid="ignore"):
                answers.loss[name][rows] = np.stack(sums[:2], -1) / count_n[:, None]
            answers.inside[name][rows] = np.stack([count_n, *sums[2:]], -1)

    def _ask_anew(self, both: Sequence[Predictions], rows: Int64, slot: Int64, free_nH: Bool) -> None:
        n, h = np.nonzero(free_nH)
        for side, each in enumerate(both):
            asked = np.moveaxis(each.forecast[rows[n], :, h], 1, -1)
            self._store.field("question.band")[slot[n], side, :, h] = np.moveaxis(to_model(asked, self._layout), -1, 1)

    def _state(
        self,
        both: Sequence[Predictions],
        rows: Int64,
        slot: Int64,
        answers: Answers,
        place: int,
        target: Target,
        rule: int,
    ) -> None:
        task = self._layout.states[place]
        left, worst, asked = (self._store.field(f"question.{name}.{place}") for name in _STATE)
        worst[slot] = np.fmax(worst[slot], both[0].rules[rows, rule])
        answered = (left[slot] == 1) & np.isfinite(worst[slot])
        left[slot] = np.maximum(left[slot] - 1, 0)
        came_n = np.searchsorted(np.array(target.cuts), worst[slot[answered]], side="right")
        truth_nC = np.eye(len(task.classes))[came_n]
        asked_nVC = asked[slot[answered]].astype(np.float64)
        answers.loss[task.name][rows[answered]] = ((asked_nVC - truth_nC[:, None]) ** 2).sum(-1)
        answers.came[task.name][rows[answered]] = came_n >= task.warns_from
        answers.probability[task.name][rows[answered]] = asked_nVC[..., task.warns_from :].sum(-1)
        free = left[slot] == 0
        asked[slot[free]] = np.stack([each.states[place][rows[free]] for each in both], 1)
        left[slot[free]], worst[slot[free]] = target.within, -np.inf


def question_template(layout: Layout) -> dict[str, Field]:
    """State of an entity never seen: field ``question.<name>`` -> [1, ...]."""
    task, targets, spans = layout.forecast, layout.n_targets, len(_spans_ms(layout))
    forecast: dict[str, Field] = {
        "question.band": np.full((1, 2, targets, len(task.horizons), len(task.quantiles)), np.nan),
        "question.left": np.zeros((1, len(task.horizons) - spans), dtype=np.int16),
        "question.until_ms": np.full((1, spans), _NEVER_MS),
        "question.newest": np.full((1, targets, spans), np.nan),
    }
    states: dict[str, Field] = {
        f"question.{name}.{place}": value
        for place, task in enumerate(layout.states)
        if task.target is not None
        for name, value in (
            ("left", np.zeros(1, dtype=np.int16)),
            ("worst", np.full(1, -np.inf)),
            ("asked", np.zeros((1, 2, len(task.classes)), dtype=np.float32)),
        )
    }
    return forecast | states


def _horizons_of(layout: Layout) -> tuple[str, ...]:
    """The forecast's questions, one a horizon: ``forecast.h1``, ``forecast.h900s``."""
    return tuple(f"{layout.forecast.name}.{name_of(horizon)}" for horizon in layout.forecast.horizons)


_FORECAST = ("left", "until_ms", "newest")
_STATE = ("left", "worst", "asked")


def _spans_ms(layout: Layout) -> list[int]:
    return [
        round(horizon / timedelta(milliseconds=1))
        for horizon in layout.forecast.horizons
        if isinstance(horizon, timedelta)
    ]


def _tenths(probability: Float64, came: Int64) -> tuple[float, ...]:
    tenth = np.minimum((probability * _TENTHS).astype(np.int64), _TENTHS - 1)
    columns = [np.bincount(tenth, weights, _TENTHS) for weights in (None, probability, came)]
    return tuple(map(float, np.column_stack(columns).ravel()))
