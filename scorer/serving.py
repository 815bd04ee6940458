"""The models a shard scores with: the serving version for live rows, older ones for replay."""

from collections.abc import Callable

import structlog

from schemas.errors import LedgerError, ModelError
from schemas.layout import Layout
from schemas.protocols import ModelRecord, Versions
from trainer.network import Network
from trainer.weights import load_weights

_KEPT = 4
"""Networks held in memory: the serving one and those a replay crosses."""
_PATIENCE = 30.0
"""Seconds until a version that could not be loaded is read again: its file may have come late."""
_log = structlog.get_logger(__name__)


class ServingModels:
    """Loads versions from the registry; a version that cannot be loaded leaves the last good one serving.

    Args:
        layout: what the networks must fit.
        registry: where versions are published.
        monotonic: a clock in seconds.
        every_seconds: how often the registry is asked for a newer version.
    """

    def __init__(
        self, layout: Layout, registry: Versions, monotonic: Callable[[], float], every_seconds: float = 0.5
    ) -> None:
        self._layout = layout
        self._registry = registry
        self._monotonic = monotonic
        self._every_seconds = every_seconds
        self._due = float("-inf")
        self._networks: dict[int, Network] = {}
        self._version = self._unfit = 0
        self._again = float("-inf")
        self._fallback = False
        self.refresh()

    def version(self) -> int:
        """The version for live rows; 0 = none could be loaded."""
        return self._version

    def fallback(self) -> bool:
        """Does it serve in place of a newer one, which was rolled back or could not be loaded?"""
        return self._fallback

    def refresh(self) -> None:
        """Take up a newer serving version, if it is time to look."""
        if self._monotonic() < self._due:
            return
        self._due = self._monotonic() + self._every_seconds
        try:
            record = self._registry.serving()
        except LedgerError as error:
            _log.warning("registry unreachable, keeping the model that serves", why=str(error))
            return
        if record is None:
            return
        waits = record.version == self._unfit and self._monotonic() < self._again
        if record.version != self._version and not waits and self._load(record) is not None:
            _log.info("model version taken up", version=record.version, before=self._version)
            self._version = record.version
        self._fallback = record.fallback or record.version != self._version

    def network_of(self, version: int) -> Network | None:
        """The network of a version, in evaluation mode; None when it cannot be had."""
        if version == 0 or version in self._networks:
            return self._networks.get(version)
        try:
            return self._load(self._registry.get(version))
        except ModelError as error:
            _log.error("model version unknown", version=version, why=str(error))
            return None

    def _load(self, record: ModelRecord) -> Network | None:
        if record.version in self._networks:
            return self._networks[record.version]
        try:
            network = load_weights(self._layout, self._registry.load(record), f"model version {record.version}")
        except ModelError as error:
            _log.error("model version unfit, keeping the last good one", version=record.version, why=str(error))
            self._unfit, self._again = record.version, self._monotonic() + _PATIENCE
            return None
        self._networks[record.version] = network.eval()
        while len(self._networks) > _KEPT:
            self._networks.pop(min(set(self._networks) - {self._version, record.version}))
        return network
