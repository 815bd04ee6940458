"""The one voice of all ranks: what they tell the registry, stamped with how far they have come, and what they hear."""

from collections.abc import Mapping
from functools import reduce

import torch
from torch.distributed import ProcessGroup

from schemas.newest import Newest
from schemas.observation import Ranges
from schemas.protocols import TRAINER, Action, ModelRecord, Registry
from trainer.network import Network
from trainer.weighting.ranks import gather_words, pool_sum
from trainer.weights import save_weights


class Voice:
    """The first rank speaks; all hear the same.

    Args:
        registry: that is spoken to.
        group: the ranks; None: this is the only one.

    Attributes:
        against: version that the candidate is judged against; None: none was published yet.
        steps: taken or refused since the beginning.
        events: rows learned from since the beginning.
    """

    def __init__(self, registry: Registry, group: ProcessGroup | None) -> None:
        self._registry, self._group = registry, group
        self.rank = 0 if group is None else group.rank()
        self.against: int | None = None
        self.steps = 0
        self.events = 0

    @property
    def version(self) -> int:
        """That the candidate is judged against; 0: none was published yet."""
        return self.against or 0

    @property
    def leads(self) -> bool:
        """Does this rank speak for all?"""
        return self.rank == 0

    def serving(self) -> ModelRecord | None:
        """The version that serves, as the first rank sees it."""
        found = self._registry.serving() if self.leads else None
        version = int(pool_sum(torch.tensor(found.version if found else 0), self._group))
        return self._registry.get(version) if version and found is None else found

    def weights(self, version: int) -> bytes:
        """Of a version. Raises ModelError when they cannot be had."""
        return self._registry.load(self._registry.get(version))

    def newest(self, mine: Newest) -> Newest:
        """How new the rows of all ranks are."""
        told = gather_words(list(mine), self._group)
        return reduce(Newest.later, (Newest(*each) for each in told))

    def publish(self, network: Network, metrics: Mapping[str, float], newest: Newest) -> tuple[int, bool]:
        """Publish weights: their version, and whether the registry first tries them."""
        published = [0, 0]
        if self.leads:
            record = self._registry.publish(save_weights(network), self.against, metrics, newest)
            published = [record.version, int(record.status == "challenger")]
        version, tried = pool_sum(torch.tensor(published), self._group).tolist()
        return int(version), bool(tried)

    def went_elsewhere(self, version: int | None) -> bool:
        """Was the version that was learned against taken out of service, or followed by one of another making?"""
        if version is None or version == self.against:
            return False
        elsewhere = self.leads and (
            self.version < version
            or self._registry.get(version).status == "rolled back"
            or self._registry.get(self.version).made_by != TRAINER
        )
        return bool(pool_sum(torch.tensor(int(elsewhere)), self._group))

    def learned_from(self, version: int) -> None:
        """Write down that learning goes on from a version that was made elsewhere."""
        if self.leads:
            self._registry.note(version, "learned from", TRAINER, f"v{self.version} serves no more")

    def record(self, metrics: Mapping[str, float]) -> None:
        """Write down prequential metrics."""
        if self.leads:
            self._registry.record_metrics(self.version, self.steps, self.events, metrics)

    def acted(self, action: Action) -> None:
        """Write down what was done about drift or harm."""
        if self.leads:
            self._registry.record_action(self.version, self.steps, self.events, action)

    def quarantine(self, reason: str, ranges: Ranges) -> None:
        """Write down what this rank refused to learn: each speaks for its own rows."""
        self._registry.quarantine(reason, ranges)
