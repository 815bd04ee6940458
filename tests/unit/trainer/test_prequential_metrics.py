from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, balanced_accuracy_score, brier_score_loss, roc_auc_score

from schemas.layout import Layout
from schemas.monitor import Monitor
from tests.laws.ward import WARD, stream
from trainer.losses import Targets
from trainer.metrics import metrics_of
from trainer.network import Network
from trainer.rows import pack

LAYOUT = Layout(Monitor.model_validate(WARD | {"tasks": [*WARD["tasks"], {"name": "death", "kind": "event"}]}))
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def outputs_rows():
    entity, values, time_ms = stream(400, 20, 0, missing=0.2)
    rows, _, _ = pack(entity, values, time_ms, LAYOUT)
    network = Network(LAYOUT)
    with torch.no_grad():
        return network(rows, network.initial(rows.waves[0]))[0], rows


def nothing(rows) -> Targets:
    n = len(rows.time_N)
    return Targets(
        future_NSH=torch.full((n, 6, 2), torch.nan, dtype=torch.float64),
        faulty_N=torch.zeros(n),
        known_N=torch.zeros(n, dtype=torch.bool),
        classes=(torch.full((n,), -1), torch.full((n,), -1)),
    )


def soft(logits):
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


def of(metrics, task):
    return {name.partition(".")[2]: value for name, value in metrics.items() if name.startswith(f"{task}.")}


def test_what_could_not_be_judged_is_left_out(outputs_rows):
    outputs, rows = outputs_rows
    assert metrics_of(outputs, nothing(rows), LAYOUT) == {}


def test_forecasts_are_judged_at_each_horizon(outputs_rows):
    outputs, rows = outputs_rows
    row = int((~outputs.forecast_NSHQ[:, :2, 1, 0].isnan().any(-1)).nonzero()[0])
    last, scale = outputs.observed.last_NS[row, :2], outputs.scale_NS[row, :2]
    band = (outputs.forecast_NSHQ[row, :2, 1] - last[:, None]) / scale[:, None]
    change = torch.stack([band[0, 0] + 0.1, band[1, 3] + 2.0])
    wanted = nothing(rows)
    wanted.future_NSH[row, :2, 1] = last + change * scale
    error, quantile = (change[:, None] - band).numpy(), np.array([0.05, 0.25, 0.5, 0.9])
    assert metrics_of(outputs, wanted, LAYOUT) == pytest.approx(
        {
            "forecast.mase_h4": np.abs(error[:, 2]).sum() / np.abs(change.numpy()).sum(),
            "forecast.pinball_h4": np.maximum(quantile * error, (quantile - 1.0) * error).mean(),
            "forecast.coverage_h4": 0.5,
        }
    )


def test_anomalies_are_ranked_among_the_rows_that_are_known(outputs_rows):
    outputs, rows = outputs_rows
    n = len(rows.time_N)
    score, faulty, known = RNG.integers(0, 30, n), RNG.random(n) < 0.2, RNG.random(n) < 0.7
    said = replace(outputs, anomaly_N=torch.from_numpy(score).float())
    wanted = replace(nothing(rows), faulty_N=torch.from_numpy(faulty).float(), known_N=torch.from_numpy(known))
    assert metrics_of(said, wanted, LAYOUT) == pytest.approx(
        {
            "anomaly.auroc": roc_auc_score(faulty[known], score[known]),
            "anomaly.auprc": average_precision_score(faulty[known], score[known]),
        }
    )


def test_states_are_judged_by_what_was_likeliest(outputs_rows):
    outputs, rows = outputs_rows
    n = len(rows.time_N)
    logits, came = RNG.normal(size=(n, 3)), RNG.choice([-1, 0, 2], n, p=[0.3, 0.6, 0.1])
    said = replace(outputs, states=(torch.from_numpy(logits), outputs.states[1]))
    wanted = replace(nothing(rows), classes=(torch.from_numpy(came), torch.full((n,), -1)))
    known = came >= 0
    chance, likeliest, came = soft(logits)[known], logits[known].argmax(-1), came[known]
    right, tenth = likeliest == came, (chance.max(-1) * 10).astype(int)
    gaps = [abs((chance.max(-1) - right)[tenth == each].sum()) for each in range(10)]
    recalls = [right[came == each].mean() for each in (0, 2)]
    assert of(metrics_of(said, wanted, LAYOUT), "soon") == pytest.approx(
        {
            "accuracy": right.mean(),
            "balanced_accuracy": np.mean(recalls),
            "cross_entropy": -np.log(chance[np.arange(len(came)), came]).mean(),
            "calibration_error": sum(gaps) / len(came),
        }
    )


def test_events_are_judged_by_the_probability_of_yes(outputs_rows):
    outputs, rows = outputs_rows
    n = len(rows.time_N)
    logits, came = RNG.normal(size=(n, 2)), RNG.integers(0, 2, n)
    said = replace(outputs, states=(outputs.states[0], torch.from_numpy(logits)))
    wanted = replace(nothing(rows), classes=(torch.full((n,), -1), torch.from_numpy(came)))
    found = of(metrics_of(said, wanted, LAYOUT), "death")
    yes = soft(logits)[:, 1]
    asked = ("auroc", "brier", "balanced_accuracy")
    assert [found[name] for name in asked] == pytest.approx(
        [roc_auc_score(came, yes), brier_score_loss(came, yes), balanced_accuracy_score(came, logits.argmax(-1))]
    )


def test_an_event_that_never_came_has_no_ranking(outputs_rows):
    outputs, rows = outputs_rows
    n = len(rows.time_N)
    wanted = replace(nothing(rows), classes=(torch.full((n,), -1), torch.zeros(n, dtype=torch.int64)))
    assert set(of(metrics_of(outputs, wanted, LAYOUT), "death")) == {
        "accuracy",
        "balanced_accuracy",
        "cross_entropy",
        "calibration_error",
        "brier",
    }
