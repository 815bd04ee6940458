"""The learner: scored batches in, steps out; judged before it learns, guarded while it learns, gated before it serves.

W windows, K tasks, E packed entities.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
import structlog
import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from schemas.label import Label
from schemas.layout import Layout
from schemas.newest import UNKNOWN, Newest
from schemas.observation import Batch, Float64, Partition
from schemas.protocols import TRAINER, Action, ModelRecord, Registry
from trainer.absurd import without_absurd
from trainer.adaptation import RETRAIN, WENT_BACK, Adaptation
from trainer.attachment import Attachment, TaskSharing, WayLosses
from trainer.average import Average
from trainer.belief import believed
from trainer.descent import Descent, Slope
from trainer.gate import Gate
from trainer.hindsight import Hindsight
from trainer.kept import Kind
from trainer.lesson import Lesson, blank_lesson, hindsight_lesson, lesson_of
from trainer.losses import TaskLoss
from trainer.network import Network, Outputs, State
from trainer.queue import Queue
from trainer.shares import kept_of, share_of, waiting_of
from trainer.slots import Slots
from trainer.states import CANDIDATE, SERVING, States, state_template
from trainer.step_report import Recent, StepReport, losses_of, measured
from trainer.told import Told
from trainer.weighting.ranks import gather_rows, gather_words, pool_sum
from trainer.weights import load_weights, save_weights
from trainer.windows import WindowBuffer, window_template

_LABELS = 1
"""Labels' draws are a stream of their own: steps that are taken again are told what was drawn."""
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
        self._layout, self._settings = layout, layout.monitor.training
        self._registry, self._group = registry, group
        self._rank = 0 if group is None else group.rank()
        self._seed = seed
        self._rng = np.random.default_rng([seed, self._rank])
        record = self._served()
        self._version = None if record is None else record.version
        self._challenger = 0
        self.newest = UNKNOWN
        """How new the rows are that were read."""
        self.served_ms = self._tried_ms = 0
        """Event time of the newest row that what serves had learned from; 0: unknown."""
        network = Network(layout) if record is None else load_weights(layout, registry.load(record))
        self._network = network.to(device or torch.device("cpu"))
        if self._network.private is None and layout.monitor.model.private:
            _log.warning("no private paths in the version: which tasks share is not judged", version=self._version)
        self._average = Average(self._network, self._settings.average)
        self._serving = copy.deepcopy(self._network)
        self._descent = Descent(self._network, layout, self._settings, seed, group)
        self._adaptation = Adaptation(self._network, self._serving, self._descent, layout, seed, group)
        self._attachment = Attachment(layout)
        self._gate = Gate(len(layout.tasks), self._settings.gate_windows)
        self._slots = Slots(window_template(layout) | state_template(self._network))
        self._states = States(self._slots)
        self._buffer = WindowBuffer(layout, self._slots)
        self._queue = Queue()
        draws = np.random.default_rng([seed, self._rank, _LABELS])
        self._hindsight = Hindsight(layout, draws, hurried=hurried) if labelled else None
        self._recent = Recent()
        self.steps = 0
        self.events = 0

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
        batch, absurd = without_absurd(batch)
        if absurd:
            self._registry.quarantine("a value that nothing measures", absurd)
        self.newest = self.newest.with_rows(batch)
        if self._hindsight is not None:
            self._hindsight.remember(batch)
        for windows, changed_hands in self._buffer.add(batch):
            self._queue.drop(changed_hands)
            self._queue.extend(windows)

    def tell(self, labels: Sequence[Label]) -> None:
        """Take labels in without a step."""
        assert self._hindsight is not None
        self._hindsight.tell(labels)

    @property
    def version(self) -> int:
        """The version that the candidate is judged against; 0: none was published yet."""
        return self._version or 0

    @property
    def ready(self) -> bool:
        """Is there enough for a step?"""
        told = self._hindsight is not None and self._hindsight.ready
        return told or len(self._queue) >= self._settings.windows_per_step

    def step(self, told: Told | None = None) -> StepReport:
        """One step, which all ranks take together: one that is not ready learns from what the others saw.

        Args:
            told: what labels taught in this step, when it was taken first.
        """
        if told is None and self._hindsight is not None:
            told = self._hindsight.next(self._adaptation.regime)
        if told is not None:
            report = replace(self._step(hindsight_lesson(*told, self._layout)), told=told)
            if report.refused is not None and self._hindsight is not None:
                self._hindsight.withdraw(told[0])
            return report
        if len(self._queue) >= self._settings.windows_per_step:
            windows = self._queue.take(self._settings.windows_per_step)
            worth_keeping = self._adaptation.sift(windows, self._slots, self.steps)
            return self._step(lesson_of(windows, self._layout, self._rng), worth_keeping)
        return self._step(blank_lesson(self._layout))

    @property
    def leads(self) -> bool:
        """Does this rank speak for all?"""
        return self._rank == 0

    @property
    def similarity(self) -> Tensor:
        """Running cosines of the tasks' gradients at the shared representation, [K, K]; NaN where not yet measured."""
        return self._descent.weighting.similarity.cosine_KK

    @property
    def sharing(self) -> Mapping[str, TaskSharing]:
        """Task -> where it stands between what all share and its private path."""
        return self._attachment.standing(self._network.detached)

    @property
    def hindsight(self) -> Hindsight:
        """The rows that labels may be about. Needs `labelled`."""
        assert self._hindsight is not None
        return self._hindsight

    @property
    def unmatched_labels(self) -> int:
        """Labels that came too late, or of nobody known."""
        return self._hindsight.unmatched if self._hindsight is not None else 0

    def publish_if_proved(self) -> int | None:
        """Publish the candidate if it proved itself since the last time; it is then what the next one must beat.

        Where the registry first tries what is published, the next one waits until that is settled: see `follow`.

        Returns:
            Its version; None: it did not, or it forgot what the canaries hold.
        """
        proved = not self._challenger and self._gate.ready() and self._gate.verdict().proved
        if not proved or self._act(self._adaptation.harm()):
            return None
        told, published = gather_words(list(self.newest), self._group), [0, 0]
        newest = reduce(Newest.later, (Newest(*each) for each in told))
        if self.leads:
            metrics = self._recent.means | self._detached() | {"gate_windows": float(self._gate.waited)}
            record = self._registry.publish(save_weights(self._average.network), self._version, metrics, newest)
            published = [record.version, int(record.status == "challenger")]
        version, tried = pool_sum(torch.tensor(published), self._group).tolist()
        if tried:
            self._challenger, self._tried_ms = version, newest.event_ms
        else:
            self._version, self.served_ms = version, newest.event_ms
            self._serving.load_state_dict(self._average.network.state_dict())
            self._states.rebase(CANDIDATE, SERVING)
        self._gate.clear()
        return int(version)

    def follow(self, serving: int, challenger: int) -> bool:
        """Take note of which versions serve, and are tried (0: none), the same on all ranks. Was it news?

        When the own challenger came to serve, learning goes on and must beat it from now on. When any other version
        did, people or a guard decided so, or history was fitted: the candidate goes on from that one's weights.

        Raises ModelError when its weights cannot be had.
        """
        tried, self._challenger = self._challenger, self._challenger if challenger == self._challenger else 0
        if serving in {0, self.version}:
            return tried != self._challenger
        found = load_weights(self._layout, self._registry.load(self._registry.get(serving))).state_dict()
        self._serving.load_state_dict(found)
        if serving != tried:
            self._network.load_state_dict(found)
            self._average.begin()
            self._descent = self._descent.of_another()
            self._attachment = Attachment(self._layout)
            self._adaptation.begin(self._descent)
            self._states.rebase(SERVING, CANDIDATE)
            self._challenger = 0
            if self.leads:
                self._registry.note(serving, "learned from", "trainer", f"v{self.version} serves no more")
        else:  # the candidate's hidden states are nearer to those of what it was than its forerunner's are
            self._states.rebase(CANDIDATE, SERVING)
        self._version, self.served_ms = serving, self._tried_ms if serving == tried else 0
        self._gate.clear()
        return True

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next steps depend on and all ranks hold alike, but for the version that serves."""
        return {
            "weights": save_weights(self._network),
            "average": self._average.state_dict(),
            "descent": self._descent.state_dict(),
            "adaptation": self._adaptation.state_dict(),
            "attachment": self._attachment.state_dict(),
            "gate": self._gate.state_dict(),
            "recent": dict(self._recent.means),
            "version": self._version,
            "challenger": self._challenger,
            "steps": self.steps,
            "events": self.events,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another one stood; where another version serves since, the gate starts over.

        Where that is an earlier one, or one that no trainer made, the weights are its own.

        Raises ModelError when the weights are of another architecture.
        """
        if not self._went_elsewhere(state["version"]):
            self._network.load_state_dict(load_weights(self._layout, state["weights"]).state_dict())
            if "average" in state:
                self._average.load_state_dict(state["average"])
            else:  # written before there were means
                self._average.begin()
            self._descent.load_state_dict(state["descent"])
            self._adaptation.load_state_dict(state["adaptation"])
            self._attachment.load_state_dict(state["attachment"])
            self._challenger = state["challenger"] if self._settings.shadow_rows else 0
        if self._version == state["version"]:
            self._gate.load_state_dict(state["gate"])
        self._recent.means = dict(state["recent"])
        self.steps, self.events = state["steps"], state["events"]
        self.draw_anew()

    def draw_anew(self) -> None:
        """From here draw as one that goes on from this step would: a checkpoint is no different from a restart."""
        self._rng.bit_generator.state = np.random.default_rng([self._seed, self._rank, self.steps]).bit_generator.state

    def share_of(self, partition: Partition) -> dict[str, Any]:
        """What is held of a partition's entities: their states, windows that wait, and old ones."""
        return share_of(partition, self._slots, self._queue, self._adaptation.kept_of(partition))

    def add_shares(self, shares: Mapping[Partition, Mapping[str, Any]]) -> None:
        """Hold what others held of these partitions."""
        self._queue.extend(waiting_of(shares, self._slots))
        for partition, share in shares.items():
            self._adaptation.keep(kept_of(partition, share), self.steps)

    def _served(self) -> ModelRecord | None:
        """The version that serves, as the first rank sees it."""
        found = self._registry.serving() if self.leads else None
        version = int(pool_sum(torch.tensor(found.version if found else 0), self._group))
        return self._registry.get(version) if version and found is None else found

    def _went_elsewhere(self, version: int | None) -> bool:
        """Was the version that was learned against taken out of service, or followed by one of another making?"""
        if version is None or version == self._version:
            return False
        elsewhere = self.leads and (
            self.version < version
            or self._registry.get(version).status == "rolled back"
            or self._registry.get(self.version).made_by != TRAINER
        )
        return bool(pool_sum(torch.tensor(int(elsewhere)), self._group))

    def _steps(self) -> list[StepReport]:
        reports = []
        while self.ready:
            reports.append(self.step())
        return reports

    def _meet_groups(self, lesson: Lesson, outputs: Outputs) -> None:
        """Groups learn when the windows do: only then is it known which group each row's entity was in."""
        if len(self._network.relations):
            observed_N = lesson.rows.real_N & (lesson.window_N * self._settings.window < lesson.events)
            values, last = lesson.rows.value_NS[observed_N], outputs.observed.last_NS[observed_N]
            self._network.relations.learn(values, last, self._group)

    def _step(self, lesson: Lesson, worth_keeping: Sequence[Kind] = ()) -> StepReport:
        lesson = lesson.to(self._network.device)
        self._network.train()
        state = self._states.start(self._network, lesson, CANDIDATE)
        outputs, after = self._network(lesson.rows, state, both_ways=True)
        losses = self._descent.ways(outputs, lesson.targets)
        judged = self._judged(lesson, outputs, losses)
        slope = self._descent.look(losses, outputs.shared)
        if slope.refused is None:
            self._compare(lesson, outputs, losses.served)
            self._states.keep(lesson, after, CANDIDATE)
            self._descent.step(slope, lesson.targets, lambda: self._again(lesson, state, outputs))
            fresh_N = lesson.window_N < lesson.fresh
            self._network.standing.learn(outputs.standing, lesson.targets.classes, fresh_N, self._group)
            self._network.population.learn(lesson.values, self._group)
            self._meet_groups(lesson, outputs)
        report = self._report(lesson, outputs, slope, judged)
        if slope.refused is None:
            self._attach(losses, lesson)
            self._average.add()
            self._adaptation.keep(worth_keeping, self.steps)
            self._act(self._adaptation.after(lesson, outputs, report.losses, self.steps))
        self._descent.clear()
        return report

    def _act(self, actions: Sequence[Action]) -> bool:
        """Write down what was done; where the candidate is another one now, it starts as such. Was anything done?"""
        for action in actions:
            _log.info("learning adapts", kind=action.kind, task=action.task, why=action.why, step=self.steps)
            if self.leads:
                self._registry.record_action(self._version or 0, self.steps, self.events, action)
        kinds = {action.kind for action in actions}
        if RETRAIN in kinds:
            self._states.rebase(SERVING, CANDIDATE)
        if kinds & {RETRAIN, WENT_BACK}:
            self._gate.clear()
            self._average.begin()
        return bool(actions)

    @torch.no_grad()
    def _judged(self, lesson: Lesson, outputs: Outputs, losses: WayLosses) -> WayLosses:
        """Losses of what was never learned from."""
        return losses if lesson.fresh == lesson.windows else self._descent.ways(outputs, lesson.judged)

    def _attach(self, losses: WayLosses, lesson: Lesson) -> None:
        """Judge which tasks share from now on; each change is recorded with what it was made on."""
        private = self._network.private
        if private is None:
            return
        detached = list(private.detached)
        shared_WK, private_WK = (self._by_window(each, lesson) for each in (losses.shared, losses.private))
        for change in self._attachment.judge(shared_WK, private_WK, detached):
            name = self._layout.tasks[change.task].name
            detached[change.task] = change.detached
            private.detach_tasks(detached)
            _log.info("task detached" if change.detached else "task attached", task=name, step=self.steps)
            self._record(change.metrics(name))

    def _detached(self) -> dict[str, float]:
        """As metrics of a version, which tasks it serves by their private paths."""
        tasks = zip(self._layout.tasks, self._network.detached, strict=True)
        return {f"{task.name}.detached": 1.0 for task, detached in tasks if detached}

    @torch.no_grad()
    def _again(self, lesson: Lesson, state: State, outputs: Outputs) -> list[TaskLoss]:
        """Losses of the same rows with the weights as they are now."""
        now, _ = self._network(lesson.rows, state, observed=outputs.observed, both_ways=True)
        return self._descent.ways(now, lesson.targets).pulling

    @torch.no_grad()
    def _compare(self, lesson: Lesson, outputs: Outputs, losses: list[TaskLoss]) -> None:
        """Judge the serving version on the same rows, and what is offered to follow it where that is a mean.

        Statistics do not depend on weights and are shared.
        """
        self._serving.train()
        state = self._states.start(self._serving, lesson, SERVING)
        served, after = self._serving(lesson.rows, state, observed=outputs.observed)
        serving = self._descent.losses(self._serving, served, lesson.targets)
        if (offered := self._average.network) is not self._network:
            offered.train()
            state = self._states.start(offered, lesson, CANDIDATE)
            candidate, _ = offered(lesson.rows, state, observed=outputs.observed)
            losses = self._descent.losses(offered, candidate, lesson.targets)
        self._gate.add(self._by_window(losses, lesson), self._by_window(serving, lesson))
        self._states.keep(lesson, after, SERVING)

    def _report(self, lesson: Lesson, outputs: Outputs, slope: Slope, ways: WayLosses) -> StepReport:
        self.steps += 1
        metrics: dict[str, float] = {}
        weighed, refused = slope.weighed, slope.refused
        losses = losses_of(ways.served, self._group)
        weights = {task: weighed.weights.get(task, 0.0) for task in losses}
        if refused is None:
            self.events += int(pool_sum(torch.tensor(lesson.events), self._group))
            metrics = measured(lesson, outputs, self._layout, self._group)
            metrics |= self._descent.weighting.metrics(weighed)
            metrics |= {f"{task}.loss": loss for task, loss in losses.items()}
            metrics |= {f"{task}.weight": weight for task, weight in weights.items()}
            self._recent.add(metrics)
            self._record(metrics)
        else:
            _log.warning("training step refused", reason=refused, step=self.steps)
            if lesson.ranges:
                self._registry.quarantine(refused, lesson.ranges)
        told = believed(lesson, outputs, self._layout)
        return StepReport(self.steps, self.events, losses, weights, metrics, slope.norm, refused, lesson.ranges, told)

    def _record(self, metrics: Mapping[str, float]) -> None:
        if self.leads:
            self._registry.record_metrics(self._version or 0, self.steps, self.events, metrics)

    def _by_window(self, losses: Sequence[TaskLoss], lesson: Lesson) -> Float64:
        """[W, K], of the fresh windows of all ranks."""
        losses_WK = torch.stack([each.by_window(lesson.window_N, lesson.windows) for each in losses], 1)
        gathered: Float64 = gather_rows(losses_WK[: lesson.fresh].double(), self._group).cpu().numpy()
        return gathered
