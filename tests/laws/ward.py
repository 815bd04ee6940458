"""A small monitor with every scope and transform, awake networks, random streams, and a store-like way to run them."""

from dataclasses import fields
from itertools import cycle

import numpy as np
import torch

from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.observation import NO_VECTORS, Batch, Partition
from trainer.network import Network
from trainer.rows import pack

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
REMEMBERING = [
    {"name": "falling", "kind": "rate", "signal": "sbp", "low": -20, "per": "20s", "severities": {"warning": 1}},
    {"name": "no-flow", "kind": "missing", "signal": "flow", "for": "30s", "severities": {"warning": 1}},
    {"name": "halt", "kind": "frozen", "signal": "spo2", "for": "30s", "severities": {"warning": 1}},
    {"name": "wild", "kind": "volatility", "signal": "rr", "high": 2, "severities": {"warning": 0.1}},
    {"name": "reopened", "kind": "move", "signal": "hr", "after": "6s", "severities": {"warning": 2.5}},
]
"""Rules that look further back than the last values."""
GATE = {
    "monitor": "gate",
    "topics": {"observations": "frames"},
    "modalities": [
        {"name": "door", "signals": [{"name": "opened"}]},
        {"name": "camera", "kind": "image", "frame": {"channels": 3, "height": 8, "width": 12}},
        {"name": "sound", "kind": "embedding", "size": 5},
    ],
    "tasks": [{"name": "forecast", "kind": "forecast"}, {"name": "anomaly", "kind": "anomaly"}],
}
"""A camera, an embedding and a plain signal."""
MIXES = ("gru+convolution", "retention+transformer+ssm")
"""Cells that the ward's four modalities take in turns."""
TOPIC = Partition("vitals", 0)
TRAINING = {"window": 8, "windows_per_step": 16, "gate_windows": 48}
"""Settings with which a few hundred rows are enough to learn."""


def layout(training=None, **model) -> Layout:
    return Layout(Monitor.model_validate(WARD | with_cells(**model) | {"training": training or {}}))


def with_cells(cell="gru", context="static", **model) -> dict:
    """The ward's `modalities` and `model`; modalities name their cells themselves where there are several.

    `context` is the scope of the one that is not of the entity alone.
    """
    modalities = [*WARD["modalities"][:-1], WARD["modalities"][-1] | {"scope": context}]
    if "+" not in cell:
        return {"modalities": modalities, "model": {"cell": cell, **model}}
    mixed = [each | {"cell": word} for each, word in zip(modalities, cycle(cell.split("+")), strict=False)]
    return {"modalities": mixed, "model": model}


def awake(network: Network) -> Network:
    """Every weight moved off its start, so that zero gates and zero skips hide nothing."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for weight in (network.regression.weight_SIH, *network.parameters()):
            weight.add_(torch.randn(weight.shape, generator=generator) * 0.1)
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
    time_ms = 1_700_000_000_000 + np.cumsum(rng.integers(1, 120_000, rows))
    return entity, values, time_ms


def autoregressive(steps: int, entities: int, seed: int):
    """Rows of entities whose signals revert to their mean by 40 % a row: persistence can be beaten."""
    rng = np.random.default_rng(seed)
    level = np.array([80.0, 120.0, 60.0, 16.0, 9.0, 30.0, 60.0])
    x = np.zeros((entities, 7))
    for step in range(steps):
        x = 0.6 * x + rng.normal(size=x.shape)
        values = level + x
        values[:, 6] = 60.0
        yield np.arange(entities), values, np.full(entities, 60_000 * step, dtype=np.int64)


def batch(entity, values, time_ms, first_offset=0) -> Batch:
    """A batch of one partition, offsets counting up."""
    n = len(entity)
    return Batch(
        entity=[str(each) for each in entity],
        time_ms=time_ms,
        values=values,
        partition=np.zeros(n, dtype=np.int64),
        offset=first_offset + np.arange(n),
        status=np.zeros(n, dtype=np.uint8),
        masked=np.zeros(n, dtype=np.bool_),
        partitions=(TOPIC,),
        next_offsets=(first_offset + n,),
    )


def run(network, entity, values, time_ms, cuts=(), vectors=NO_VECTORS):
    """Outputs in arrival order for the stream cut into batches at `cuts`, and the final state per entity."""
    state = network.initial(int(entity.max()) + 1)
    with torch.inference_mode():
        parts = [part for part in np.split(np.arange(len(entity)), cuts) if len(part)]
        carried = [{name: vector[part] for name, vector in vectors.items()} for part in parts]
        steps = zip(parts, carried, strict=True)
        seen = [_step(network, entity[part], values[part], time_ms[part], state, each) for part, each in steps]
    outputs = {name: np.concatenate([each[name] for each in seen]) for name in seen[0]}
    return outputs, {name: part.numpy() for name, part in state.items()}


def different(one, other) -> list[str]:
    """Names under which two sets of arrays are not bit for bit the same."""
    return [name for name in one if not np.array_equal(one[name], other[name], equal_nan=True)]


def _step(network, entity, values, time_ms, state, vectors):
    names, local = np.unique(entity, return_inverse=True)
    rows, order, entity_order = pack(local, values, time_ms, network.layout, vectors)
    slots = torch.from_numpy(names[entity_order])
    outputs, after = network(rows, {name: part[slots] for name, part in state.items()})
    for name, part in state.items():
        part[slots[: len(names)]] = after[name][: len(names)]
    flat = {field.name: getattr(outputs, field.name) for field in fields(outputs)}
    for name, parts in (("state", flat.pop("states")), ("standing", flat.pop("standing"))):
        flat |= {f"{name}{index}": part for index, part in enumerate(parts)}
    observed, *_ = flat.pop("observed"), flat.pop("shared"), flat.pop("ways")
    flat |= {name: getattr(observed, name) for name in ("last_NS", "before_NS", "age_NS", "spread_NS", "pause_NS")}
    return {name: tensor.numpy()[order] for name, tensor in flat.items()}
