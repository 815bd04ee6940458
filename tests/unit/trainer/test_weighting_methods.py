from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import get_args

import numpy as np
import pytest
import torch
from torch import distributed
from torchjd import aggregation, scalarization

from schemas.components import Weighting
from trainer.weighting.conflict import Projector, cagrad, nash
from trainer.weighting.evidence import Evidence, Setting
from trainer.weighting.learned import Numbers
from trainer.weighting.losses import LEAST_LOSS
from trainer.weighting.methods import WEIGHTINGS
from trainer.weighting.ranks import pool_gramian, pool_losses
from trainer.weighting.similarity import Similarity


def evidence(losses, gramian=None):
    k = len(losses)
    given = None if gramian is None else torch.tensor(gramian)
    return Evidence(torch.arange(k), torch.ones(k), torch.tensor(losses), given)


def method(name, tasks=2):
    return WEIGHTINGS[name](Setting(tasks, 0.025, torch.Generator().manual_seed(0)))


def test_every_configurable_weighting_exists():
    assert list(get_args(Weighting)) == list(WEIGHTINGS)


@pytest.mark.parametrize(
    ("name", "oracle", "scale"),
    [
        ("stch", scalarization.STCH(0.1), 9.0),
        ("geometric", scalarization.GeometricMean(), 3.0),
        ("uncertainty", scalarization.UW(3), 2.0),
        ("famo", scalarization.FAMO(3), 3.0),
        ("dwa", scalarization.DWA(), 1.0),
    ],
)
def test_weights_begin_as_the_slopes_of_torchjds_scalarization(name, oracle, scale):
    loss_K = torch.tensor([0.3, 0.9, 1.4], requires_grad=True)
    expected = torch.autograd.grad(oracle(loss_K), loss_K)[0] * scale
    torch.testing.assert_close(method(name, 3).weigh(evidence(loss_K.tolist())), expected)


def test_famo_learns_what_torchjds_famo_learns():
    ours, theirs = method("famo", 3), scalarization.FAMO(3)
    for step in range(30):
        loss_K = torch.tensor([0.9 - 0.02 * step, 0.8, 0.7 - 0.01 * step], requires_grad=True)
        slope_K = torch.autograd.grad(theirs(loss_K), loss_K)[0]
        found_K = ours.weigh(evidence(loss_K.tolist()))
        after_K = loss_K.detach() * torch.tensor([0.97, 1.0, 0.99])
        ours.learn(evidence(loss_K.tolist()), lambda after_K=after_K: after_K)
        theirs.update(after_K)
    torch.testing.assert_close(found_K, slope_K * 3.0, rtol=1e-3, atol=0.0)
    share_K = found_K * loss_K
    assert share_K[1] > share_K[2] > share_K[0]


def test_uncertainty_tends_to_the_inverse_of_the_losses():
    weighting, step = method("uncertainty"), evidence([0.5, 2.0])
    for _ in range(400):
        weighting.learn(step, None)
    assert weighting.weigh(step).tolist() == pytest.approx([2.0, 0.5], rel=0.02)


def test_uncertainty_bounds_the_weight_of_a_loss_of_nothing():
    weighting, step = WEIGHTINGS["uncertainty"](Setting(2, 0.5, torch.Generator())), evidence([0.0, 1.0])
    for _ in range(400):
        weighting.learn(step, None)
    assert weighting.weigh(step).tolist() == pytest.approx([1 / LEAST_LOSS, 1.0], rel=0.1)


def test_dwa_weighs_a_loss_more_the_slower_it_falls():
    weighting = method("dwa")
    for step in range(40):
        weighting.learn(evidence([0.97**step, 0.99**step]), None)
    fast_K, slow_K = ([1.0, 1.0], [1.0, 1.0])
    for step in range(1, 40):
        for mean_K, rate in ((fast_K, 0.05), (slow_K, 0.01)):
            for task, loss in enumerate((0.97**step, 0.99**step)):
                mean_K[task] += rate * (loss - mean_K[task])
    exponential = np.exp(np.array(fast_K) / np.array(slow_K) / 2.0)
    expected = 2.0 * exponential / exponential.sum()
    assert weighting.weigh(evidence([0.1, 0.1])).tolist() == pytest.approx(expected.tolist(), rel=1e-5)
    assert expected[1] > expected[0]


def test_random_weights_sum_to_the_number_of_tasks_and_repeat_with_the_seed():
    step = evidence([1.0, 1.0, 1.0])
    one, other = method("rlw", 3), method("rlw", 3)
    drawn = torch.stack([one.weigh(step) for _ in range(500)])
    assert torch.equal(drawn, torch.stack([other.weigh(step) for _ in range(500)]))
    torch.testing.assert_close(drawn.sum(1), torch.full((500,), 3.0))
    torch.testing.assert_close(drawn.mean(0), torch.ones(3), rtol=0.0, atol=0.1)


def test_gradnorm_evens_out_the_gradients_and_favours_what_lags_behind():
    even, behind = method("gradnorm"), method("gradnorm")
    norms = [[1.0, 0.0], [0.0, 9.0]]
    for _ in range(300):
        even.learn(evidence([0.5, 0.5], norms), None)
        behind.learn(evidence([0.4, 0.6], norms), None)
    assert even.weigh(evidence([0.5, 0.5])).tolist() == pytest.approx([1.5, 0.5], abs=0.05)
    assert behind.weigh(evidence([0.5, 0.5]))[1] > 0.6


def test_a_learned_number_stands_still_while_its_task_is_not_judged():
    numbers, both = Numbers(Setting(2, 0.1, torch.Generator())), evidence([1.0, 1.0])
    numbers.descend(both, torch.tensor([1.0, 1.0]))
    before = numbers.of(both)
    first = Evidence(torch.tensor([0]), torch.ones(1), torch.ones(1), None)
    for _ in range(5):
        numbers.descend(first, torch.tensor([1.0]))
    after = numbers.of(both)
    assert after[1] == before[1]
    assert after[0] < before[0]


def test_upgrad_takes_configured_weights_as_torchjd_takes_preferences():
    gradients = torch.tensor([[1.0, 0.2, 0.0], [-0.8, 1.0, 0.1], [0.3, -2.0, 1.0]])
    preference = torch.tensor([1.0, 0.5, 2.0])
    step = Evidence(torch.arange(3), preference, torch.ones(3), gradients @ gradients.T)
    found = (preference * method("upgrad", 3).weigh(step)) @ gradients
    torch.testing.assert_close(found, aggregation.UPGrad(preference, Projector())(gradients), rtol=1e-4, atol=1e-5)


def test_projections_are_the_nearest_points_of_the_dual_cone():
    gradients = torch.tensor([[1.0, 0.2, 0.0], [-0.8, 1.0, 0.1], [0.3, -2.0, 1.0]], dtype=torch.float64)
    gramian, wish = gradients @ gradients.T, torch.tensor([0.2, 1.0, 0.3], dtype=torch.float64)
    found = Projector()(wish, gramian)
    slack, pull = found - wish, gramian @ found
    assert slack.min() >= 0.0
    assert pull.min() > -1e-4
    assert (slack * pull).abs().max() < 1e-4


def test_nash_weights_solve_the_bargaining_equation():
    gradients = torch.tensor([[1.0, 0.2, 0.0], [-0.8, 1.0, 0.1], [0.3, -20.0, 1.0]], dtype=torch.float64)
    weight = nash(gradients @ gradients.T)
    product_K = weight * (gradients @ gradients.T @ weight)
    torch.testing.assert_close(product_K, product_K.mean().expand(3), rtol=1e-4, atol=0.0)
    assert weight.min() > 0.0
    assert weight.sum().item() == pytest.approx(3.0)


def test_cagrad_improves_the_worst_task_most_among_directions_near_the_mean():
    gradients = np.array([[1.0, 0.2], [-0.8, 0.6]])
    mean = gradients.mean(0)
    weight = cagrad(torch.from_numpy(gradients @ gradients.T)).numpy()
    found = 1.5 / 2.0 * weight @ gradients
    assert np.linalg.norm(found - mean) <= 0.5 * np.linalg.norm(mean) * (1.0 + 1e-4)
    angles = np.linspace(0.0, 2.0 * np.pi, 2000)
    around = mean + 0.5 * np.linalg.norm(mean) * np.stack([np.cos(angles), np.sin(angles)], 1)
    assert (gradients @ found).min() == pytest.approx((around @ gradients.T).min(1).max(), rel=1e-3)


def test_random_orders_of_projection_come_from_the_seed():
    gradients = torch.tensor([[1.0, 0.0], [-1.0, 0.5], [-0.2, -1.0]])
    gramian = (gradients @ gradients.T).tolist()
    state = torch.get_rng_state()
    drawn = [[method("pcgrad", 3).weigh(evidence([1.0] * 3, gramian)).tolist() for _ in range(5)] for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert torch.equal(torch.get_rng_state(), state)


def test_similarity_is_a_running_cosine_that_skips_what_says_nothing():
    similarity = Similarity(3)
    similarity.add(torch.tensor([[4.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]))
    similarity.add(torch.tensor([[1.0, -1.0, torch.nan], [-1.0, 1.0, torch.nan], [torch.nan] * 3]))
    assert similarity.metrics(["a", "b", "c"]) == pytest.approx({"a.similarity_b": 0.95 * 0.5 - 0.05})
    assert similarity.cosine_KK[2].isnan().all()


def test_a_task_that_one_rank_alone_judged_is_judged_by_all():
    store, losses = distributed.HashStore(), torch.tensor([[0.5, 0.0], [0.7, 3.0]])
    judged, gramians = torch.tensor([[True, False], [True, True]]), torch.tensor([[[4.0, 0.0], [0.0, 0.0]]] * 2)

    def rank(number):
        group = distributed.ProcessGroupGloo(store, number, 2, timedelta(seconds=60))
        pooled = pool_losses(losses[number], judged[number], group)
        return [each.tolist() for each in (*pooled, pool_gramian(gramians[number], group))]

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(rank, range(2))
    assert first == second
    assert first == [pytest.approx([0.6, 3.0]), [True, True], [[2.0, 0.0], [0.0, 0.0]]]
