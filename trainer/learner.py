"""The learner: scored batches in, steps out; judged before it learns, guarded while it learns, gated before it serves.

W windows, K tasks, E packed entities.
"""

import copy
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import structlog
import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from schemas.label import Label
from schemas.layout import Layout
from schemas.observation import Batch, Field, Float64, Partition
from schemas.protocols import Action, ModelRecord, Registry
from trainer.adaptation import RETRAIN, WENT_BACK, Adaptation
from trainer.attachment import Attachment, TaskSharing, WayLosses
from trainer.belief import believed
from trainer.descent import Descent, Slope
from trainer.gate import Gate
from trainer.hindsight import Hindsight
from trainer.lesson import Lesson, blank_lesson, hindsight_lesson, lesson_of
from trainer.losses import TaskLoss
from trainer.metrics import metrics_of
from trainer.network import Network, Outputs, State
from trainer.past import Past
from trainer.slots import Slots
from trainer.weighting.ranks import gather_rows, pool_losses, pool_metrics, pool_sum
from trainer.weights import load_weights, save_weights
from trainer.windows import Window, WindowBuffer, window_template

_LONGEST_PIECE = 4
"""Windows of one entity in one step: gradients flow through as many."""
_OWN = ("hidden", "expected", "spread")
"""Parts of the state that depend on the weights: candidate and serving version each have theirs."""
_VERSIONS = ("candidate", "serving")
_NOBODY = -1
"""Slot of windows that are kept for their own sake."""
_RECENT = 0.1
"""Rate at which the metrics that a published version is recorded with forget."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StepReport:
    """One step.

    Attributes:
        step: steps taken or refused so far, this one included.
        events: rows learned from so far.
        losses: per task, standardised, before this step's update (prequential); only tasks that could be judged.
        weights: what those losses were multiplied with in this step; 0 of a detached task, which moves nothing shared.
        metrics: `<task>.<metric>`, prequential too.
        gradient_norm: before clipping.
        refused: why the step was not taken; None = it was.
        ranges: offsets it came from, [first, next).
        taught: label of this rank -> the probability that the network gave to what it says, before it learned from it.
    """

    step: int
    events: int
    losses: Mapping[str, float]
    weights: Mapping[str, float]
    metrics: Mapping[str, float]
    gradient_norm: float
    refused: str | None
    ranges: Mapping[Partition, tuple[int, int]]
    taught: Mapping[Label, float] = field(default_factory=dict)


class Learner:
    """Learns online. The same seed, registry and batches give the same weights, bit for bit (on one thread).

    Ranks of a group learn together: each takes other rows in, all step at the same time, and all hold the same weights,
    verdicts and counts. The first one speaks for them to the registry.

    Args:
        layout: order of signals and tasks.
        seed: of the injected faults; the network's own is `model.seed`.
        registry: the serving version is where learning starts; none: a fresh network.
        labelled: will labels come? Rows are then remembered until they do.
        hurried: will they be few? They are then taught though they fill no window, see `Hindsight`.
        group: the ranks; None: this is the only one.
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
    ) -> None:
        self._layout, self._settings = layout, layout.monitor.training
        self._registry, self._group = registry, group
        self._rank = 0 if group is None else group.rank()
        self._seed = seed
        self._rng = np.random.default_rng([seed, self._rank])
        record = self._served()
        self._version = None if record is None else record.version
        self._network = Network(layout) if record is None else load_weights(layout, registry.load(record))
        if self._network.private is None and layout.monitor.model.private:
            _log.warning("no private paths in the version: which tasks share is not judged", version=self._version)
        self._serving = copy.deepcopy(self._network)
        self._descent = Descent(self._network, layout, self._settings, seed, group)
        self._adaptation = Adaptation(self._network, self._serving, self._descent, layout, seed, group)
        self._attachment = Attachment(layout)
        self._gate = Gate(len(layout.tasks), self._settings.gate_windows)
        self._slots = Slots(window_template(layout) | _state_template(self._network))
        self._buffer = WindowBuffer(layout, self._slots)
        self._queue: deque[Window] = deque()
        self._hindsight = Hindsight(layout, self._rng, hurried=hurried) if labelled else None
        self._recent: dict[str, float] = {}
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
        if self._hindsight is not None:
            self._hindsight.remember(batch)
        for windows, changed_hands in self._buffer.add(batch):
            if changed_hands:
                self._queue = deque(window for window in self._queue if window.slot not in set(changed_hands))
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

    def step(self) -> StepReport:
        """One step, which all ranks take together: one that is not ready learns from what the others saw."""
        pieces = self._hindsight.next() if self._hindsight is not None else None
        if pieces is not None:
            return self._step(hindsight_lesson(*pieces, self._layout))
        if len(self._queue) >= self._settings.windows_per_step:
            windows = self._adaptation.sift(self._next(), self._slots, self.steps)
            return self._step(lesson_of(windows, self._layout, self._rng))
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

        Returns:
            Its version; None: it did not, or it forgot what the canaries hold.
        """
        if not self._gate.ready() or not self._gate.verdict().proved or self._act(self._adaptation.harm()):
            return None
        version = 0
        if self.leads:
            metrics = self._recent | self._detached()
            version = self._registry.publish(save_weights(self._network), self._version, metrics).version
        self._version = int(pool_sum(torch.tensor(version), self._group))
        self._serving.load_state_dict(self._network.state_dict())
        for part in _OWN:
            self._slots.copy_field(f"candidate.{part}", f"serving.{part}")
        self._gate.clear()
        return self._version

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next steps depend on and all ranks hold alike, but for the version that serves."""
        return {
            "weights": save_weights(self._network),
            "descent": self._descent.state_dict(),
            "adaptation": self._adaptation.state_dict(),
            "attachment": self._attachment.state_dict(),
            "gate": self._gate.state_dict(),
            "recent": dict(self._recent),
            "version": self._version,
            "steps": self.steps,
            "events": self.events,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another one stood; where another version serves since, the gate starts over.

        Raises ModelError when the weights are of another architecture.
        """
        self._network.load_state_dict(load_weights(self._layout, state["weights"]).state_dict())
        self._descent.load_state_dict(state["descent"])
        self._adaptation.load_state_dict(state["adaptation"])
        self._attachment.load_state_dict(state["attachment"])
        if self._version == state["version"]:
            self._gate.load_state_dict(state["gate"])
        self._recent = dict(state["recent"])
        self.steps, self.events = state["steps"], state["events"]
        self.draw_anew()

    def draw_anew(self) -> None:
        """From here draw as one that goes on from this step would: a checkpoint is no different from a restart."""
        self._rng.bit_generator.state = np.random.default_rng([self._seed, self._rank, self.steps]).bit_generator.state

    def share_of(self, partition: Partition) -> dict[str, Any]:
        """What is held of a partition's entities, their windows that wait, with their places in the queue, and old ones."""
        held = self._slots.of(partition)
        slots = np.array(list(held.values()), dtype=np.int64)
        place_of = {slot: place for place, slot in enumerate(held.values())}
        waiting = [(place, window) for place, window in enumerate(self._queue) if window.slot in place_of]
        fields = self._slots.gather(self._slots.fields(), slots)
        return {
            "entities": list(held),
            "fields": {name: torch.from_numpy(field) for name, field in fields.items()},
            "windows": [(place, place_of[window.slot], *_plain(window)) for place, window in waiting],
            "kept": [
                (canary, each.regime, torch.from_numpy(each.statistics_FS), *_plain(each.window))
                for canary, each in self._adaptation.kept_of(partition)
            ],
        }

    def add_shares(self, shares: Mapping[Partition, Mapping[str, Any]]) -> None:
        """Hold what others held of these partitions."""
        waiting: list[tuple[int, Window]] = []
        for partition, share in shares.items():
            found, _ = self._slots.take((partition, entity) for entity in share["entities"])
            slots = np.array(found, dtype=np.int64)
            self._slots.scatter(slots, {name: field.numpy() for name, field in share["fields"].items()})
            for place, entity, *plain in share["windows"]:
                waiting.append((place, _window(found[entity], partition, *plain)))
            kept = (
                (canary, Past(_window(_NOBODY, partition, *plain), statistics.numpy(), regime))
                for canary, regime, statistics, *plain in share["kept"]
            )
            self._adaptation.keep(kept, self.steps)
        self._queue.extend(window for _, window in sorted(waiting, key=lambda each: each[0]))

    def _served(self) -> ModelRecord | None:
        """The version that serves, as the first rank sees it."""
        found = self._registry.serving() if self.leads else None
        version = int(pool_sum(torch.tensor(found.version if found else 0), self._group))
        return self._registry.get(version) if version and found is None else found

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

    def _next(self) -> list[Window]:
        """The oldest windows, at most so many of one entity; the others keep their place."""
        taken: list[Window] = []
        kept: deque[Window] = deque()
        pieces: dict[int, int] = {}
        while self._queue and len(taken) < self._settings.windows_per_step:
            window = self._queue.popleft()
            pieces[window.slot] = pieces.get(window.slot, 0) + 1
            (taken if pieces[window.slot] <= _LONGEST_PIECE else kept).append(window)
        self._queue.extendleft(reversed(kept))
        return taken

    def _step(self, lesson: Lesson) -> StepReport:
        self._network.train()
        state = self._state(lesson, "candidate")
        outputs, after = self._network(lesson.rows, state, both_ways=True)
        losses = self._descent.ways(outputs, lesson.targets)
        judged = self._judged(lesson, outputs, losses)
        slope = self._descent.look(losses, outputs.shared)
        if slope.refused is None:
            self._compare(lesson, outputs, losses.served)
            self._keep(lesson, after, "candidate")
            self._descent.step(slope, lesson.targets, lambda: self._again(lesson, state, outputs))
            fresh_N = lesson.window_N < lesson.fresh
            self._network.standing.learn(outputs.standing, lesson.targets.classes, fresh_N, self._group)
            self._network.population.learn(lesson.values, self._group)
            self._meet_groups(lesson, outputs)
        self._descent.clear()
        report = self._report(lesson, outputs, slope, judged)
        if slope.refused is None:
            self._attach(losses, lesson)
            self._act(self._adaptation.after(lesson, outputs, report.losses, self.steps))
        return report

    def _act(self, actions: Sequence[Action]) -> bool:
        """Write down what was done; where the candidate is another one now, it starts as such. Was anything done?"""
        for action in actions:
            _log.info("learning adapts", kind=action.kind, task=action.task, why=action.why, step=self.steps)
            if self.leads:
                self._registry.record_action(self._version or 0, self.steps, self.events, action)
        kinds = {action.kind for action in actions}
        if RETRAIN in kinds:
            for part in _OWN:
                self._slots.copy_field(f"serving.{part}", f"candidate.{part}")
        if kinds & {RETRAIN, WENT_BACK}:
            self._gate.clear()
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
        """Judge the serving version on the same rows; statistics do not depend on weights and are shared."""
        self._serving.train()
        served, after = self._serving(lesson.rows, self._state(lesson, "serving"), observed=outputs.observed)
        serving = self._descent.losses(self._serving, served, lesson.targets)
        self._gate.add(self._by_window(losses, lesson), self._by_window(serving, lesson))
        self._keep(lesson, after, "serving")

    def _state(self, lesson: Lesson, version: str) -> State:
        if lesson.slots_E is None:
            return _blank(self._network, lesson.rows.waves[0])
        names = ["statistics", *(f"{version}.{part}" for part in _OWN)]
        gathered = self._slots.gather(names, lesson.slots_E)
        return {name.removeprefix(f"{version}."): torch.from_numpy(value) for name, value in gathered.items()}

    def _keep(self, lesson: Lesson, after: State, version: str) -> None:
        """The end state of the clean pieces is where their entities' next windows start."""
        if lesson.slots_E is None:
            return
        named = {f"{version}.{part}": after[part] for part in _OWN} | {"statistics": after["statistics"]}
        kept = {name: part.detach().numpy()[lesson.clean_E] for name, part in named.items()}
        self._slots.scatter(lesson.slots_E[lesson.clean_E], kept)

    def _report(self, lesson: Lesson, outputs: Outputs, slope: Slope, ways: WayLosses) -> StepReport:
        self.steps += 1
        metrics: dict[str, float] = {}
        weighed, refused = slope.weighed, slope.refused
        losses = self._pooled(ways.served)
        weights = {task: weighed.weights.get(task, 0.0) for task in losses}
        if refused is None:
            self.events += int(pool_sum(torch.tensor(lesson.events), self._group))
            with torch.no_grad():
                metrics = metrics_of(outputs, lesson.judged, self._layout)
            metrics = pool_metrics([(lesson.fresh, metrics)], self._group)
            metrics |= self._descent.weighting.metrics(weighed)
            metrics |= {f"{task}.loss": loss for task, loss in losses.items()}
            metrics |= {f"{task}.weight": weight for task, weight in weights.items()}
            for name, value in metrics.items():
                self._recent[name] = self._recent.get(name, value) * (1.0 - _RECENT) + value * _RECENT
            self._record(metrics)
        else:
            _log.warning("training step refused", reason=refused, step=self.steps)
            if lesson.ranges:
                self._registry.quarantine(refused, lesson.ranges)
        told = believed(lesson, outputs, self._layout)
        return StepReport(self.steps, self.events, losses, weights, metrics, slope.norm, refused, lesson.ranges, told)

    def _pooled(self, losses: Sequence[TaskLoss]) -> dict[str, float]:
        """Of the tasks that any rank could judge."""
        loss_K = torch.stack([each.mean().detach() for each in losses])
        pooled = pool_losses(loss_K, torch.tensor([each.judged() for each in losses]), self._group)
        found = zip(losses, *(each.tolist() for each in pooled), strict=True)
        return {each.task: loss for each, loss, judged in found if judged}

    def _record(self, metrics: Mapping[str, float]) -> None:
        if self.leads:
            self._registry.record_metrics(self._version or 0, self.steps, self.events, metrics)

    def _by_window(self, losses: Sequence[TaskLoss], lesson: Lesson) -> Float64:
        """[W, K], of the fresh windows of all ranks."""
        losses_WK = torch.stack([each.by_window(lesson.window_N, lesson.windows) for each in losses], 1)
        gathered: Float64 = gather_rows(losses_WK[: lesson.fresh].double(), self._group).numpy()
        return gathered


def _plain(window: Window) -> tuple[Tensor, Tensor, Tensor, tuple[int, int], dict[str, Tensor]]:
    """A window as tensors; its slot and partition aside."""
    vectors = {name: torch.from_numpy(vector) for name, vector in window.vectors.items()}
    values, time_ms, rules = (torch.from_numpy(each) for each in (window.values, window.time_ms, window.rules))
    return values, time_ms, rules, window.offsets, vectors


def _window(
    slot: int,
    partition: Partition,
    values: Tensor,
    time_ms: Tensor,
    rules: Tensor,
    offsets: tuple[int, int],
    vectors: Mapping[str, Tensor],
) -> Window:
    arrays = {name: vector.numpy() for name, vector in vectors.items()}
    return Window(slot, values.numpy(), time_ms.numpy(), rules.numpy(), partition, offsets, arrays)


def _blank(network: Network, e: int) -> State:
    """State of entities never seen; float32: only serving rounds it."""
    initial = network.initial(e)
    return initial | {"hidden": initial["hidden"].float()}


def _state_template(network: Network) -> dict[str, Field]:
    """State of an entity never seen, for both versions."""
    initial = _blank(network, 1)
    template = {"statistics": initial["statistics"].numpy()}
    return template | {f"{version}.{part}": initial[part].numpy() for version in _VERSIONS for part in _OWN}
