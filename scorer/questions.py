"""Champion and challenger are asked the same, and judged by what came: the next row's values, a rule's worst value.

A state task is asked again only when the answer to its last question is known: the rows judged do not overlap.

N rows, n rows of one wave, S_t target signals, Q quantiles, C classes; axis V: champion, challenger.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from schemas.layout import Layout
from schemas.observation import Bool, Field, Float64, Int64
from schemas.prediction import Predictions
from schemas.task import Target
from scorer.store import Store
from scorer.waves import waves_of

_TENTHS = 10
_RATE = 0.05
"""How fast the size of a signal's usual change is learned: a loss of 1 is about that."""
_WORST = 10.0
"""A signal's loss counts no more than this: one forecast gone wild must not hide what all the others say."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What was answered, per row; NaN and -1 where nothing could be judged.

    Attributes:
        loss: task -> losses of both, [N, V].
        inside: rows and signals whose outer band could be judged, and those it held, [N, 1 + V].
        came: state task -> whether the class that is warned of came, 0 or 1, -1 unknown, [N].
        probability: state task -> how probable both had called that, [N, V].
    """

    loss: dict[str, Float64]
    inside: Float64
    came: dict[str, Int64]
    probability: dict[str, Float64]

    def sums(self, rows: Bool) -> dict[str, tuple[float, ...]]:
        """Of the rows, as `schemas.shadow.Sums`."""
        found: dict[str, tuple[float, ...]] = {}
        for task, loss_NV in self.loss.items():
            judged_NV = loss_NV[rows & ~np.isnan(loss_NV[:, 0])]
            squares = float(((judged_NV[:, 1] - judged_NV[:, 0]) ** 2).sum())
            found[f"{task}.loss"] = (float(len(judged_NV)), *map(float, judged_NV.sum(0)), squares)
            if task not in self.came:
                found[f"{task}.coverage"] = tuple(map(float, self.inside[rows].sum(0)))
        for task, came_N in self.came.items():
            known = rows & (came_N >= 0)
            for place, side in enumerate(("champion", "challenger")):
                found[f"{task}.{side}"] = _tenths(self.probability[task][known, place], came_N[known])
        return found


class Questions:
    """Asks and judges. What waits for its answer is state of the entity, fields ``question.*`` of the store."""

    def __init__(self, layout: Layout, store: Store) -> None:
        self._layout, self._store = layout, store
        self._quantiles = np.array(layout.forecast.quantiles)
        rules = [rule.name for rule in layout.monitor.rules]
        self._states = [
            (place, task, task.target, rules.index(task.target.rule))
            for place, task in enumerate(layout.states)
            if task.target is not None
        ]

    def ask(self, champion: Predictions, challenger: Predictions, slot: Int64, accepted: Bool) -> Answers:
        """Judge what stood open by these rows, then ask anew on each. `slot` [N] is the store's own."""
        n, rows = len(slot), np.flatnonzero(accepted)
        answers = Answers(
            loss={self._layout.forecast.name: np.full((n, 2), np.nan)}
            | {task.name: np.full((n, 2), np.nan) for _, task, _, _ in self._states},
            inside=np.zeros((n, 3)),
            came={task.name: np.full(n, -1) for _, task, _, _ in self._states},
            probability={task.name: np.zeros((n, 2)) for _, task, _, _ in self._states},
        )
        both = (champion, challenger)
        for wave in waves_of(slot[rows]):
            self._forecast(both, rows[wave], slot[rows[wave]], answers)
            for place, _, target, rule in self._states:
                self._state(both, rows[wave], slot[rows[wave]], answers, place, target, rule)
        return answers

    def _forecast(self, both: Sequence[Predictions], rows: Int64, slot: Int64, answers: Answers) -> None:
        band_nVSQ, last_nS, scale_nS = (self._store.field(f"question.{name}")[slot] for name in _FORECAST)
        value_nS = both[0].batch.values[rows, : self._layout.n_targets]
        change_nS = np.abs(value_nS - last_nS)
        scale_nS = np.where(scale_nS > 0, scale_nS + _RATE * (np.nan_to_num(change_nS) - scale_nS), change_nS)
        known_nS = ~np.isnan(value_nS) & ~np.isnan(band_nVSQ).any((1, 3)) & (scale_nS > 0)
        ahead_nVSQ = value_nS[:, None, :, None] - band_nVSQ
        pinball_nVS = np.maximum(self._quantiles * ahead_nVSQ, (self._quantiles - 1) * ahead_nVSQ).mean(-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            loss_nVS = np.where(known_nS[:, None], np.minimum(2 * pinball_nVS / scale_nS[:, None], _WORST), 0.0)
            loss_nV = loss_nVS.sum(-1) / known_nS.sum(-1)[:, None]
        answers.loss[self._layout.forecast.name][rows] = loss_nV
        held_nVS = (ahead_nVSQ[..., 0] >= 0) & (ahead_nVSQ[..., -1] <= 0) & known_nS[:, None]
        answers.inside[rows] = np.column_stack([known_nS.sum(-1), held_nVS.sum(-1)])
        asked_nVSQ = np.stack([each.forecast[rows, :, 0] for each in both], 1)
        last_nS = np.where(np.isnan(value_nS), last_nS, value_nS)
        scale_nS = np.where(np.isnan(change_nS), self._store.field("question.scale")[slot], scale_nS)
        for name, value in zip(_FORECAST, (asked_nVSQ, last_nS, scale_nS), strict=True):
            self._store.field(f"question.{name}")[slot] = value

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
    targets, quantiles = layout.n_targets, len(layout.forecast.quantiles)
    forecast: dict[str, Field] = {
        "question.band": np.full((1, 2, targets, quantiles), np.nan),
        "question.last": np.full((1, targets), np.nan),
        "question.scale": np.zeros((1, targets)),
    }
    states: dict[str, Field] = {
        f"question.{name}.{place}": value
        for place, task in enumerate(layout.states)
        for name, value in (
            ("left", np.zeros(1, dtype=np.int16)),
            ("worst", np.full(1, -np.inf)),
            ("asked", np.zeros((1, 2, len(task.classes)), dtype=np.float32)),
        )
    }
    return forecast | states


_FORECAST = ("band", "last", "scale")
_STATE = ("left", "worst", "asked")


def _tenths(probability: Float64, came: Int64) -> tuple[float, ...]:
    tenth = np.minimum((probability * _TENTHS).astype(np.int64), _TENTHS - 1)
    columns = [np.bincount(tenth, weights, _TENTHS) for weights in (None, probability, came)]
    return tuple(map(float, np.column_stack(columns).ravel()))
