"""The learner: scored batches in, steps out, versions published and followed, alone or as one rank of several."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog
import torch
from torch.distributed import ProcessGroup

from schemas.label import Label
from schemas.layout import Layout
from schemas.newest import UNKNOWN
from schemas.observation import Batch, Partition
from schemas.protocols import Registry
from trainer.absurd import Screen
from trainer.candidate import Candidate
from trainer.hindsight import Hindsight
from trainer.intake import Intake
from trainer.lesson import blank_lesson, hindsight_lesson
from trainer.network import Network
from trainer.shares import fits, kept_of
from trainer.slots import Slots
from trainer.states import state_template
from trainer.step_report import StepReport
from trainer.told import Told
from trainer.voice import Voice
from trainer.weights import load_weights
from trainer.windows import window_template

_log = structlog.get_logger(__name__)


class Learner:
    """Learns online. The same seed, registry and batches give the same weights, bit for bit (on one CPU thread).

    Ranks of a group learn together: each takes other rows in, all step at the same time, and all hold the same weights,
    verdicts and counts. The first one speaks for them to the registry.

    Args:
        layout: order of signals and tasks.
        seed: of the injected faults; the network's own is `model.seed`.
        registry: the serving version is where learning starts; none: a fresh network.
        labelled: will labels come? Rows are then remembered until they do.
        hurried: will they be few? They are then taught though they fill no window, see `Hindsight`.
        group: the ranks; None: this is the only one.
        device: where steps are computed; None: on the CPU. What waits, and what is written down, is on the CPU.
    """

    def __init__(
        self,
        layout: Layout,
        seed: int,
        registry: Registry,
        *,
        labelled: bool = False,
        hurried: bool = False,
        group: ProcessGroup | None = None,
        device: torch.device | None = None,
    ) -> None:
        self._layout = layout
        self._voice = voice = Voice(registry, group)
        record = voice.serving()
        voice.against = None if record is None else record.version
        self._challenger = 0
        self.newest = UNKNOWN
        """How new the rows are that were read."""
        self.served_ms = self._tried_ms = 0
        """Event time of the newest row that what serves had learned from; 0: unknown."""
        network = Network(layout)
        if record is not None:
            network = load_weights(layout, registry.load(record), f"model version {record.version}")
        network = network.to(device or torch.device("cpu"))
        if network.private is None and layout.monitor.model.private:
            _log.warning("no private paths in the version: which tasks share is not judged", version=voice.against)
        self._slots = Slots(window_template(layout) | state_template(network))
        self.candidate = Candidate(network, self._slots, layout, seed, group, voice)
        self._screen = Screen(layout, self._slots)
        self.intake = Intake(layout, self._slots, seed, voice.rank, labelled=labelled, hurried=hurried)

    def observe(self, batch: Batch) -> list[StepReport]:
        """Take rows in; step as often as enough windows are complete. Global values stand joined in the batch."""
        self.take(batch)
        return self._steps()

    def teach(self, labels: Sequence[Label]) -> list[StepReport]:
        """Take labels in that were revealed just now; their rows were observed before. Needs `labelled`."""
        self.tell(labels)
        return self._steps()

    def take(self, batch: Batch) -> None:
        """Take rows in without a step."""
        batch, refusals = self._screen.sift(batch, self.candidate.network.population.largest())
        for reason, ranges in refusals:
            self._voice.quarantine(reason, ranges)
        self.newest = self.newest.with_rows(batch)
        self.intake.take(batch)

    def remember(self, batch: Batch) -> None:
        """Take rows in that labels may be about, and that were learned from before: what was refused stays so."""
        batch, _ = self._screen.sift(batch, self.candidate.network.population.largest(), again=True)
        self.hindsight.remember(batch)

    def tell(self, labels: Sequence[Label]) -> None:
        """Take labels in without a step."""
        self.intake.tell(labels)

    @property
    def version(self) -> int:
        """The version that the candidate is judged against; 0: none was published yet."""
        return self._voice.version

    @property
    def steps(self) -> int:
        """Taken or refused since the beginning."""
        return self._voice.steps

    @property
    def events(self) -> int:
        """Rows learned from since the beginning."""
        return self._voice.events

    @property
    def ready(self) -> bool:
        """Is there enough for a step?"""
        return self.intake.ready

    def step(self, told: Told | None = None) -> StepReport:
        """One step, which all ranks take together: one that is not ready learns from what the others saw.

        Args:
            told: what labels taught in this step, when it was taken first.
        """
        adaptation = self.candidate.adaptation
        if told is None:
            told = self.intake.told(adaptation.regime)
        if told is not None:
            report = replace(self.candidate.step(hindsight_lesson(*told, self._layout)), told=told)
            if report.refused is not None:
                self.intake.withdraw(told)
            return report
        if windows := self.intake.windows():
            worth_keeping = adaptation.sift(windows, self._slots, self.steps)
            return self.candidate.step(self.intake.lesson(windows), worth_keeping)
        return self.candidate.step(blank_lesson(self._layout))

    @property
    def leads(self) -> bool:
        """Does this rank speak for all?"""
        return self._voice.leads

    @property
    def hindsight(self) -> Hindsight:
        """The rows that labels may be about. Needs `labelled`."""
        assert self.intake.hindsight is not None
        return self.intake.hindsight

    @property
    def unmatched_labels(self) -> int:
        """Labels that came too late, or of nobody known."""
        return self.intake.hindsight.unmatched if self.intake.hindsight is not None else 0

    def publish_if_proved(self) -> int | None:
        """Publish the candidate if it passed the gate: its version; None: it did not."""
        return self.publish() if self.passed_gate() else None

    def passed_gate(self) -> bool:
        """Did the candidate prove itself since the last version, and forget nothing that the canaries hold?

        Where the registry first tries what is published, the next one waits until that is settled: see `follow`. All
        ranks ask after the same step; one that forgot is another candidate from then on.
        """
        offer = None if self._challenger else self.candidate.offer
        return offer is not None and not self.candidate.harmed(offer)

    def publish(self) -> int:
        """Publish what passed the gate, which the next one must then beat; its version. All ranks at the same step."""
        candidate, voice, offer = self.candidate, self._voice, self.candidate.offer
        assert offer is not None
        newest = voice.newest(self.newest)
        network, metrics = candidate.offered(offer)
        version, tried = voice.publish(network, metrics, newest)
        if tried:
            self._challenger, self._tried_ms = version, newest.event_ms
        else:
            voice.against, self.served_ms = version, newest.event_ms
            candidate.beat(network.state_dict())
        candidate.gate.clear(offer.taken(len(self._layout.tasks)))
        return version

    def follow(self, serving: int, challenger: int) -> bool:
        """Take note of which versions serve, and are tried (0: none), the same on all ranks. Was it news?

        When the own challenger came to serve, learning goes on and must beat it from now on. When any other version
        did, people or a guard decided so, or history was fitted: the candidate goes on from that one's weights.

        Raises ModelError when its weights cannot be had.
        """
        tried, self._challenger = self._challenger, self._challenger if challenger == self._challenger else 0
        if serving in {0, self.version}:
            return tried != self._challenger
        found = load_weights(self._layout, self._voice.weights(serving), f"model version {serving}").state_dict()
        if serving == tried:
            self.candidate.beat(found)
        else:
            self.candidate.go_on_from(found)
            self._challenger = 0
            self._voice.learned_from(serving)
        self._voice.against, self.served_ms = serving, self._tried_ms if serving == tried else 0
        self.candidate.gate.clear()
        return True

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next steps depend on and all ranks hold alike, but for the version that serves."""
        return self.candidate.state_dict() | {
            "version": self._voice.against,
            "challenger": self._challenger,
            "steps": self.steps,
            "events": self.events,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another one stood; where another version serves since, the gate starts over.

        Where that is an earlier one, or one that no trainer made, the weights are its own.

        Raises ModelError when the weights are of another architecture.
        """
        if not self._voice.went_elsewhere(state["version"]):
            self.candidate.load_state_dict(state)
            self._challenger = state["challenger"] if self._layout.monitor.training.shadow_rows else 0
        if self._voice.against == state["version"]:
            self.candidate.gate.load_state_dict(state["gate"])
        self.candidate.recent.means = dict(state["recent"])
        self._voice.steps, self._voice.events = state["steps"], state["events"]
        self.draw_anew()

    def draw_anew(self) -> None:
        """From here draw as one that goes on from this step would: a checkpoint is no different from a restart."""
        self.intake.draw_anew(self.steps)

    def share_of(self, partition: Partition) -> dict[str, Any]:
        """What is held of a partition's entities: their states, windows that wait, and old ones."""
        adaptation = self.candidate.adaptation
        since = [] if adaptation.pinned is None else adaptation.pinned.since_of(partition)
        return self.intake.share_of(partition, adaptation.kept_of(partition)) | {"since": since}

    def add_shares(self, shares: Mapping[Partition, Mapping[str, Any]]) -> None:
        """Hold what others held of these partitions; where the monitor was changed since, their entities begin anew."""
        held = {partition: share for partition, share in shares.items() if fits(share, self._slots)}
        if len(held) < len(shares):
            _log.warning("held for other windows than the monitor's, let go", partitions=len(shares) - len(held))
        self.intake.add_shares(held)
        adaptation = self.candidate.adaptation
        for partition, share in held.items():
            adaptation.keep(kept_of(partition, share), self.steps)
            if adaptation.pinned is not None:
                adaptation.pinned.add_since(partition, share.get("since", ()))

    def _steps(self) -> list[StepReport]:
        reports = []
        while self.ready:
            reports.append(self.step())
        return reports
