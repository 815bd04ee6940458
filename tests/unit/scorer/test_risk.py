"""Alerts of what the network foresees: an entity's probabilities in, alerts out."""

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
from pydantic import ValidationError

from schemas.alert import Alert, Change, Rung, raised_by
from schemas.layout import Layout
from schemas.monitor import Monitor
from scorer.scorer import Scorer, state_template
from scorer.stages.pipeline import AlertPipeline
from scorer.stages.risk import asked
from scorer.store import Store
from tests.laws.ward import TOPIC, batch

STATE = {
    "name": "decline",
    "kind": "state",
    "classes": ["calm", "watch", "crisis"],
    "target": {"rule": "fast", "cuts": [1, 20], "within": 3},
    "severities": {"warning": 0.3, "critical": 0.6},
}
EVENT = {"name": "death", "kind": "event", "severities": {"critical": 0.5}}
WARD = {
    "monitor": "ward",
    "topics": {"observations": TOPIC.topic},
    "modalities": [{"name": "vitals", "signals": [{"name": "HR"}]}],
    "tasks": [{"name": "forecast", "kind": "forecast"}, {"name": "anomaly", "kind": "anomaly"}],
    "rules": [{"name": "fast", "kind": "band", "signal": "HR", "high": 100, "severities": {"warning": 50}}],
    "alerts": {"resolve_after": 2, "cooldown": 4},
}
O, E, R = Change.OPENED, Change.ESCALATED, Change.RESOLVED  # noqa: E741


def layout(*tasks: dict) -> Layout:
    return Layout(Monitor.model_validate(WARD | {"tasks": [*WARD["tasks"], *tasks]}))


def raised(
    asked: Layout,
    probabilities: list[list[float]],
    cuts: tuple[int, ...] = (),
    rate: float | np.ndarray = 102.0,
    *,
    taught: bool = True,
    fallback: bool = False,
    strictness: dict[str, float] = MappingProxyType({}),
) -> list[Alert]:
    """Alerts of one patient's rows where the first choice's task said these probabilities."""
    store = Store(state_template(asked))
    scorer, pipeline = Scorer(asked, store, lambda _: None), AlertPipeline(asked, store)
    alerts: list[Alert] = []
    for part in np.split(np.arange(len(probabilities)), cuts):
        n = len(part)
        values = np.broadcast_to(rate, len(probabilities))[part, None]
        stream = batch(np.zeros(n, dtype=np.int64), values, part * 60_000, int(part[0]))
        scored = scorer.score(stream, np.zeros(n, dtype=np.bool_), np.ones(n, dtype=np.int64))
        said = (np.array(probabilities, dtype=np.float32)[part], *scored.states[1:]) if scored.states else ()
        told = np.full_like(scored.taught, taught)
        alerts += pipeline.decide(replace(scored, states=said, taught=told, fallback=fallback, strictness=strictness))
    return alerts


def row_and_change(alerts: list[Alert]) -> list[tuple[int, Change, str]]:
    return [(alert.offset, alert.change, alert.severity.value) for alert in alerts]


CRISIS = [[0.9, 0.1, 0.0], [0.5, 0.2, 0.3], [0.2, 0.1, 0.7], [0.9, 0.1, 0.0], [0.9, 0.1, 0.0]]


def test_the_worst_class_opens_escalates_and_resolves_by_its_probability() -> None:
    assert row_and_change(raised(layout(STATE), CRISIS)) == [
        (1, O, "warning"),
        (2, E, "critical"),
        (4, R, "critical"),
    ]


@pytest.mark.parametrize("cuts", [(1,), (2, 3), (1, 2, 3, 4)])
def test_alerts_of_a_state_do_not_depend_on_batches(cuts: tuple[int, ...]) -> None:
    assert raised(layout(STATE), CRISIS, cuts) == raised(layout(STATE), CRISIS)


def test_alert_from_names_the_mildest_class_that_counts() -> None:
    (alert, *_) = raised(layout(STATE | {"alert_from": "watch"}), [[0.5, 0.4, 0.1]], rate=100.0)
    assert (alert.severity.value, alert.score) == ("warning", 0.5)


def test_an_event_alerts_by_the_probability_of_a_yes() -> None:
    (alert,) = raised(layout(EVENT), [[0.6, 0.4], [0.5, 0.5]])
    assert (alert.offset, alert.task, alert.kind, alert.score, alert.probability) == (1, "death", "event", 0.5, 0.5)


def test_the_alert_says_the_classes_where_the_rule_stands_and_what_was_expected() -> None:
    first, *_ = raised(layout(STATE), CRISIS)
    assert (first.rung, first.kind) == (Rung.NETWORK, "state")
    assert first.summary.startswith(
        "decline 0.30 of crisis, fast 2 now [calm 0.50, watch 0.20, crisis 0.30] (above threshold)"
    )


def test_nothing_is_warned_of_while_no_network_answers() -> None:
    assert raised(layout(STATE, EVENT), [[0.0, 0.0, 0.0]] * 3) == []


def test_the_rules_go_on_while_no_network_answers() -> None:
    (alert,) = raised(layout(STATE), [[0.0, 0.0, 0.0]], rate=160.0)
    assert (alert.task, alert.rung) == ("fast", Rung.RULE)


def test_what_an_older_version_foresees_in_place_of_a_newer_one_is_the_last_good_networks() -> None:
    first, *_ = raised(layout(STATE), CRISIS, fallback=True)
    assert (first.rung, raised_by(first.rung, first.model_version)) == (Rung.LAST_GOOD, "last good network v1")


@pytest.mark.parametrize("fallback", [False, True])
def test_the_label_free_score_is_the_detectors_whichever_network_serves(*, fallback: bool) -> None:
    rates = np.append(np.random.default_rng(0).normal(80.0, 1.0, 200), 95.0)  # below the rule's bound
    found = raised(layout(), [[]] * 201, rate=rates, fallback=fallback)
    assert {(alert.kind, alert.rung) for alert in found} == {("tail", Rung.DETECTOR)}
    assert raised_by(Rung.DETECTOR, 1) == "detector"


def test_a_task_without_severities_is_silent() -> None:
    assert raised(layout({name: value for name, value in STATE.items() if name != "severities"}), CRISIS) == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"severities": {"warning": 1.5}}, "less than or equal to 1"),
        ({"severities": {"awful": 0.5}}, "'info', 'warning' or 'critical'"),
        ({"alert_from": "panic"}, r"alert_from: expected a class after the first \(watch, crisis\), got 'panic'"),
        ({"alert_from": "calm"}, r"alert_from: expected a class after the first \(watch, crisis\), got 'calm'"),
        ({"severities": {}, "alert_from": "watch"}, "alert_from: expected severities beside it"),
    ],
)
def test_wrong_severities_are_refused_with_what_was_expected(change: dict, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        layout(STATE | change)


def test_a_forecast_has_no_severities() -> None:
    tasks = [{"name": "forecast", "kind": "forecast", "severities": {"warning": 0.5}}, *WARD["tasks"][1:]]
    with pytest.raises(ValidationError, match="severities: expected kind event or state beside it, not forecast"):
        Monitor.model_validate(WARD | {"tasks": tasks})


def test_a_network_that_has_seen_nothing_of_a_task_warns_nobody() -> None:
    assert raised(layout(STATE), CRISIS, taught=False) == []


@pytest.mark.parametrize("budget", [{}, {"budget": "10 per entity-day"}])
@pytest.mark.parametrize(("rate", "told"), [(102.0, 2), (125.0, 0)])
def test_what_stands_already_is_not_foretold(rate: float, told: int, budget: dict) -> None:
    alerts = WARD["alerts"] | budget
    asked = Layout(Monitor.model_validate(WARD | {"tasks": [*WARD["tasks"], STATE], "alerts": alerts}))
    alarms = [alert for alert in raised(asked, CRISIS, rate=rate) if alert.change in (O, E)]
    assert len([alert for alert in alarms if alert.task == "decline"]) == told


@pytest.mark.parametrize(
    ("strictness", "probability", "told"),
    [
        (0.0, 0.2999, False),
        (0.0, 0.3, True),
        (0.3, 0.46, False),  # odds of 3 to 7, twice as high: 0.461
        (0.3, 0.47, True),
        (-0.3, 0.17, False),
        (-0.3, 0.18, True),
        (1.0, 0.81, False),
        (1.0, 0.82, True),
    ],
)
def test_verdicts_move_the_odds_that_a_severity_asks_for(strictness: float, probability: float, *, told: bool) -> None:
    rows = [[1.0 - probability, 0.0, probability]]
    assert bool(raised(layout(STATE), rows, rate=100.0, strictness={"decline": strictness})) is told


@pytest.mark.parametrize("strictness", [-0.3, 0.0, 0.07, 1.0])
def test_severities_keep_their_order_and_what_is_certain_reaches_them_all(strictness: float) -> None:
    found = [float(asked(value, strictness)) for value in (0.01, 0.3, 0.6, 0.9999, 1.0)]
    assert found == sorted(found)
    assert found[-1] <= 1.0


def test_a_threshold_that_nobody_moved_is_the_configured_one_to_the_last_bit() -> None:
    assert all(asked(value, 0.0) == value for value in np.random.default_rng(0).random(1000))


def test_what_is_said_of_one_task_moves_no_other() -> None:
    assert raised(layout(STATE), CRISIS, strictness={"anomaly": 1.0, "death": 1.0}) == raised(layout(STATE), CRISIS)
    assert raised(layout(STATE), CRISIS, strictness={"decline": 1.0}) == []


def test_no_rule_is_moved_not_even_one_that_is_named_as_a_task_is() -> None:
    found = [raised(layout(), [[]], rate=160.0, strictness=said) for said in ({}, {"fast": 1.0})]
    assert [[alert.task for alert in each] for each in found] == [["fast"], ["fast"]]
    assert found[0] == found[1]


def test_an_alert_that_stands_ends_where_its_threshold_has_risen_above_it() -> None:
    steady = [[0.6, 0.0, 0.4]] * 4
    moved = np.array([0.0, 0.0, 1.0, 1.0])
    assert row_and_change(raised(layout(STATE), steady, strictness={"decline": moved})) == [
        (0, O, "warning"),
        (3, R, "warning"),
    ]


@pytest.mark.parametrize(("strictness", "told"), [(0.0, True), (0.3, True), (0.4, False)])
def test_under_a_budget_a_warning_is_worth_less_the_more_were_called_false(strictness: float, *, told: bool) -> None:
    """Odds of 3 to 7 at a cost of 5 are worth 10^0.33, so that a first alarm, which costs 1, is raised up to there."""
    alerts = WARD["alerts"] | {"budget": "10 per entity-day", "warm_up": 0}
    task = STATE | {"severities": {"warning": 0.01}}
    asked_of = Layout(Monitor.model_validate(WARD | {"tasks": [*WARD["tasks"], task], "alerts": alerts}))
    assert bool(raised(asked_of, [[0.7, 0.0, 0.3]], strictness={"decline": strictness})) is told
