"""What contradicts prior knowledge costs something in training, and so becomes rarer."""

import numpy as np
import pytest
import torch

from schemas.layout import Layout
from schemas.monitor import Monitor
from trainer.contradiction import Contradiction
from trainer.losses import Targets, task_losses
from trainer.network import Network
from trainer.rows import windows

KNOWLEDGE = {
    "features": True,
    "bounds": True,
    "orders": [["low", "mid", "high"]],
    "implications": [{"when": {"signal": "vent", "above": 0.5}, "then": {"signal": "o2", "at_least": 0.21}}],
    "monotone": ["trouble"],
}


def layout(knowledge: dict[str, object] = KNOWLEDGE) -> Layout:
    signals = [{"name": name, "range": [0, 100]} for name in ("low", "mid", "high", "vent", "o2")]
    target = {"rule": "much", "cuts": [1, 5], "within": 3}
    return Layout(
        Monitor.model_validate(
            {
                "monitor": "ward",
                "topics": {"observations": "ward"},
                "modalities": [{"name": "all", "signals": signals}],
                "rules": [{"name": "much", "kind": "band", "signal": "high", "high": 50, "severities": {"warning": 5}}],
                "tasks": [
                    {"name": "forecast", "kind": "forecast", "horizons": [1, 3]},
                    {"name": "anomaly", "kind": "anomaly"},
                    {"name": "trouble", "kind": "state", "classes": ["none", "some", "much"], "target": target},
                ],
                "knowledge": knowledge,
            }
        )
    )


def test_forecasts_that_agree_cost_nothing_and_the_others_their_distance_in_scales():
    agreeing = torch.tensor([1.0, 2.0, 3.0, 0.0, 0.0], dtype=torch.float64)[None, :, None].repeat(2, 1, 2)
    agreeing[1, 0] = 12.0  # 10 above mid, 9 above high, of 10 cells and scales of 2
    scale = torch.full((2, 5), 2.0, dtype=torch.float64)
    away = Contradiction(layout()).of_forecasts(agreeing, scale)
    torch.testing.assert_close(away, torch.tensor([0.0, (10 + 9) / 2 * 2 / 10]).double())


def test_its_gradient_is_that_of_finite_differences():
    chance = torch.Generator().manual_seed(0)
    said = 60.0 * torch.randn(4, 5, 2, generator=chance, dtype=torch.float64)
    said[0, 1] = torch.nan
    scale = 1.0 + torch.rand(4, 5, generator=chance, dtype=torch.float64)
    known, contradiction = ~said.isnan(), Contradiction(layout())

    def away(values: torch.Tensor) -> torch.Tensor:
        whole = torch.full_like(said, torch.nan).masked_scatter(known, values)
        return contradiction.of_forecasts(whole, scale)

    assert torch.autograd.gradcheck(away, said[known].requires_grad_())


def test_slopes_that_fall_with_the_class_cost_how_far_they_fall():
    network = Network(layout())
    with torch.no_grad():
        network.rule_odds.slopes[0].slope_FC[0] = torch.tensor([0.0, -1.0, 2.0])
    assert network.rule_odds.falling(0).item() == pytest.approx(1.0)


def test_a_network_that_is_taught_the_contrary_contradicts_less_where_that_costs_something():
    free, taught = _taught(0.0), _taught(10.0)
    assert (free > 0.1, taught < 0.5 * free) == (True, True), (free, taught)


def _taught(weight: float) -> float:
    """Mean contradiction after 60 steps of `low` being forecast above `high`."""
    spoken = layout(KNOWLEDGE | {"weight": weight})
    network, contradiction = Network(spoken).train(), Contradiction(spoken)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
    value = np.random.default_rng(0).normal([40, 41, 42, 0.2, 50], 1.0, (4, 6, 5))
    rows = windows(value, np.broadcast_to(60.0 * np.arange(6), (4, 6)))
    n = len(rows.real_N)
    future = rows.value_NS[..., None].expand(-1, -1, 2) + torch.tensor([9.0, 0, -9.0, 0, 0])[:, None].double()
    untold = torch.full((n,), -1)
    targets = Targets(future, torch.zeros(n), torch.zeros(n, dtype=torch.bool), (untold,))
    for _ in range(60):
        outputs, _ = network(rows, network.initial(rows.waves[0]))
        losses = contradiction.added(task_losses(outputs, targets, spoken), outputs, network)
        optimiser.zero_grad()
        losses[0].mean().backward()
        optimiser.step()
    away_N = Contradiction(spoken).of_forecasts(outputs.forecast_NSHQ[..., 1], outputs.scale_NS)
    return float(away_N[rows.real_N].mean().detach())


def test_a_state_is_held_against_its_own_rule_whatever_states_stand_before_it():
    described = layout().monitor.model_dump(mode="json", exclude_defaults=True)
    odd = {"name": "odd", "kind": "band", "signal": "low", "high": 5, "severities": {"warning": 5}}
    told = {"name": "told", "kind": "state", "classes": ["no", "yes"]}
    monitor = described | {
        "rules": [odd, *described["rules"]],
        "tasks": [*described["tasks"][:2], told, *described["tasks"][2:]],
        "knowledge": KNOWLEDGE | {"weight": 0.5},
    }
    odds = Network(Layout(Monitor.model_validate(monitor))).rule_odds
    with torch.no_grad():
        odds.slopes[1].slope_FC[1] = torch.tensor([0.0, -1.0, -3.0])
    assert odds.falling(1).item() == pytest.approx(3.0)
