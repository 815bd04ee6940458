"""A false discovery rate that is controlled: surprises in, alerts out, of which no more are false than was asked."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from schemas.alert import Alert, Change
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.observation import Partition
from schemas.prediction import Predictions
from scorer.scorer import state_template
from scorer.stages.pipeline import AlertPipeline
from scorer.store import Store
from tests.unit.scorer.test_budgets import ENTITIES, PARTITION, WARD, picked, rows_of, ruled

OTHER = Partition("vitals", 1)
HOURS = 600
PLAIN = {"resolve_after": 1, "cooldown": 20, "warm_up": 0}


def layout(rate: float = 0.1, **alerts: object) -> Layout:
    return Layout(Monitor.model_validate(WARD | {"alerts": PLAIN | {"false_discovery_rate": rate} | alerts}))


def faulty(said: Predictions, strength: float = 7.0) -> tuple[Predictions, np.ndarray]:
    """One row in 400 is a fault of about this strength."""
    rng = np.random.default_rng(4)
    fault_N = rng.random(len(said.slot)) < 1.0 / 400.0
    return replace(said, surprise=np.where(fault_N, strength + rng.normal(size=len(fault_N)), said.surprise)), fault_N


def raised(asked: Layout, said: Predictions, cuts: Any = ()) -> list[Alert]:
    """Steps of alerts where the rows came in batches that end at these cuts."""
    store = Store(state_template(asked))
    for place, partition in enumerate(said.batch.partitions):
        mine = np.unique(said.slot[said.batch.partition == place])
        assert store.slots(partition, map(str, mine.tolist())) == mine.tolist()
    judge = AlertPipeline(asked, store)
    parts = np.split(np.arange(len(said.slot)), cuts)
    return [alert for part in parts for alert in judge.decide(picked(said, part))]


def opened(alerts: Sequence[Alert]) -> list[int]:
    return [alert.offset for alert in alerts if alert.change is Change.OPENED and alert.task == "anomaly"]


@pytest.mark.parametrize("scale", [0.7, 1.0, 2.0])
def test_no_more_alerts_are_false_than_was_asked_for_whatever_scale_evidence_has(scale: float) -> None:
    said, fault_N = faulty(rows_of(HOURS), strength=9.0)
    found = opened(raised(layout(0.2), replace(said, surprise=scale * said.surprise)))
    false = [row for row in found if not fault_N[row]]
    assert (len(found) > 0.5 * fault_N.sum(), len(false) <= 0.2 * len(found)) == (True, True)


def test_where_nothing_is_wrong_hardly_any_is_raised() -> None:
    assert len(opened(raised(layout(0.1), rows_of(HOURS)))) <= 1


def test_who_tolerates_more_false_alerts_is_told_of_more_faults() -> None:
    said, fault_N = faulty(rows_of(HOURS), strength=6.0)
    caught = [int(fault_N[opened(raised(layout(rate), said))].sum()) for rate in (0.02, 0.4)]
    assert caught[1] > caught[0] + 0.5 * fault_N.sum()


def test_alerts_do_not_depend_on_batches() -> None:
    said, _ = faulty(rows_of(HOURS))
    cuts = np.sort(np.random.default_rng(1).integers(0, ENTITIES * HOURS, 300))
    assert raised(layout(), said, cuts) == raised(layout(), said)


def test_partitions_share_nothing() -> None:
    whole, _ = faulty(rows_of(HOURS))
    said = picked(whole, np.flatnonzero(whole.slot < ENTITIES // 2))
    beside = replace(
        whole.batch, partitions=(PARTITION, OTHER), partition=(whole.slot >= ENTITIES // 2).astype(np.int64)
    )
    together = [each for each in raised(layout(), replace(whole, batch=beside)) if each.partition == PARTITION]
    assert together == raised(layout(), said)


def test_rules_are_never_held_back() -> None:
    said = ruled(rows_of(100), 30.0)
    warned = [alert for alert in raised(layout(), said) if alert.change is Change.OPENED]
    assert {(alert.task, alert.entity) for alert in warned} == {("fast", str(each)) for each in range(ENTITIES)}


def test_alerts_that_people_called_false_make_more_evidence_necessary() -> None:
    said, _ = faulty(rows_of(HOURS), strength=6.5)
    counts = [len(opened(raised(layout(), replace(said, strictness={"anomaly": each})))) for each in (0.0, 1.0)]
    assert counts[0] > 20 > 2 * counts[1]


def test_evidence_a_hundred_times_rarer_is_critical() -> None:
    said, _ = faulty(rows_of(HOURS))
    severities = {alert.severity.value for alert in raised(layout(), said)}
    milder = {alert.severity.value for alert in raised(layout(critical=15), said)}
    assert (severities, milder) == ({"warning", "critical"}, {"warning"})


def test_discoveries_are_counted() -> None:
    said, _ = faulty(rows_of(HOURS))
    asked = layout()
    store = Store(state_template(asked))
    store.slots(PARTITION, map(str, range(ENTITIES)))
    judge = AlertPipeline(asked, store)
    found = opened(judge.decide(said))
    told = judge.achieved(PARTITION)["false discoveries"]
    assert (told.alarms, told.told()) == (len(found), {"false": 0.1, "alarms": len(found)})
