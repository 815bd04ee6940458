"""Fitting on history: the online learner, over files, as often as asked; then published to the monitor's registry."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from infra.assembly import first_version, registry_of
from infra.database import connect, migrate
from infra.memory import MemoryRegistry
from infra.settings import load_monitor
from ingest.files import FileSource
from schemas.errors import InputError
from schemas.layout import Layout
from schemas.observation import Batch, Partition
from schemas.protocols import ModelRecord
from trainer.learner import Learner

_BATCH_ROWS = 1024


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of it. `published` None: no candidate was better than the version that serves."""

    rows: int
    steps: int
    losses: dict[str, float]
    published: ModelRecord | None


def train(monitor: str, files: Sequence[Path], passes: int, seed: int) -> Trained:
    """Learn from files and publish the version that proved itself last, if one did.

    Each pass learns from where the one before ended, and is judged by the gate that judges online learning.

    Raises:
        ConfigError: the monitor is wrong.
        InputError: a file cannot be read, or holds no row.
    """
    torch.set_num_threads(1)
    loaded = load_monitor(monitor)
    layout = Layout(loaded)
    engine = connect(loaded.database.url)
    migrate(engine)
    stored, tried = registry_of(loaded, engine), MemoryRegistry()
    serving = first_version(layout, stored)
    tried.publish(stored.load(serving), None, {})
    rows = steps = 0
    losses: dict[str, float] = {}
    for each in range(passes):
        learner = Learner(layout, seed + each, tried)
        for batch in _batches(files, layout):
            rows += len(batch)
            for report in learner.observe(batch):
                losses = dict(report.losses)
            learner.publish_if_proved(tried)
        steps += learner.steps
    if not rows:
        raise InputError(f"{', '.join(map(str, files))}: got no row; expected at least one")
    best = tried.get(tried.newest)
    published = stored.publish(tried.load(best), serving.version, best.metrics) if tried.newest > 1 else None
    return Trained(rows, steps, losses, published)


def _batches(files: Sequence[Path], layout: Layout) -> Iterator[Batch]:
    source = FileSource(files, layout, _BATCH_ROWS)
    yield from (batch for batch in source.batches(Reader()) if batch is not None)


class Reader:
    """Reads everything from the start and owns nothing."""

    def adopt(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        """From the start."""
        return dict.fromkeys(partitions, 0)

    def release(self, partitions: Sequence[Partition]) -> None:
        """Nothing is held."""
