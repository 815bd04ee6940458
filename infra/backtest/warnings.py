"""Were people warned? Alerts of state and event tasks against what they warn of, beside rules and chance.

An event of a state task is an onset: its rule reaches the classes warned of after a calm as long as the task looks
ahead. An event of an event task is an outcome that came true. An alarm foretold it if it opened before, within the
horizon; an alarm while the worst stands already comes too late; every other one is false. n rows in stream order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from infra.backtest.alarms import Alarms
from infra.backtest.figures import Judged, number
from infra.backtest.table import ScoresTable, per_entity_day
from infra.metrics.baselines import random_scores
from infra.metrics.forecast import last_known
from infra.metrics.state import classes_of
from infra.metrics.warning import Moments, lead_times, match, onsets
from ingest.outcomes import Outcome
from schemas.horizon import Horizon
from schemas.observation import Bool, Float64, Int64
from schemas.task import Task

_QUARTILES = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class _Stream:
    """Scored rows, of which those from `first` on are judged."""

    table: ScoresTable
    row: Int64
    first: int

    @cached_property
    def entity(self) -> Int64:
        return pd.factorize(self.table.entity[self.row])[0].astype(np.int64)

    @cached_property
    def place(self) -> Int64:
        return np.array(pd.Series(self.entity).groupby(self.entity).cumcount(), dtype=np.int64)

    def moments(self, at_n: Int64) -> Moments:
        """Those of some rows, given by their place in the stream, that are judged."""
        judged = at_n[at_n >= self.first]
        return Moments(self.entity[judged], self.place[judged], self.table.time_ms[self.row[judged]])

    def opened(self, task: str, kind: str) -> Int64:
        """Where alerts opened."""
        return np.flatnonzero(np.isin(self.row, self.table.opened.get((task, kind), [])))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a task warns of.

    Attributes:
        events: what came.
        horizon: how long before it an alarm may come.
        worst: rows at which it stands already, [n].
        scores: baseline -> what it alarms by, [n].
        rule: name and kind of the rule whose alerts stand beside; None without rules.
    """

    events: Moments
    horizon: Horizon | None
    worst: Bool
    scores: Mapping[str, Float64]
    rule: tuple[str, str] | None


def judge_warnings(
    table: ScoresTable, stream_n: Int64, first: int, outcomes: Sequence[Outcome], seed: int
) -> dict[str, Judged]:
    """`warnings` of each task that has severities.

    Left out: states that labels alone teach, which have no onsets, and events of which no outcome was told.

    `events`, how many were `caught`, `lead_hours` and `lead_rows` (quartiles) from the first alarm to the event;
    `alarms`, how many were `foretelling`, `late` and `false`, `false_per_entity_day`, `precision` (foretelling of all).
    Baselines: the rule's own alerts; and persistence (the rule's score now), single signals (how far any one that the
    rule reads lies from what is usual of all entities, known in hindsight) and random scores, through the same stages
    at the threshold that raises as many alarms, and silent too while the worst stands.
    """
    stream = _Stream(table, stream_n, first)
    scored = set(table.entity[stream_n])
    told = {outcome.task for outcome in outcomes if outcome.entity in scored}
    found = {}
    for task in table.layout.choices:
        if not task.severities or (task.target is None and task.name not in told):
            continue
        asked = _of_state(stream, task) if task.target else _of_event(stream, task, outcomes)
        found[task.name] = _judged(stream, task, asked, seed)
    return found


def _judged(stream: _Stream, task: Task, asked: _Asked, seed: int) -> Judged:
    ours_n = stream.opened(task.name, task.kind.value)
    alarms = Alarms(stream.table.layout.monitor.alerts, stream.entity, stream.place)
    chance_n = random_scores(len(stream.row), np.random.default_rng(seed))
    scores = {"random": chance_n, **asked.scores}
    beside = {name: alarms.as_many(np.where(asked.worst, np.nan, each), len(ours_n)) for name, each in scores.items()}
    if asked.rule is not None:
        beside["rule"] = stream.opened(*asked.rule)
    return Judged(
        {"warnings": _figures(stream, asked, ours_n)},
        {name: {"warnings": _figures(stream, asked, alarms_n)} for name, alarms_n in beside.items()},
    )


def _figures(stream: _Stream, asked: _Asked, alarms_n: Int64) -> dict[str, Any]:
    alarms, events = stream.moments(alarms_n), asked.events
    warned = match(alarms, events, asked.horizon)
    hours, rows = lead_times(alarms, events, warned)
    late = asked.worst[alarms_n[alarms_n >= stream.first]] & ~warned.followed
    false = int((~late & ~warned.followed).sum())
    caught = int((warned.first >= 0).sum())
    return {
        "events": len(events) or "none happened",
        "caught": caught,
        "caught_share": number(caught / len(events)) if len(events) else None,
        "lead_hours": _quartiles(hours),
        "lead_rows": _quartiles(rows),
        "alarms": len(alarms),
        "foretelling": int(warned.followed.sum()),
        "late": int(late.sum()),
        "false": false,
        "false_per_entity_day": per_entity_day(false, stream.table, stream.row[stream.first :]),
        "precision": number(float(warned.followed.mean())) if len(alarms) else None,
    }


def _quartiles(values: Sequence[float]) -> dict[str, float | None]:
    if not values:
        return {f"q{quartile:g}": None for quartile in _QUARTILES}
    return {f"q{quartile:g}": number(float(np.quantile(values, quartile))) for quartile in _QUARTILES}


def _of_state(stream: _Stream, task: Task) -> _Asked:
    assert task.target is not None
    table, target = stream.table, task.target
    score_n = table.rules[stream.row, table.ruled.index(task)]
    worst_n = classes_of(score_n, target.cuts) >= task.warns_from
    spoken_n = np.flatnonzero(~np.isnan(score_n))
    begun_n = spoken_n[onsets(worst_n[spoken_n], stream.entity[spoken_n], target.within)]
    last_n = last_known(score_n[:, None], stream.entity)[:, 0]
    rule = next(rule for rule in table.layout.monitor.rules if rule.name == target.rule)
    standing_n = classes_of(last_n, target.cuts) >= task.warns_from
    scores = {"persistence": last_n, "single_signal": _farthest(stream, rule.signals)}
    apart = {name: _apart(score_n, stream.entity) for name, score_n in scores.items()}
    return _Asked(stream.moments(begun_n), target.within, standing_n, apart, (rule.name, rule.kind.value))


def _of_event(stream: _Stream, task: Task, outcomes: Sequence[Outcome]) -> _Asked:
    """Outcomes that came true, when they happened; where that was not told, at the last row before it was known."""
    numbers: Mapping[str, int] = dict(zip(stream.table.entity[stream.row], stream.entity.tolist(), strict=True))
    rows_of = pd.Series(np.arange(len(stream.row))).groupby(stream.entity).indices
    found, late_n = [], _never(stream)
    for outcome in outcomes:
        if outcome.task != task.name or not outcome.value or outcome.entity not in numbers:
            continue
        whose = numbers[outcome.entity]
        rows_n = rows_of[whose]
        time_ms = stream.table.time_ms[stream.row[rows_n]]
        until_ms = outcome.revealed_ms if outcome.occurred_ms is None else outcome.occurred_ms
        place = int(np.searchsorted(time_ms, until_ms, side="left"))
        late_n[rows_n[place:]] = True
        if place and rows_n[place - 1] >= stream.first:
            came_ms = int(time_ms[place - 1]) if outcome.occurred_ms is None else outcome.occurred_ms
            found.append((whose, place, came_ms))
    events = Moments(*np.array(found, dtype=np.int64).reshape(-1, 3).T)
    rules = stream.table.layout.monitor.rules
    return _Asked(events, task.within, late_n, {}, (rules[0].name, rules[0].kind.value) if rules else None)


def _farthest(stream: _Stream, signals: Sequence[str]) -> Float64:
    """How far the last value of any one signal lies from the median of all rows, in their interquartile ranges, [n]."""
    layout = stream.table.layout
    columns = [layout.index[name] for name in signals if layout.index[name] < layout.n_targets]
    value_nS = last_known(stream.table.values[stream.row][:, columns], stream.entity)
    value_nS[:, np.isnan(value_nS).all(0)] = 0.0  # never seen: without a spread it says nothing
    low_S, middle_S, high_S = np.nanquantile(value_nS, _QUARTILES, axis=0)
    spread_S = np.where(high_S > low_S, high_S - low_S, np.nan)
    farthest_n: Float64 = np.fmax.reduce(np.abs(value_nS - middle_S) / spread_S, axis=1, initial=np.nan)
    return farthest_n


def _never(stream: _Stream) -> Bool:
    return np.zeros(len(stream.row), dtype=np.bool_)


def _apart(score_n: Float64, entity_n: Int64) -> Float64:
    """Ranks of scores, an entity's own draw deciding ties: a score of few levels still has a threshold for any rate."""
    draw = np.random.default_rng(0).random(int(entity_n.max(initial=-1)) + 1)[entity_n]
    rank_n = np.full(len(score_n), np.nan)
    rank_n[np.lexsort((draw, score_n))] = np.arange(1, len(score_n) + 1) / len(score_n)
    return np.where(np.isnan(score_n), np.nan, rank_n)
