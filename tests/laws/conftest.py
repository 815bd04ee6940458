"""Monitors and streams for the laws of the network."""

import numpy as np
import pytest
import torch

from schemas.layout import Layout
from schemas.monitor import Monitor
from trainer.network import Network

WARD = {
    "monitor": "ward",
    "topics": {"observations": "vitals"},
    "modalities": [
        {"name": "heart", "signals": [{"name": "hr", "range": [0, 300]}, {"name": "sbp", "range": [0, 350]}]},
        {"name": "breath", "signals": [{"name": "spo2", "range": [0, 100]}, {"name": "rr"}, {"name": "flow"}]},
        {"name": "price", "signals": [{"name": "close", "range": [1e-6, 1e9], "transform": "log-return"}]},
        {"name": "fixed", "scope": "static", "signals": [{"name": "age", "range": [0, 130]}]},
    ],
    "tasks": [
        {"name": "forecast", "kind": "forecast", "horizons": [1, 4], "quantiles": [0.05, 0.25, 0.5, 0.9]},
        {"name": "anomaly", "kind": "anomaly"},
        {
            "name": "soon",
            "kind": "state",
            "classes": ["calm", "moving", "storm"],
            "target": {"rule": "jump", "cuts": [1.5, 3.0], "within": 4},
        },
    ],
    "rules": [{"name": "jump", "kind": "move", "signal": "hr", "severities": {"warning": 3.0}}],
}


def layout(**model: object) -> Layout:
    return Layout(Monitor.model_validate(WARD | {"model": model}))


@pytest.fixture(params=[False, True], ids=["float32-state", "float16-state"])
def network(request) -> Network:
    return awake(Network(layout(half_state=request.param)))


@pytest.fixture
def exact_network() -> Network:
    """A network whose state is not rounded."""
    return awake(Network(layout(half_state=False)))


def awake(network: Network) -> Network:
    """Every weight moved off its start, so that zero gates and zero skips hide nothing."""
    torch.manual_seed(7)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    return network.eval()


def stream(rows: int, entities: int, seed: int, missing: float = 0.4):
    """(entity [N], values [N, S], time_ms [N]) in arrival order."""
    rng = np.random.default_rng(seed)
    entity = rng.integers(0, entities, rows)
    start = np.array([80.0, 120.0, 97.0, 16.0, 0.0, 30.0, 60.0])
    step = np.array([2.0, 5.0, 0.5, 1.0, 1.0, 0.3, 0.0])
    values = start + rng.normal(size=(rows, 7)).cumsum(0) * step * 0.1 + rng.normal(size=(rows, 7)) * step
    values[:, 5] = np.abs(values[:, 5]) + 0.1
    values[rng.random(values.shape) < missing] = np.nan
    time_ms = 1_700_000_000_000 + np.cumsum(rng.integers(0, 120_000, rows))
    return entity, values, time_ms
