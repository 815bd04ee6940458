"""The seams. infra hands implementations of these to the scorer and the trainer, which know nothing else of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple, Protocol

from schemas.alert import Alert
from schemas.budget import Achieved
from schemas.discovered import Discovered
from schemas.newest import UNKNOWN, Newest
from schemas.observation import Batch, DeadLetter, GlobalRow, Partition, Ranges
from schemas.shadow import ShadowStep

TRAINER = "trainer"
"""Who makes versions while the stream runs."""
AS_CONFIGURED: Mapping[str, float] = MappingProxyType({})
"""Strictness where nobody's word moved any threshold."""


class Owner(Protocol):
    """Whoever reads a source is told which partitions it gains and loses, between batches."""

    def adopt(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        """Take ownership; return the offset to read each partition from (-2 = its beginning)."""
        ...

    def release(self, partitions: Sequence[Partition]) -> None:
        """Ownership has gone: drop the partitions' state."""
        ...


class Source(Protocol):
    """Ordered, clean batches. Kafka, files and tests' lists look the same."""

    def batches(self, owner: Owner) -> Iterator[Batch | None]:
        """Yield batches in order within each partition; None when idle, so that the caller can tick."""
        ...

    def dead_letter(self, letters: Sequence[DeadLetter]) -> None:
        """Put refused records aside. Returns once they are safe: offsets are committed after this."""
        ...

    def globals(self) -> Sequence[GlobalRow]:
        """Global observations that arrived since the last call."""
        ...

    def close(self) -> None:
        """Leave the group, stop threads."""
        ...


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the records of one partition in one commit. Their sum is the number of records read."""

    accepted: int = 0
    partly: int = 0
    dead_lettered: int = 0
    duplicate: int = 0


@dataclass(frozen=True, slots=True)
class Advance:
    """One partition's step in a commit; where `version` or `strictness` is new, they stand from `from_offset` on.

    `strictness`: as a `Swap` has it. `achieved`: what became of its budgets so far, those of groups by name, or of its
    false discovery rate.
    """

    partition: Partition
    from_offset: int
    next_offset: int
    tally: Tally
    version: int
    strictness: Mapping[str, float] = field(default_factory=dict)
    snapshot: tuple[str, int] | None = None
    shadow: ShadowStep | None = None
    achieved: Mapping[str, Achieved | Discovered] = field(default_factory=dict)


class Swap(NamedTuple):
    """From `offset` on a partition was scored by `version`, and a task's evidence had to be `strictness` stronger.

    Of the learned score in -log10 p, of a state or event task in log10 of the odds; a task that is absent: 0.
    """

    offset: int
    version: int
    strictness: Mapping[str, float] = AS_CONFIGURED


@dataclass(frozen=True, slots=True)
class Position:
    """Where a partition stands in the ledger: `committed` is the next offset to be accounted for (-2 = none yet).

    `snapshots` are (file, offset), newest first; `swaps` ascend. Rows before `logged` are scored as the swaps say
    though they are not committed: they are scored anew.
    """

    epoch: int
    committed: int
    snapshots: tuple[tuple[str, int], ...]
    swaps: tuple[Swap, ...]
    logged: int = 0


class Ledger(Protocol):
    """Alerts, offsets and model version in one transaction, fenced per partition by an epoch."""

    def acquire(self, partition: Partition) -> Position:
        """Take the partition: its epoch grows by one, and every older owner's commit is refused from now on."""
        ...

    def commit(self, alerts: Sequence[Alert], advances: Sequence[Advance]) -> None:
        """All or nothing. Raises FencedError when any partition's epoch moved on."""
        ...

    def release(self, partition: Partition) -> None:
        """Forget the partition here (a successor acquires it; nothing is written)."""
        ...


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A published version. `path` is a safetensors file, `digest` its SHA-256; `made_by` trainers, or a command.

    `fallback`: it serves, and a newer one was rolled back; only `Registry.serving` says so.
    """

    version: int
    path: str
    digest: str
    parent: int | None
    metrics: Mapping[str, float]
    status: str
    made_by: str = TRAINER
    fallback: bool = False


@dataclass(frozen=True, slots=True)
class Action:
    """What a learner did that no step does by itself.

    Attributes:
        kind: alarm, hurry, burst, retrain, recovered, accepted, went back, renewed, returned, rehearsal refused.
        task: which it was about; "representation"; "" = all.
        why: in a few words, with the figures.
    """

    kind: str
    task: str
    why: str


class Versions(Protocol):
    """Versioned weights, to be read."""

    def serving(self) -> ModelRecord | None:
        """The version that should serve now."""
        ...

    def get(self, version: int) -> ModelRecord:
        """One version. Raises ModelError when it is unknown."""
        ...

    def load(self, record: ModelRecord) -> bytes:
        """A version's weights. Raises ModelError when they do not match their digest."""
        ...


class Registry(Versions, Protocol):
    """Versioned weights, and what is written down about them."""

    def publish_first(self, weights: bytes) -> ModelRecord:
        """Store weights as the first version, unless there is one; the version that serves then."""
        ...

    def publish(
        self, weights: bytes, parent: int | None, metrics: Mapping[str, float], newest: Newest = UNKNOWN
    ) -> ModelRecord:
        """Store weights as the next version and let it serve, or challenge what serves: its status says which.

        `newest` is how new the rows were that they have learned.
        """
        ...

    def note(self, version: int, standing: str, who: str, why: str) -> None:
        """Write down what became of a version."""
        ...

    def record_metrics(self, version: int, step: int, events: int, metrics: Mapping[str, float]) -> None:
        """Append prequential per-task metrics."""
        ...

    def quarantine(self, reason: str, ranges: Ranges) -> None:
        """Record a refused training batch with its offsets."""
        ...

    def record_action(self, version: int, step: int, events: int, action: Action) -> None:
        """Append what the learner did about drift or harm."""
        ...
