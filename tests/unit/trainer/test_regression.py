import numpy as np
import pytest
import torch

from tests.laws.ward import autoregressive, layout
from trainer import regression
from trainer.network import Network
from trainer.regression import Regression
from trainer.rows import pack, to_model

HR = 0
LAYOUT = layout()


def seen(entities: int, steps: int, seed: int):
    """Features, statistics and what came one and four rows later, of entities that revert to their mean."""
    values = np.stack([values for _, values, _ in autoregressive(steps, entities, seed)])  # [steps, entities, S]
    model = to_model(values.reshape(-1, 7), LAYOUT).reshape(values.shape)
    future = np.full((*model.shape[:2], LAYOUT.n_targets, 2), np.nan)
    for h, ahead in enumerate((1, 4)):
        future[:-ahead, :, :, h] = model[ahead:, :, : LAYOUT.n_targets]
    network = Network(LAYOUT)
    network.population.learn(values.reshape(-1, 7))
    entity, time_ms = np.tile(np.arange(entities), steps), np.repeat(np.arange(steps) * 60_000, entities)
    rows, order, _ = pack(entity, values.reshape(-1, 7), time_ms, LAYOUT)
    observed = network.statistics.observe(network.statistics.initial(rows.waves[0]), rows)
    placed = torch.full((len(rows.real_N), LAYOUT.n_targets, 2), torch.nan, dtype=torch.float64)
    placed[order] = torch.from_numpy(future.reshape(-1, LAYOUT.n_targets, 2))
    return network.read(observed), observed, placed


def missed(found: Regression, features, observed, future) -> float:
    """Mean absolute error of the next heart rate over persistence's."""
    came_N = ((future[..., 0] - observed.last_NS[:, : LAYOUT.n_targets]) / observed.scale_NS[:, : LAYOUT.n_targets])[
        :, HR
    ]
    told_N = ~came_N.isnan()
    error_N = came_N - found(features, observed)[:, HR, 0]
    return float(error_N[told_N].abs().mean() / came_N[told_N].abs().mean())


def test_fresh_it_is_persistence():
    features, observed, _ = seen(8, 20, 0)
    assert not Regression(LAYOUT)(features, observed).any()


def test_with_all_rows_alike_in_weight_it_is_least_squares(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(regression, "_NEAR", 1e9)
    monkeypatch.setattr(regression, "_MEMORY", 1e12)
    features, observed, future = seen(16, 60, 1)
    found = Regression(LAYOUT)
    half_N = torch.arange(len(future)) % 2 == 0
    for part_N in (half_N, ~half_N):
        found.learn(features, observed, torch.where(part_N[:, None, None], future, torch.nan))

    x_NI = regression._inputs(features, observed, LAYOUT.n_targets)[..., HR].T.double().numpy()
    y_N = ((future[:, HR, 1] - observed.last_NS[:, HR]) / observed.scale_NS[:, HR]).clamp(-20, 20).numpy()
    told_N, ridge_II = np.isfinite(y_N), np.eye(x_NI.shape[1])
    padded = np.concatenate([x_NI[told_N], ridge_II]), np.concatenate([y_N[told_N], np.zeros(len(ridge_II))])
    np.testing.assert_allclose(found.weight_SIH[HR, :, 1], np.linalg.lstsq(*padded)[0], rtol=1e-4, atol=1e-5)


def test_a_few_hundred_rows_teach_it_what_entities_never_seen_will_do():
    found = Regression(LAYOUT)
    found.learn(*seen(16, 30, 1))
    again = seen(16, 30, 2)
    found.learn(*seen(16, 30, 1))
    best = np.sqrt(1.0 / (1.0 + 0.4**2 / (1.0 - 0.6**2)))  # of one that knows the mean, and that 0.6 of it stays
    assert missed(found, *again) == pytest.approx(best, abs=0.04)


def test_rows_that_are_far_off_weigh_little():
    clean, poisoned, (features, observed, future) = Regression(LAYOUT), Regression(LAYOUT), seen(16, 60, 1)
    drawn_NSH = torch.rand(future.shape, generator=torch.Generator().manual_seed(0)) < 0.05
    for _ in range(3):
        clean.learn(features, observed, future)
        poisoned.learn(features, observed, torch.where(drawn_NSH, 1e6, future))
    again = seen(16, 60, 2)
    assert missed(poisoned, *again) < missed(clean, *again) + 0.02


def test_what_must_not_teach_changes_nothing():
    features, observed, future = seen(8, 20, 0)
    found = Regression(LAYOUT)
    found.learn(features, observed, future)
    before = {name: each.clone() for name, each in found.state_dict().items()}
    found.learn(features, observed, torch.full_like(future, torch.nan))
    assert all(torch.equal(each, before[name]) for name, each in found.state_dict().items())


def test_it_follows_what_the_stream_has_become():
    found = Regression(LAYOUT)
    features, observed, future = seen(64, 60, 1)
    last_N = observed.last_NS[:, : LAYOUT.n_targets, None]
    for _ in range(3):
        found.learn(features, observed, last_N + (last_N - future))  # what reverted runs away
    for _ in range(40):
        found.learn(features, observed, future)
    assert missed(found, *seen(16, 60, 2)) < 0.95
