"""Weights as bytes: safetensors whose metadata name the architecture, so that other weights are never misread."""

import hashlib
import json

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from schemas.errors import ModelError
from schemas.horizon import name_of
from schemas.layout import Layout
from trainer.network import Network

FORMAT = "2"
"""Changes whenever the same names and sizes come to mean something else."""


def save_weights(network: Network) -> bytes:
    """A network's weights. Raises ModelError when one is not finite."""
    weights = {name: weight.detach().contiguous() for name, weight in network.state_dict().items()}
    _check_finite(weights)
    return bytes(save_tensors(weights, metadata={"architecture": architecture(network.layout)}))


def load_weights(layout: Layout, content: bytes) -> Network:
    """A network from `save_weights`.

    Raises:
        ModelError: the content is torn, of another architecture, or not finite.
    """
    try:
        seen = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]["architecture"]
        weights = load_tensors(content)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"weights: got {len(content)} bytes that are no whole safetensors file") from error
    expected = architecture(layout)
    if seen != expected:
        raise ModelError(f"weights: got architecture {str(seen)[:16]}; expected {expected[:16]} of this configuration")
    _check_finite(weights)
    network = Network(layout)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError("weights: got other names or shapes than this architecture has") from error
    return network


def architecture(layout: Layout) -> str:
    """SHA-256 of everything that the weights' meaning depends on."""
    model = layout.monitor.model
    parts = {
        "format": FORMAT,
        "signals": [(s.name, s.range, s.transform, m) for s, m in zip(layout.signals, layout.modality_of, strict=True)],
        "modalities": [(m.name, m.scope) for m in layout.monitor.modalities],
        "targets": layout.n_targets,
        "forecast": (list(map(name_of, layout.forecast.horizons)), layout.forecast.quantiles),
        "states": list(layout.classes.items()),
        "model": (model.width, model.heads, model.cell),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _check_finite(weights: dict[str, torch.Tensor]) -> None:
    for name, weight in weights.items():
        if not weight.isfinite().all():
            raise ModelError(f"weights: {name} holds a value that is not finite")
