import numpy as np
import pytest
import torch

from schemas.components import FittingSettings
from schemas.layout import Layout
from tests.laws.ward import autoregressive, batch, layout
from trainer.best import ALL, Best
from trainer.fit import Fit, meet, share_of_rate
from trainer.history import pieces_of, streams_of
from trainer.judging import Judgement, judge
from trainer.network import Network
from trainer.optimisers import highest_rate
from trainer.weights import load_weights, save_weights


def fit_of(kept=4, private=8, **fitting):
    """A fit on twelve entities, judged on four others, or more."""
    ward = layout({"window": 8}, width=8, private=private).monitor
    ward = Layout(ward.model_copy(update={"fitting": ward.fitting.model_copy(update={"epochs": 3} | fitting)}))
    rows = [batch(*each) for each in autoregressive(40, 12 + kept, 0)]
    found = list(streams_of(rows, ward, {}, []).values())
    network = Network(ward)
    meet(network, found[:12])
    return Fit(network, ward, pieces_of(found[:12], ward), pieces_of(found[12:], ward), 0)


def test_fitting_brings_forecasts_of_entities_never_seen_below_persistence():
    fit = fit_of(learning_rate=1e-2)
    epochs = [fit.epoch() for _ in range(3)]
    assert epochs[-1].validation.metrics["forecast.mase_h1"] < 0.97
    assert [epoch.refused for epoch in epochs] == [0, 0, 0]


def test_what_is_linear_in_a_forecast_is_fitted_without_a_gradient():
    assert fit_of(learning_rate=1e-12).epoch().validation.metrics["forecast.mase_h1"] < 0.97


def test_the_same_seed_gives_the_same_weights_bit_for_bit():
    fits = fit_of(), fit_of()
    for fit in fits:
        fit.epoch()
    assert save_weights(fits[0].network) == save_weights(fits[1].network)


def test_a_task_whose_trunk_misleads_it_is_served_by_its_private_path_once_the_rate_has_risen():
    fit = fit_of(kept=8, warm_up=0.4)
    with torch.no_grad():
        fit.network.forecast.weight_SHQD.fill_(50.0)
    paths = []
    for _ in range(2):
        epoch = fit.epoch()
        paths.append((epoch.sharing["forecast"].path, fit.network.detached[0]))
    assert paths == [("shared", False), ("private", True)]
    assert epoch.validation.losses["forecast"] == pytest.approx(epoch.sharing["forecast"].private)


def test_attention_is_that_of_rows_that_were_observed():
    """Nearly all rows of so small a step are padding, which looks at nothing."""
    fit = fit_of(pieces_per_step=2)
    attention = fit.epoch().attention
    whole = {
        task: sum(each for name, each in attention.items() if name.startswith(f"{task}."))
        for task in ("forecast", "soon")
    }
    assert min(whole.values()) > 0.6


def test_without_private_paths_nothing_is_said_of_sharing():
    assert fit_of(private=0).epoch().sharing == {}


def test_a_fit_in_bfloat16_takes_every_step_and_is_judged_as_it_will_serve():
    fit = fit_of(learning_rate=1e-2, precision="bfloat16")
    epochs = [fit.epoch() for _ in range(3)]
    assert epochs[-1].validation.metrics["forecast.mase_h1"] < 0.97
    assert [epoch.refused for epoch in epochs] == [0, 0, 0]
    served = judge(load_weights(fit.network.layout, save_weights(fit.network)), fit._validation)
    assert served.losses == epochs[-1].validation.losses


def test_hidden_signals_leave_everything_finite():
    fit = fit_of(hide_signals=0.5)
    epoch = fit.epoch()
    assert (epoch.refused, np.isfinite(list(epoch.validation.losses.values())).all()) == (0, True)


@pytest.mark.parametrize(
    ("optimiser", "asked", "highest"), [("adamw", None, 3e-3), ("sgd", None, 0.15), ("sgd", 1e-2, 1e-2)]
)
def test_the_highest_rate_is_the_optimisers_unless_one_is_configured(optimiser, asked, highest):
    assert highest_rate(FittingSettings(learning_rate=asked), optimiser) == pytest.approx(highest)


def test_the_learning_rate_rises_as_a_line_and_falls_as_a_cosine():
    shares = [share_of_rate(step, 100, 0.1) for step in range(100)]
    assert np.argmax(shares) == 10
    assert shares[54] == pytest.approx(0.505, abs=0.02)
    assert shares[-1] < 0.011


def test_fitting_ends_once_no_task_improves_and_each_has_its_own_best_epoch():
    best, found = Best(patience=2), []
    for number, (forecast, anomaly) in enumerate([(0.9, 0.9), (0.8, 0.95), (0.85, 0.94), (0.85, 0.93)], 1):
        judged = Judgement({"forecast": forecast, "anomaly": anomaly}, {}, np.empty((0, 2)))
        found.append((best.add(number, judged), best.ended))
    assert found == [(["forecast", "anomaly", ALL], False), (["forecast", ALL], False), ([], False), ([], True)]
    assert best.epoch == {"forecast": 2, "anomaly": 1, ALL: 2}


def test_tasks_that_do_not_learn_keep_their_weights_bit_for_bit_and_their_answers_where_the_trunk_stays():
    fit = fit_of(only=("soon",), trunk_rate=0.0)
    before = {name: weight.clone() for name, weight in fit.network.state_dict().items()}
    validation = judge(fit.network, fit._validation).losses
    epoch = fit.epoch()
    moved = {name for name, weight in fit.network.state_dict().items() if not torch.equal(weight, before[name])}
    assert {
        "states.0.weight",
        "private.states.0.weight",
        "private.paths.2.first_PI",
        "standing.counts.0.seen_WC",
    } <= moved
    assert not {name for name in moved if name.removeprefix("private.").startswith(("forecast.", "anomaly."))}
    assert [f"private.paths.{task}.first_PI" in moved for task in range(3)] == [False, False, True]
    assert epoch.validation.losses["forecast"] == validation["forecast"]
    assert epoch.validation.losses["soon"] != validation["soon"]
