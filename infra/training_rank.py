"""One rank of a monitor's trainers: it reads its own partitions, and steps when all of them do.

What the ranks hold, and how far they have read, they write down together now and then, between the same two steps. So
whoever goes on from there, in whatever number, skips no row and learns none twice. The steps that led to a version are
written down with it: should its trainers die before the next time, others go on from before, and it can still be made
anew.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

import structlog
import torch
from sqlalchemy import Connection, Engine
from torch.distributed import ProcessGroup

from infra.assembly import ledger_of, registry_of, utc_now
from infra.behind import ledger_of_trainers
from infra.checkpoints import SHARED, Checkpoint, Checkpoints, file_of, told_of
from infra.labels.feed import label_feed
from infra.place import Place
from infra.step_log import StepLog
from ingest.cluster import cluster_of
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
from trainer.told import written
from trainer.weighting.ranks import gather_words, pool_most, pool_sum

BEGINNING = -2
_IDLE_MS = 20
"""How long a rank waits for rows while others may have some."""
_ALONE_MS = 100
_LOOK_SECONDS = 0.5
"""How often the first rank looks which version serves."""
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
        self._origin = cluster_of(monitor.kafka.bootstrap_servers).origin(monitor.topics.observations)
        fence = self._ledger.fence(self._partitions, self._generation)
        self._registry = replace(registry_of(monitor, engine), fence=fence, beside=self._log_version)
        labelled = monitor.topics.labels is not None
        self.learner = Learner(
            layout, monitor.model.seed, self._registry, labelled=labelled, hurried=labelled, group=group, device=device
        )
        self.labels = label_feed(layout, engine, self.learner, fence)
        self._offsets = dict(self._committed)
        self._parent: int | None = None
        self._steps = StepLog()
        self._made: Checkpoint | None = None
        self._restore()
        if self.labels is not None:
            self.labels.go_on(self.learner.steps, {each: self._offsets[each] for each in self._mine})
        self._source = self._reading(layout)
        self._batches: Iterator[Batch | None] = self._source.batches(self) if self._source else iter(())
        self._due = self._look = time.monotonic()

    def run(self, leaving: Callable[[], bool]) -> bool:
        """Take rows in and step, round by round, until any rank is leaving, or there are more partitions.

        Returns:
            Are there? Then ranks are to be counted anew, so that somebody reads them.

        Raises:
            RuntimeError: another rank was lost.
            FencedError: other trainers have taken over.
        """
        self._write_down()
        while True:
            if not self.learner.ready:
                self._take()
            step, leave, due, grown, *standing = self._agree(leaving())
            news = self._follow(standing)
            if step:
                self._step()
            if leave or grown or due or news:
                self._write_down()
            if leave or grown:
                return bool(grown and not leave)

    def read(self) -> dict[int, int]:
        """Partition's number -> offset before which it has taken everything in."""
        return {each.number: max(self._offsets[each], 0) for each in self._mine}

    def ends(self) -> dict[int, int]:
        """Partition's number -> end of it, where that is known yet."""
        return {each.number: end for each, end in self._source.ends().items()} if self._source else {}

    def lag(self) -> int | None:
        """Records of its partitions that it has not taken in yet; None: the end of one is not known yet."""
        read, ends = self.read(), self.ends()
        return sum(max(ends[each] - at, 0) for each, at in read.items()) if read.keys() <= ends.keys() else None

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
        if self.learner.leads:
            self._checkpoints.go_on_from(checkpoint, self._registry.fence)
        self.learner.load_state_dict(unpacked(self._checkpoints.read(checkpoint, SHARED)))
        if not checkpoint.is_of(self._origin):
            _log.warning("topic made anew: it is read from its beginning, weights go on", step=checkpoint.step)
            return
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
            found = next(each for each in self._checkpoints.whole() if each.id == number)
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
            for partition, first, after in self._source.gaps():
                self._registry.quarantine("deleted before it was read", {partition: (first, after)})
        if batch is not None:
            self._take_in(replace(batch, values=self._table.join(batch.time_ms, batch.values)))
        if self.labels is not None:
            self.learner.tell(self.labels.drain())

    def _take_in(self, batch: Batch) -> None:
        self.learner.take(batch)
        if self.labels is not None:
            self.labels.observe(batch)
        after = dict(zip(batch.partitions, batch.next_offsets, strict=True))
        self._steps.take({each: (self._offsets[each], after[each]) for each in after})
        self._offsets |= after

    def _agree(self, leaving: bool) -> list[int]:
        """Does any rank want a step, to leave, a checkpoint; know of more partitions? Which versions serve, are tried?

        Of versions 0: not looked now.

        The first rank's clock says when a checkpoint or a look is due.
        """
        due = (self.learner.leads and time.monotonic() >= self._due) or self._steps.full
        grown = self._source is not None and self._source.partitions > len(self._partitions)
        wishes = torch.tensor([self.learner.ready, leaving, due, grown, *self._standing()], dtype=torch.int32)
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
        self._steps.follow(*standing)
        if self.labels is not None:
            self.labels.look()  # what came out of the weights must not come back with the next step
        return True

    def _step(self) -> None:
        report = self.learner.step()
        self._steps.step(report)
        if self.learner.passed_gate():
            self._publish()
        self._on_step(report)
        if self.labels is not None:
            self.labels.report([report])

    def _publish(self) -> None:
        """With it its steps alone are written down: what ranks hold takes long, and shards wait for the version."""
        self._made = self._since(self._folder(), {})
        self.learner.publish()

    def _log_version(self, connection: Connection, version: int) -> None:
        """Within the transaction that publishes it."""
        assert self._made is not None
        self._parent = self._checkpoints.record(connection, self._made.publishing(version))

    def _write_down(self) -> None:
        """All ranks write their files, then the first one records them: only then do they count."""
        folder = self._folder()
        files = {
            file_of(each): self._checkpoints.write(folder, file_of(each), packed(self.learner.share_of(each)))
            for each in self._mine
        }
        if self.learner.leads:
            files[SHARED] = self._checkpoints.write(folder, SHARED, packed(self.learner.state_dict()))
        self._steps.end(self.learner.steps)
        checkpoint = self._since(folder, files)
        lag, newest_ms = zip(*gather_words((self.lag(), self.learner.newest.event_ms), self._group), strict=True)
        if self.learner.leads:
            self._measure(lag, max(newest_ms))
            checkpoint = replace(checkpoint, told=self._checkpoints.told())
        gather_words(None, self._group)  # nobody goes on, and tells more, before it is known what was told
        if self.learner.leads:
            self._advance(checkpoint.offsets)
            self._parent = self._checkpoints.add(checkpoint, self._registry.fence)
        self.learner.draw_anew()
        self._due = time.monotonic() + self._monitor.training.checkpoint_every.total_seconds()

    def _folder(self) -> str:
        """The same one on every rank, and never one that there was: what counts is not written over."""
        mark = gather_words(uuid4().hex[:8], self._group)[0]
        return self._checkpoints.folder(self._generation, self.learner.steps, mark)

    def _since(self, folder: str, files: dict[str, str]) -> Checkpoint:
        """What all ranks did since the last time, where they stand now, and the files that each wrote."""
        if self._steps.told:
            name = told_of(self._place.rank)
            files[name] = self._checkpoints.write(folder, name, packed(written(self._steps.told)))
        offsets = [self._offsets[partition] for partition in self._mine]
        mine: dict[str, Any] = {"files": files, "offsets": offsets, "log": self._steps.entries}
        told = gather_words(mine, self._group)
        self._steps = StepLog()
        ranks = self._place.ranks
        return Checkpoint(
            id=0,
            parent=self._parent,
            generation=self._generation,
            ranks=ranks,
            step=self.learner.steps,
            events=self.learner.events,
            version=self.learner.version,
            folder=folder,
            files={name: digest for each in told for name, digest in each["files"].items()},
            offsets={each: told[each.number % ranks]["offsets"][each.number // ranks] for each in self._partitions},
            log=[each["log"] for each in told],
            origin=self._origin,
        )

    def _measure(self, lags: Sequence[int | None], newest_ms: int) -> None:
        """Record how far all ranks are behind, and what serves is."""
        metrics: dict[str, float] = {}
        if None not in lags:
            metrics["lag"] = float(sum(filter(None, lags)))
        if self.learner.served_ms:
            metrics["staleness"] = (newest_ms - self.learner.served_ms) / 1000.0
        self._registry.record_metrics(self.learner.version, self.learner.steps, self.learner.events, metrics)
        self._registry.forget_metrics(self._monitor.training.metrics_for)

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
