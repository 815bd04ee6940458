"""A budget that is kept: surprises in, alarms out, at the rate that was asked for."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from schemas.alert import ALARMS, Alert
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.observation import Partition
from schemas.prediction import Predictions
from scorer.scorer import Scorer, state_template
from scorer.stages.pipeline import AlertPipeline
from scorer.store import Store
from tests.laws.ward import batch

PARTITION = Partition("vitals", 0)
WARD = {
    "monitor": "ward",
    "topics": {"observations": PARTITION.topic},
    "modalities": [
        {"name": "vitals", "signals": [{"name": "HR"}]},
        {"name": "home", "scope": "static", "signals": [{"name": "unit"}]},
    ],
    "tasks": [{"name": "forecast", "kind": "forecast"}, {"name": "anomaly", "kind": "anomaly"}],
    "rules": [
        {"name": "fast", "kind": "band", "signal": "HR", "high": 100, "severities": {"warning": 20, "critical": 60}}
    ],
}
PLAIN = {"resolve_after": 1, "cooldown": 0, "warm_up": 0}
ENTITIES, HOURS = 30, 240


def layout(budget: object, **alerts: object) -> Layout:
    return Layout(Monitor.model_validate(WARD | {"alerts": PLAIN | {"budget": budget} | alerts}))


@cache
def rows_of(hours: int) -> Predictions:
    """Rows an hour apart whose surprise is the -log10 of a uniform draw; odd entities are of unit 1, even ones of 0."""
    asked = layout(0.5)
    entity, hour = np.tile(np.arange(ENTITIES), hours), np.repeat(np.arange(hours), ENTITIES)
    stream = batch(entity, np.column_stack([np.full(len(entity), 80.0), entity % 2]), hour * 3_600_000 + entity)
    rows = len(entity)
    scorer = Scorer(asked, Store(state_template(asked)), lambda _: None)
    said = scorer.score(stream, np.zeros(rows, dtype=np.bool_), np.ones(rows, dtype=int))
    return replace(said, surprise=-np.log10(np.random.default_rng(0).random(rows)))


def scored(asked: Layout, hours: int = HOURS) -> tuple[Store, Predictions]:
    """The rows, and a store in which nothing was decided yet."""
    store = Store(state_template(asked))
    store.slots(PARTITION, map(str, range(ENTITIES)))
    return store, rows_of(hours)


def raised(asked: Layout, store: Store, said: Predictions, cuts: Any = (), **pipeline: int) -> list[Alert]:
    """Alarms where the rows came in batches that end at these cuts."""
    judge = AlertPipeline(asked, store, **pipeline)
    parts = np.split(np.arange(len(said.slot)), cuts)
    return [alert for part in parts for alert in judge.decide(picked(said, part)) if alert.change in ALARMS]


def picked(said: Predictions, part: np.ndarray) -> Predictions:
    """Some of the rows."""
    of_batch = ("time_ms", "values", "partition", "offset", "status", "masked")
    columns = {name: getattr(said.batch, name)[part] for name in of_batch}
    rows = replace(said.batch, **columns, entity=[said.batch.entity[row] for row in part.tolist()])
    of_rows = ("status", "slot", "silent", "rows_seen", "surprise", "probability", "evidence", "expected", "taught")
    columns = {name: getattr(said, name)[part] for name in (*of_rows, "lent", "rules", "last", "age", "version")}
    return replace(said, batch=rows, backing=(), **columns)


def test_each_entity_and_day_has_the_alarms_that_were_asked_for() -> None:
    asked = layout("0.5 per entity-day")
    days = ENTITIES * (HOURS - 1) / 24
    assert len(raised(asked, *scored(asked))) / days == pytest.approx(0.5, rel=0.1)


def test_the_rate_holds_where_surprises_double() -> None:
    asked = layout("0.5 per entity-day")
    store, said = scored(asked)
    doubled = said.surprise * np.where(np.arange(len(said.surprise)) > len(said.surprise) // 2, 2.0, 1.0)
    days = ENTITIES * (HOURS - 1) / 24
    assert len(raised(asked, store, replace(said, surprise=doubled))) / days == pytest.approx(0.5, rel=0.1)


def test_alarms_that_people_called_false_make_the_learned_scores_rarer() -> None:
    asked, counts = layout(2.0), []
    for strictness in (0.0, 0.3, 1.0):
        store, said = scored(asked)
        counts.append(len(raised(asked, store, replace(said, strictness={"anomaly": strictness}))))
    assert counts[0] > 1.5 * counts[1] > 3.0 * counts[2] > 0


def test_what_people_called_false_leaves_more_of_a_budget_to_rules() -> None:
    asked, shares = layout("8 per day"), []
    for strictness in (0.0, 1.0):
        store, said = scored(asked)
        warned = np.where(np.arange(len(said.slot)) % 40 == 0, 25.0, 0.0)[:, None]
        alarms = raised(asked, store, replace(said, rules=warned, strictness={"anomaly": strictness}))
        shares.append(sum(alarm.task == "fast" for alarm in alarms) / len(alarms))
    assert shares[1] > 1.2 * shares[0] > 0


@pytest.mark.parametrize("budget", ["0.5 per entity-day", "8 per day", {"group": "3 per day", "by": "unit"}])
def test_alarms_do_not_depend_on_batches(budget: object) -> None:
    asked = layout(budget)
    cuts = np.sort(np.random.default_rng(1).integers(0, ENTITIES * HOURS, 300))
    assert raised(asked, *scored(asked), cuts) == raised(asked, *scored(asked))


def test_a_total_holds_however_many_there_are() -> None:
    asked = layout("8 per day")
    assert len(raised(asked, *scored(asked))) / (HOURS / 24) == pytest.approx(8, rel=0.15)


def test_a_partition_has_its_share_of_the_total() -> None:
    asked = layout("8 per day")
    assert len(raised(asked, *scored(asked), partitions=4)) / (HOURS / 24) == pytest.approx(2, rel=0.3)


def test_a_group_that_is_restless_does_not_take_the_others_alarms() -> None:
    asked = layout({"group": "4 per day", "by": "unit"})
    store, said = scored(asked, hours=2 * HOURS)
    odd = np.array([int(name) % 2 for name in said.batch.entity])
    alarms = raised(asked, store, replace(said, surprise=said.surprise * (1.0 + odd)))
    of_odd = sum(int(alert.entity) % 2 for alert in alarms)
    assert [count / (2 * HOURS / 24) for count in (of_odd, len(alarms) - of_odd)] == pytest.approx([4, 4], rel=0.25)


def test_one_that_alarms_without_end_leaves_the_others_most_of_theirs() -> None:
    asked = layout("0.5 per entity-day")
    store, said = scored(asked)
    mad = np.array([name == "3" for name in said.batch.entity])
    alarms = raised(asked, store, replace(said, surprise=said.surprise * np.where(mad, 4.0, 1.0)))
    assert sum(alert.entity == "3" for alert in alarms) < len(alarms) / 4


def ruled(said: Predictions, score: float) -> Predictions:
    """Nothing but a rule's score on each entity's even hours."""
    odd = (said.rows_seen % 2).astype(np.bool_)
    rules = np.where(odd, 0.0, score)[:, None]
    return replace(said, rules=rules, surprise=np.zeros(len(odd)))


def test_a_critical_rule_is_raised_whatever_it_costs_and_a_warning_is_not() -> None:
    asked = layout("0.5 per entity-day")
    counts = []
    for score in (70.0, 30.0):
        store, said = scored(asked, hours=100)
        counts.append(len(raised(asked, store, ruled(said, score))))
    assert (counts[0], counts[1] < 100) == (ENTITIES * 50, True)


@pytest.mark.parametrize(("score", "alone"), [(70.0, True), (30.0, False)])
def test_alarms_that_no_price_holds_back_are_counted_apart(score: float, *, alone: bool) -> None:
    asked = layout("0.5 per entity-day")
    store, said = scored(asked, hours=100)
    judge = AlertPipeline(asked, store)
    judge.decide(ruled(said, score))
    assert judge.budgets is not None
    told = judge.budgets.achieved(PARTITION)["entity"]
    assert (told.always, told.out_of_reach) == (told.alarms if alone else 0, alone)


def test_always_may_be_said_of_warnings_too() -> None:
    asked = layout("0.5 per entity-day", always="warning")
    store, said = scored(asked, hours=100)
    assert len(raised(asked, store, ruled(said, 30.0))) == ENTITIES * 50


def test_what_a_miss_costs_decides_who_gets_the_alarms() -> None:
    shares = []
    for cost in (0.05, 500.0):
        asked = layout("1 per entity-day", costs_of_miss={"fast": cost})
        store, said = scored(asked)
        rules = np.where(np.random.default_rng(3).random(len(said.slot)) < 0.05, 30.0, 0.0)[:, None]
        alarms = raised(asked, store, replace(said, rules=rules))
        shares.append(sum(alert.task == "fast" for alert in alarms) / len(alarms))
    assert (shares[0] < 0.3, shares[1] > 0.7) == (True, True)


def test_what_was_achieved_is_told_in_the_unit_that_was_asked() -> None:
    asked = layout({"entity": "3 per week", "total": "5 per hour"})
    store, said = scored(asked)
    judge = AlertPipeline(asked, store)
    alarms = [alert for alert in judge.decide(said) if alert.change in ALARMS]
    assert judge.budgets is not None
    told = judge.budgets.achieved(PARTITION)
    assert {name: (each.alarms, round(each.spans, 2)) for name, each in told.items()} == {
        "entity": (len(alarms), round(ENTITIES * (HOURS - 1) / 24 / 7, 2)),
        "total": (len(alarms), HOURS - 1 + 0.0),
    }
