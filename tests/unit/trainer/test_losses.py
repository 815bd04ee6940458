import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck
from torch.nn import functional

from schemas.layout import Layout
from schemas.loss import LOSSES
from schemas.monitor import Monitor
from tests.laws.ward import WARD, awake, layout, stream
from trainer.losses import Targets, task_losses
from trainer.network import Network
from trainer.rows import pack, parts, placed


@pytest.fixture
def outputs_rows():
    entity, values, time_ms = stream(400, 20, 0, missing=0.2)
    rows, _, _ = pack(entity, values, time_ms, layout())
    network = Network(layout())
    return network(rows, network.initial(rows.waves[0]))[0], rows


def targets(rows, future=None, faulty=None, classes=None):
    n = len(rows.time_N)
    nothing = torch.full((n, 6, 2), torch.nan, dtype=torch.float64)
    return Targets(
        future_NSH=nothing if future is None else future,
        faulty_N=torch.zeros(n) if faulty is None else faulty,
        known_N=rows.real_N,
        classes=(torch.full((n,), -1) if classes is None else classes,),
    )


def learning(kind, loss) -> Layout:
    """The ward, one kind of task of which learns by this loss."""
    tasks = [task | ({"loss": loss} if task["kind"] == kind else {}) for task in WARD["tasks"]]
    return Layout(Monitor.model_validate(WARD | {"tasks": tasks}))


def one_target(rows, outputs, change):
    """Nothing is known but one signal of one row at the second horizon, so many scales from the last value."""
    row = int(rows.real_N.nonzero()[0])
    future = torch.full((len(rows.time_N), 6, 2), torch.nan, dtype=torch.float64)
    future[row, 0, 1] = outputs.observed.last_NS[row, 0] + change * outputs.scale_NS[row, 0]
    return row, targets(rows, future)


CHOICES = [(kind, name) for kind in ("anomaly", "state") for name in LOSSES[kind]]


def test_tasks_stand_in_the_order_forecast_anomaly_states(outputs_rows):
    outputs, rows = outputs_rows
    assert [each.task for each in task_losses(outputs, targets(rows), layout())] == ["forecast", "anomaly", "soon"]


def test_an_undecided_network_costs_one_in_anomaly_and_state(outputs_rows):
    outputs, rows = outputs_rows
    outputs.anomaly_N.data.zero_()
    outputs.states[0].data.zero_()
    faulty = rows.real_N.float() * (torch.arange(len(rows.time_N)) % 5 == 0)
    _, anomaly, state = task_losses(outputs, targets(rows, None, faulty, rows.real_N.long() - 1), layout())
    assert [anomaly.mean().item(), state.mean().item()] == pytest.approx([1.0, 1.0])


def test_faulty_and_sound_rows_weigh_half_each_and_padding_nothing(outputs_rows):
    outputs, rows = outputs_rows
    faulty = torch.zeros(len(rows.time_N))
    faulty[0] = 1.0
    anomaly = task_losses(outputs, targets(rows, None, faulty), layout())[1]
    assert anomaly.weight_N[0].item() == pytest.approx(0.5)
    assert anomaly.weight_N[~rows.real_N].sum() == 0


def test_what_cannot_be_judged_weighs_nothing(outputs_rows):
    outputs, rows = outputs_rows
    judged = [each.judged() for each in task_losses(outputs, targets(rows), layout())]
    assert judged == [False, True, False]


def test_one_outlier_does_not_own_the_step(outputs_rows):
    outputs, rows = outputs_rows
    future = outputs.observed.last_NS[:, :6, None].repeat(1, 1, 2)
    future[0, 0, 0] = 1e12
    loss = task_losses(outputs, targets(rows, future), layout())[0]
    assert loss.loss_N.max().item() < 20.0


def test_windows_average_to_the_loss_of_the_step(outputs_rows):
    outputs, rows = outputs_rows
    future = outputs.observed.last_NS[:, :6, None].repeat(1, 1, 2) + 1.0
    window = torch.arange(len(rows.time_N)) % 7
    loss = task_losses(outputs, targets(rows, future), layout())[0]
    by_window = loss.by_window(window, 9)
    assert by_window[:7].mean().item() == pytest.approx(loss.mean().item(), rel=1e-5)
    assert by_window[7:].isnan().all()


def test_gradients_of_unknown_targets_are_zero_not_nan(outputs_rows):
    outputs, rows = outputs_rows
    loss = task_losses(outputs, targets(rows), layout())[0].mean()
    assert torch.autograd.grad(loss, outputs.forecast_NSHQ)[0].abs().max() == 0


def test_the_forecast_loss_is_pinball_in_scales_over_what_persistence_costs(outputs_rows):
    outputs, rows = outputs_rows
    row = int(rows.real_N.nonzero()[0])
    last, scale = outputs.observed.last_NS[row, 0], outputs.scale_NS[row, 0]
    future = torch.full((len(rows.time_N), 6, 2), torch.nan, dtype=torch.float64)
    future[row, 0, 1] = last + 3.0 * scale
    loss = task_losses(outputs, targets(rows, future), layout())[0].loss_N[row].item()
    given = ((outputs.forecast_NSHQ[row, 0, 1] - last) / scale).detach().numpy()
    error, quantile = 3.0 - given, np.array([0.05, 0.25, 0.5, 0.9])
    by_hand = np.maximum(quantile * error, (quantile - 1.0) * error).mean() / (0.5 * np.sqrt(4))
    assert loss == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize(
    ("loss", "cost"),
    [
        ("mse", lambda change: 0.5 * change**2),
        ("huber", lambda change: (abs(change) - 0.5) / (1.0 - math.exp(-1.0))),
        ({"name": "huber", "delta": 2.0}, lambda change: 0.5 * change**2 / (1.0 - math.exp(-2.0))),
    ],
    ids=["mse", "huber", "huber-2"],
)
def test_a_point_loss_judges_the_median_in_typical_changes_and_leaves_the_other_quantiles_to_pinball(
    outputs_rows, loss, cost
):
    outputs, rows = outputs_rows
    row, wanted = one_target(rows, outputs, 3.0)
    found = task_losses(outputs, wanted, learning("forecast", loss))[0].loss_N[row].item()
    last, scale = outputs.observed.last_NS[row, 0], outputs.scale_NS[row, 0]
    error = 3.0 - ((outputs.forecast_NSHQ[row, 0, 1] - last) / scale).detach().numpy()
    quantile, typical = np.array([0.05, 0.25, 0.5, 0.9]), np.sqrt(4.0)
    terms = np.maximum(quantile * error, (quantile - 1.0) * error) / (0.5 * typical)
    terms[2] = cost(error[2] / typical)
    assert found == pytest.approx(terms.mean(), rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES["forecast"])
def test_the_outer_quantiles_learn_the_same_whatever_judges_the_median(outputs_rows, loss):
    outputs, rows = outputs_rows
    _, wanted = one_target(rows, outputs, 3.0)
    plain, found = (
        torch.autograd.grad(task_losses(outputs, wanted, each)[0].mean(), outputs.forecast_NSHQ, retain_graph=True)[0][
            ..., [0, 1, 3]
        ]
        for each in (layout(), learning("forecast", loss))
    )
    assert torch.equal(plain, found)


@pytest.mark.parametrize(("kind", "loss"), [(kind, name) for kind in ("forecast", "state") for name in LOSSES[kind]])
def test_what_is_said_of_rows_without_a_label_changes_nothing(outputs_rows, kind, loss):
    outputs, rows = outputs_rows
    known = torch.arange(len(rows.time_N)) % 3 == 0
    future = torch.where(known[:, None, None], outputs.observed.last_NS[:, :6, None] + 1.0, torch.nan).repeat(1, 1, 2)
    wanted = targets(rows, future, None, torch.where(known, 1, -1))
    otherwise = replace(
        outputs,
        forecast_NSHQ=torch.where(known[:, None, None, None], outputs.forecast_NSHQ, 1e6),
        states=(torch.where(known[:, None], outputs.states[0], 50.0 * torch.arange(3)),),
    )
    means = [
        [task.mean().item() for task in task_losses(each, wanted, learning(kind, loss))]
        for each in (outputs, otherwise)
    ]
    assert means[0] == means[1]


@pytest.mark.parametrize("loss", LOSSES["anomaly"])
def test_what_is_said_of_rows_that_nobody_judged_changes_nothing(outputs_rows, loss):
    outputs, rows = outputs_rows
    judged = rows.real_N & (torch.arange(len(rows.time_N)) % 2 == 0)
    faulty = (judged & (torch.arange(len(rows.time_N)) % 5 == 0)).float()
    wanted = replace(targets(rows, None, faulty), known_N=judged)
    otherwise = replace(outputs, anomaly_N=torch.where(judged, outputs.anomaly_N, 30.0))
    means = [task_losses(each, wanted, learning("anomaly", loss))[1].mean().item() for each in (outputs, otherwise)]
    assert means[0] == means[1]


@pytest.mark.parametrize("loss", LOSSES["state"])
def test_a_task_with_few_labels_averages_over_its_own_alone(outputs_rows, loss):
    outputs, rows = outputs_rows
    classes = torch.full((len(rows.time_N),), -1)
    classes[[3, 5, 8]] = torch.tensor([0, 2, 1])
    future = outputs.observed.last_NS[:, :6, None].repeat(1, 1, 2) + 1.0
    forecast, _, state = task_losses(outputs, targets(rows, future, None, classes), learning("state", loss))
    own = state.loss_N[[3, 5, 8]].mean().item()
    assert (state.mean().item(), forecast.judged()) == (pytest.approx(own), True)


@pytest.mark.parametrize(("kind", "loss"), CHOICES)
def test_an_even_guess_costs_one_whatever_the_loss(outputs_rows, kind, loss):
    outputs, rows = outputs_rows
    even = replace(outputs, anomaly_N=torch.zeros(len(rows.time_N)), states=(torch.zeros(len(rows.time_N), 3),))
    faulty = rows.real_N.float() * (torch.arange(len(rows.time_N)) % 5 == 0)
    wanted = targets(rows, None, faulty, rows.real_N.long() - 1)
    _, anomaly, state = task_losses(even, wanted, learning(kind, loss))
    assert [anomaly.mean().item(), state.mean().item()] == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize(("kind", "loss"), CHOICES)
def test_gradients_are_those_of_the_values(outputs_rows, kind, loss):
    outputs, rows = outputs_rows
    n = len(rows.time_N)
    few = torch.arange(n) < 6
    wanted = targets(rows, None, (torch.arange(n) % 3 == 0).double(), torch.where(few, torch.arange(n) % 3, -1))
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(6, 4, generator=generator, dtype=torch.float64, requires_grad=True)

    def cost(said):
        logits = functional.pad(said, (0, 0, 0, n - 6))
        said = replace(outputs, anomaly_N=logits[:, 3], states=(logits[:, :3],))
        return sum(each.mean() for each in task_losses(said, wanted, learning(kind, loss))[1:])

    assert gradcheck(cost, start)


def test_a_class_that_weighs_twice_costs_twice(outputs_rows):
    outputs, rows = outputs_rows
    wanted = targets(rows, None, None, torch.arange(len(rows.time_N)) % 3)
    plain, weighed = (
        task_losses(outputs, wanted, layout(), weights)[2].loss_N
        for weights in ({}, {"soon": torch.tensor([1.0, 2.0, 0.5])})
    )
    assert torch.equal(weighed, plain * torch.tensor([1.0, 2.0, 0.5])[torch.arange(len(plain)) % 3])


def test_an_event_is_judged_as_the_choice_between_no_and_yes(outputs_rows):
    outputs, rows = outputs_rows
    n = len(rows.time_N)
    event = Layout(Monitor.model_validate(WARD | {"tasks": [*WARD["tasks"], {"name": "death", "kind": "event"}]}))
    said = replace(outputs, states=(outputs.states[0], torch.tensor([0.0, 1.5]).repeat(n, 1)))
    told = torch.where(torch.arange(n) == 4, 1, -1)
    wanted = replace(targets(rows), classes=(torch.full((n,), -1), told))
    by_hand = math.log(1.0 + math.exp(-1.5)) / math.log(2.0)
    assert task_losses(said, wanted, event)[3].mean().item() == pytest.approx(by_hand)


def test_an_outcome_counts_once_however_many_rows_it_stands_on_and_an_event_within_a_while_row_by_row():
    tasks = [*WARD["tasks"], {"name": "death", "kind": "event"}, {"name": "fall", "kind": "event", "within": 6}]
    ward = Layout(Monitor.model_validate(WARD | {"tasks": tasks}))
    lengths = [30, 10]
    rng = np.random.default_rng(0)
    entity, time_ms = np.repeat([0, 1], lengths), 60_000 * np.concatenate([np.arange(each) for each in lengths])
    rows, order, _ = pack(entity, rng.uniform(1, 90, (40, 7)), time_ms, ward)
    n = len(rows.time_N)
    network = awake(Network(ward))
    outputs = network(rows, network.initial(rows.waves[0]))[0]
    told = torch.from_numpy(placed(np.repeat([1, 0], lengths), order, n, -1))
    taught = targets(rows, classes=torch.full((n,), -1))
    taught = replace(taught, classes=(*taught.classes, told, told), part_N=torch.from_numpy(parts(lengths, order, n)))
    _, _, _, death, fall = task_losses(outputs, taught, ward)
    of_entity = torch.from_numpy(order[:30]), torch.from_numpy(order[30:])
    each = torch.stack([death.loss_N[place].mean() for place in of_entity])
    torch.testing.assert_close(death.mean(), each.mean())
    torch.testing.assert_close(fall.mean(), fall.loss_N[torch.from_numpy(order)].mean())
    assert death.mean().item() != pytest.approx(death.loss_N[torch.from_numpy(order)].mean().item())
