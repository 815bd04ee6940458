"""`models export`: a version as a program, in a file."""

from collections.abc import Mapping
from typing import Any

from infra.fitting.options import FitOptions
from infra.fitting.read import layout_of
from infra.weights import weights_of, write
from trainer.export import exported, manifest
from trainer.weights import load_weights


def export(options: FitOptions, model: str) -> tuple[Mapping[str, Any], int]:
    """Write `options.output`; return its manifest and its bytes.

    Raises:
        ConfigError: the monitor is wrong.
        InputError: the outcomes cannot be read.
        ModelError: the weights are of another kind.
    """
    layout, _ = layout_of(options)
    weights = weights_of(layout, model)
    network = load_weights(layout, weights.content, weights.source)
    content = exported(network)
    if options.output is not None:
        write(options.output, content)
    return manifest(network), len(content)
