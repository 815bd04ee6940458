"""What stands with an alert: whose attention, on what, and how long ago each modality was seen."""

import json

import numpy as np
import pytest

from schemas.alert import Alert
from schemas.alerting import Severity
from schemas.statements import alert_row
from scorer.scorer import Scorer, state_template
from scorer.stages.pipeline import AlertPipeline
from scorer.store import Store
from tests.laws.ward import awake, batch, layout
from trainer.network import Network

WARD = layout()
HOUR_MS = 3_600_000


def raised(version: int, cuts: tuple[int, ...] = (), alone: bool = False) -> list[Alert]:
    """Alerts of a calm patient whose heart rate leaps in the last row; breath is measured once, price never."""
    rng = np.random.default_rng(0)
    values = np.full((81, len(WARD.names)), np.nan)
    values[:, :2] = rng.normal((80.0, 120.0), 1.0, (81, 2))
    values[0, 2] = 97.0
    values[80, 0] = 180.0
    store, network = Store(state_template(WARD)), awake(Network(WARD))
    if alone:
        assert network.private is not None
        network.private.detach_tasks([True] * len(WARD.tasks))
    scorer, pipeline = Scorer(WARD, store, lambda v: network if v else None), AlertPipeline(WARD, store)
    alerts: list[Alert] = []
    for part in np.split(np.arange(81), cuts):
        stream = batch(np.zeros(len(part), dtype=np.int64), values[part], part * HOUR_MS, int(part[0]))
        silent, versions = np.zeros(len(part), dtype=np.bool_), np.full(len(part), version)
        alerts += pipeline.decide(scorer.score(stream, silent, versions))
    return [alert for alert in alerts if alert.offset == 80]


def test_an_alert_says_what_its_task_looked_at_and_since_when() -> None:
    explanation = raised(version=1)[0].explanation
    assert explanation is not None
    assert [(part.modality, part.age_seconds) for part in explanation.modalities] == [
        ("heart", 0.0),
        ("breath", 80 * 3600.0),
        ("price", None),
        ("fixed", None),
    ]
    assert [part.attention for part in explanation.modalities[2:]] == [0.0, 0.0]
    assert explanation.nothing + sum(part.attention for part in explanation.modalities) == pytest.approx(1.0, abs=1e-3)
    assert sum(share for _, share in explanation.tasks) == pytest.approx(1.0, abs=1e-3)


def test_a_task_answered_by_its_private_path_looked_at_nothing_but_still_says_how_old_its_signals_were() -> None:
    explanation = raised(version=1, alone=True)[0].explanation
    assert explanation is not None
    assert [part.age_seconds for part in explanation.modalities] == [0.0, 80 * 3600.0, None, None]
    assert [part.attention for part in explanation.modalities] == [None] * 4
    assert (explanation.nothing, explanation.tasks) == (None, ())
    assert explanation.signals


def test_an_alert_of_a_rule_is_explained_by_the_state_that_follows_from_it() -> None:
    assert {alert.task: alert.explanation and alert.explanation.task for alert in raised(version=1)} == {
        "anomaly": "anomaly",
        "jump": "soon",
    }


def test_an_explanation_does_not_depend_on_batches() -> None:
    assert raised(version=1, cuts=(1, 40, 80)) == raised(version=1)


def test_without_a_network_nothing_was_looked_at() -> None:
    assert [alert.explanation for alert in raised(version=0)] == [None, None]


def test_an_alert_of_the_score_names_the_statistic_that_brought_its_evidence() -> None:
    alert = raised(version=0)[0]
    assert (alert.reasons[0].signal, str(alert.reasons[0].statistic)[:13]) == ("hr", "sudden change")
    assert f"by its {alert.reasons[0].statistic}" in alert.summary


def test_what_is_stored_is_json_without_nan() -> None:
    for alert in raised(version=1) + raised(version=1, alone=True):
        row = alert_row(alert.id, alert, alert.event_time)
        assert json.loads(json.dumps(row["explanation"], allow_nan=False)) == row["explanation"]
        assert alert.severity in Severity
