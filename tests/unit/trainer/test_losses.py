import numpy as np
import pytest
import torch

from tests.laws.ward import layout, stream
from trainer.losses import Targets, equal, task_losses
from trainer.network import Network
from trainer.rows import pack


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


def test_equal_weighting_is_the_weighted_sum():
    assert equal(torch.tensor([1.0, 2.0]), torch.tensor([0.5, 2.0])).item() == 4.5


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
