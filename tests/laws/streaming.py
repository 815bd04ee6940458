"""Run a stream through the network in any grouping, keeping state per entity as a store would."""

from dataclasses import fields

import numpy as np
import torch

from trainer.rows import pack


def run(network, entity, values, time_ms, cuts, entities):
    """Outputs in arrival order for the stream cut into batches at `cuts`, and the final state."""
    state = network.initial(entities)
    seen = []
    with torch.inference_mode():
        for part in np.split(np.arange(len(entity)), cuts):
            if len(part):
                seen.append(_step(network, entity[part], values[part], time_ms[part], state))
    return {name: np.concatenate([each[name] for each in seen]) for name in seen[0]}, state


def _step(network, entity, values, time_ms, state):
    names, first, local = np.unique(entity, return_index=True, return_inverse=True)
    appearance = np.argsort(first)
    rank = np.empty_like(appearance)
    rank[appearance] = np.arange(len(names))
    rows, order, entity_order = pack(rank[local], values, time_ms, network.layout)
    slots = torch.from_numpy(names[appearance][entity_order])
    outputs, after = network(rows, {name: part[slots] for name, part in state.items()})
    for name, part in state.items():
        part[slots[: len(names)]] = after[name][: len(names)]
    flat = {field.name: getattr(outputs, field.name) for field in fields(outputs)}
    flat |= {f"state{index}": logits for index, logits in enumerate(flat.pop("states"))}
    observed = flat.pop("observed")
    flat |= {name: getattr(observed, name) for name in ("last_NS", "before_NS", "age_NS", "spread_NS", "pause_NS")}
    return {name: tensor.numpy()[order] for name, tensor in flat.items()}
