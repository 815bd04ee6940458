"""One rank of a monitor's trainers: it reads its own partitions, and steps when all of them do.

What the ranks hold, and how far they have read, they write down together now and then, between the same two steps. So
whoever goes on from there, in whatever number, skips no row and learns none twice.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import structlog
import torch
from sqlalchemy import Engine
from torch.distributed import ProcessGroup

from infra.assembly import ledger_of, registry_of, utc_now
from infra.behind import ledger_of_trainers
from infra.checkpoints import SHARED, Checkpoint, Checkpoints, file_of, told_of
from infra.labels.feed import label_feed
from infra.place import Place
from ingest.kafka import KafkaSource
from ingest.topics import partitions_of
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.observation import Batch, Partition
from schemas.protocols import Advance, Tally
from scorer.globals import GlobalTable
from trainer.checkpoint import packed, unpacked
from trainer.learner import Learner
from trainer.step_report import StepReport
from trainer.told import Told, bytes_of, written
from trainer.weighting.ranks import gather_words, pool_most, pool_sum

BEGINNING = -2
_IDLE_MS = 20
"""How long a rank waits for rows while others may have some."""
_ALONE_MS = 100
_LOOK_SECONDS = 0.5
"""How often the first rank looks which version serves."""
_MOST_TOLD = 16 << 20
"""Bytes of labelled pieces, each counted as often as it was taught, after which they are written down."""
_log = structlog.get_logger(__name__)


class TrainingRank:
    """Learns until it is told to leave, or another rank is lost.

    Args:
        monitor: what is learned.
        place: which rank this is.
        group: the ranks; None: this is the only one.
        engine: the monitor's database.
        on_step: told of every step; its report is the same on all ranks, but for offsets.
        device: where its steps are computed.
    """

    def __init__(
        self,
        monitor: Monitor,
        place: Place,
        group: ProcessGroup | None,
        engine: Engine,
        on_step: Callable[[StepReport], None],
        device: torch.device,
    ) -> None:
        layout = Layout(monitor)
        self._monitor, self._place, self._group, self._on_step = monitor, place, group, on_step
        self._checkpoints = Checkpoints(engine, monitor.monitor, monitor.database.folder, utc_now)
        self._ledger = ledger_of(monitor, engine, ledger_of_trainers(monitor.monitor), f"{monitor.monitor}-trainer")
        self._table = GlobalTable(layout)
        self._partitions = self._all_of_the_topic()
        self._mine = self._partitions[place.rank :: place.ranks]
        self._committed, self._generation = self._acquire()
        fence = self._ledger.fence(self._partitions, self._generation)
        self._registry = replace(registry_of(monitor, engine), fence=fence)
        labelled = monitor.topics.labels is not None
        self.learner = Learner(
            layout, monitor.model.seed, self._registry, labelled=labelled, hurried=labelled, group=group, device=device
        )
        self.labels = label_feed(layout, engine, self.learner, fence)
        self._offsets = dict(self._committed)
        self._parent: int | None = None
        self._taken: list[list[Any]] = []
        self._entries: list[list[Any]] = []
        self._told: dict[int, Told] = {}
        self._told_bytes = 0
        self._followed: list[int] | None = None
        self._restore()
        if self.labels is not None:
            self.labels.go_on(self.learner.steps, {each: self._offsets[each] for each in self._mine})
        self._source = self._reading(layout)
        self._batches: Iterator[Batch | None] = self._source.batches(self) if self._source else iter(())
        self._due = self._look = time.monotonic()

    def run(self, leaving: Callable[[], bool]) -> None:
        """Take rows in and step, round by round, until any rank is leaving.

        Raises:
            RuntimeError: another rank was lost.
            FencedError: other trainers have taken over.
        """
        self._write_down()
        while True:
            if not self.learner.ready:
                self._take()
            step, leave, due, *standing = self._agree(leaving())
            news = self._follow(standing)
            if step:
                self._step()
            if leave or due or news:
                self._write_down()
            if leave:
                return

    def lag(self) -> int:
        """Records of its partitions that it has not read yet."""
        return sum(self._source.lag().values()) if self._source else 0

    def close(self) -> None:
        """Stop reading."""
        if self._source is not None:
            self._source.close()
        if self.labels is not None:
            self.labels.close()

    def adopt(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        """Go on where learning stood."""
        return {partition: self._offsets[partition] for partition in partitions}

    def release(self, partitions: Sequence[Partition]) -> None:
        """Partitions are given by the rank's number alone: none is ever lost."""

    def _all_of_the_topic(self) -> list[Partition]:
        """Its partitions, the same ones on every rank."""
        topic = self._monitor.topics.observations
        count = partitions_of(self._monitor.kafka.bootstrap_servers)[topic]
        return [Partition(topic, number) for number in range(min(gather_words(count, self._group)))]

    def _acquire(self) -> tuple[dict[Partition, int], int]:
        """The first rank fences off whoever learned before; all are told where that one stood."""
        positions = [self._ledger.acquire(each) for each in self._partitions] if self._place.rank == 0 else []
        stood = gather_words([(position.committed, position.epoch) for position in positions], self._group)[0]
        committed = {partition: at for partition, (at, _) in zip(self._partitions, stood, strict=True)}
        return committed, max(epoch for _, epoch in stood)

    def _restore(self) -> None:
        checkpoint = self._newest()
        if checkpoint is None:
            return
        self._parent = checkpoint.id
        self.learner.load_state_dict(unpacked(self._checkpoints.read(checkpoint, SHARED)))
        shares = {
            each: self._checkpoints.read(checkpoint, file_of(each))
            for each in self._mine
            if file_of(each) in checkpoint.files
        }
        self.learner.add_shares({partition: unpacked(share) for partition, share in shares.items()})
        self._offsets |= checkpoint.offsets
        _log.info("learning goes on", step=checkpoint.step, rank=self._place.rank, ranks=self._place.ranks)

    def _newest(self) -> Checkpoint | None:
        """The same one on every rank."""
        found = self._checkpoints.newest_sound() if self.learner.leads else None
        number = int(pool_sum(torch.tensor(found.id if found else 0), self._group))
        if found is None and number:
            found = next(each for each in self._checkpoints.all() if each.id == number)
        return found

    def _reading(self, layout: Layout) -> KafkaSource | None:
        """None where there are more ranks than partitions."""
        if not self._mine:
            _log.warning("more trainers than partitions: this one has none", rank=self._place.rank)
            return None
        idle_ms = _ALONE_MS if self._group is None else _IDLE_MS
        return KafkaSource(layout, utc_now, assign=self._mine, idle_ms=idle_ms, hurried=False)

    def _take(self) -> None:
        batch = next(self._batches, None)
        if self._source is not None:
            self._table.add(self._source.globals())
        if batch is not None:
            self._take_in(replace(batch, values=self._table.join(batch.time_ms, batch.values)))
        if self.labels is not None:
            self.learner.tell(self.labels.drain())

    def _take_in(self, batch: Batch) -> None:
        self.learner.take(batch)
        if self.labels is not None:
            self.labels.observe(batch)
        after = dict(zip(batch.partitions, batch.next_offsets, strict=True))
        self._taken.append([[each.number, self._offsets[each], after[each]] for each in after])
        self._offsets |= after

    def _agree(self, leaving: bool) -> list[int]:
        """Does any rank want a step, to leave, a checkpoint? Which versions serve and are tried; 0: not looked now.

        The first rank's clock says when a checkpoint or a look is due.
        """
        due = (self.learner.leads and time.monotonic() >= self._due) or self._told_bytes >= _MOST_TOLD
        wishes = torch.tensor([self.learner.ready, leaving, due, *self._standing()], dtype=torch.int32)
        found: list[int] = pool_most(wishes, self._group).tolist()
        return found

    def _standing(self) -> tuple[int, int]:
        if not self.learner.leads or time.monotonic() < self._look:
            return 0, 0
        self._look = time.monotonic() + _LOOK_SECONDS
        serving, challenger = self._registry.standing()
        return serving, challenger

    def _follow(self, standing: Sequence[int]) -> bool:
        """Another version serves than before, or one is no longer tried: a checkpoint must hold that at once."""
        if not standing[0] or not self.learner.follow(*standing):
            return False
        self._followed = list(standing)
        if self.labels is not None:
            self.labels.look()  # what came out of the weights must not come back with the next step
        return True

    def _step(self) -> None:
        report = self.learner.step()
        version = self.learner.publish_if_proved()
        self._entries.append([report.step, self._taken, version, self._followed])
        self._taken, self._followed = [], None
        if report.told is not None:
            self._told[report.step] = report.told
            self._told_bytes += sum(map(bytes_of, chain(*report.told)))
        self._on_step(report)
        if self.labels is not None:
            self.labels.report([report])

    def _write_down(self) -> None:
        """All ranks write their files, then the first one records them: only then do they count."""
        folder = self._checkpoints.folder(self._generation, self.learner.steps)
        files = {
            file_of(each): self._checkpoints.write(folder, file_of(each), packed(self.learner.share_of(each)))
            for each in self._mine
        }
        if self._told:
            name = told_of(self._place.rank)
            files[name] = self._checkpoints.write(folder, name, packed(written(self._told)))
        if self.learner.leads:
            files[SHARED] = self._checkpoints.write(folder, SHARED, packed(self.learner.state_dict()))
        if self._taken:  # in no step yet
            self._entries.append([self.learner.steps, self._taken, None, None])
        offsets = [self._offsets[partition] for partition in self._mine]
        newest_ms = self.learner.newest.event_ms
        mine = {"files": files, "offsets": offsets, "log": self._entries, "lag": self.lag(), "newest_ms": newest_ms}
        told = gather_words(mine, self._group)
        number = self._record(folder, told) if self.learner.leads else 0
        self._parent = int(pool_sum(torch.tensor(number), self._group))
        self._taken, self._entries, self._followed, self._told, self._told_bytes = [], [], None, {}, 0
        self.learner.draw_anew()
        self._due = time.monotonic() + self._monitor.training.checkpoint_every.total_seconds()

    def _record(self, folder: str, told: Sequence[Mapping[str, Any]]) -> int:
        ranks = self._place.ranks
        offsets = {each: told[each.number % ranks]["offsets"][each.number // ranks] for each in self._partitions}
        self._advance(offsets)
        step, events, lag = self.learner.steps, self.learner.events, sum(each["lag"] for each in told)
        metrics = {"lag": float(lag)}
        if self.learner.served_ms:
            metrics["staleness"] = (max(each["newest_ms"] for each in told) - self.learner.served_ms) / 1000.0
        self._registry.record_metrics(self.learner.version, step, events, metrics)
        return self._checkpoints.add(
            Checkpoint(
                id=0,
                parent=self._parent,
                generation=self._generation,
                ranks=ranks,
                step=self.learner.steps,
                events=self.learner.events,
                version=self.learner.version,
                folder=folder,
                files={name: digest for each in told for name, digest in each["files"].items()},
                offsets=offsets,
                log=[each["log"] for each in told],
            )
        )

    def _advance(self, offsets: Mapping[Partition, int]) -> None:
        """Dead letters are the shards' to write; here every record merely counts as read."""
        advances = []
        for partition, offset in offsets.items():
            stood = self._committed[partition]
            if offset > stood:
                read = offset - max(stood, 0)
                advances.append(Advance(partition, max(stood, 0), offset, Tally(accepted=read), self.learner.version))
        self._ledger.commit([], advances)
        self._committed |= {advance.partition: advance.next_offset for advance in advances}
