"""Where a fit starts: at fresh weights, at a version or a file, or at what another network has in common with it."""

from dataclasses import dataclass

from infra.fitting.options import FitOptions
from infra.registry import SqlRegistry
from infra.weights import FRESH, Weights, stored, weights_of
from schemas.errors import ConfigError
from schemas.layout import Layout
from trainer.transfer import Transfer, transfer
from trainer.weights import load_weights, save_weights


@dataclass(frozen=True, slots=True)
class Start:
    """Weights to start from.

    Attributes:
        content: from `save_weights`; None: fresh ones.
        transfer: what was taken over of a network for other tasks or signals; None: all of it, or none.
    """

    content: bytes | None
    transfer: Transfer | None = None


def start_of(layout: Layout, options: FitOptions, registry: SqlRegistry | None) -> Start:
    """As asked for; where nothing was, the version that serves.

    Raises:
        ConfigError: a transfer was asked for, and there is nothing to transfer.
        ModelError: there are no such weights, or they are of another kind than what may be transferred.
    """
    weights = _asked_for(layout, options, registry)
    if weights is None:
        if options.transfer:
            expected = "--model VERSION or FILE, or a serving version"
            raise ConfigError("command line", "--transfer", options.model, expected)
        return Start(None)
    if options.transfer:
        found = transfer(layout, weights.content, weights.source)
        return Start(save_weights(found.network), found)
    load_weights(layout, weights.content, weights.source)  # what does not fit is refused before history is read
    return Start(weights.content)


def _asked_for(layout: Layout, options: FitOptions, registry: SqlRegistry | None) -> Weights | None:
    if options.model is not None:
        return None if options.model == FRESH else weights_of(layout, options.model, "--model")
    serving = None if registry is None else registry.serving()
    return None if serving is None or registry is None else stored(registry, serving)
