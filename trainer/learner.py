"""The learner: scored batches in, steps out; judged before it learns, guarded while it learns, gated before it serves.

W windows, K tasks, E packed entities.
"""

import copy
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import structlog
import torch
from torch import Tensor

from schemas.label import Label
from schemas.layout import Layout
from schemas.observation import Batch, Field, Float64, Partition
from schemas.protocols import ModelRecord, Registry
from trainer.attachment import Attachment, TaskSharing, WayLosses
from trainer.belief import believed
from trainer.descent import Descent, Slope
from trainer.gate import Gate
from trainer.hindsight import Hindsight
from trainer.lesson import Lesson, hindsight_lesson, lesson_of
from trainer.losses import TaskLoss
from trainer.metrics import metrics_of
from trainer.network import Network, Outputs, State
from trainer.slots import Slots
from trainer.weights import load_weights, save_weights
from trainer.windows import Window, WindowBuffer, window_template

_LONGEST_PIECE = 4
"""Windows of one entity in one step: gradients flow through as many."""
_OWN = ("hidden", "expected", "spread")
"""Parts of the state that depend on the weights: candidate and serving version each have theirs."""
_VERSIONS = ("candidate", "serving")
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
        taught: label -> the probability that the network gave to what it says, before it learned from it.
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

    Args:
        layout: order of signals and tasks.
        seed: of the injected faults; the network's own is `model.seed`.
        registry: the serving version is where learning starts; none: a fresh network.
        labelled: will labels come? Rows are then remembered until they do.
        hurried: will they be few? They are then taught though they fill no window, see `Hindsight`.
    """

    def __init__(
        self, layout: Layout, seed: int, registry: Registry, *, labelled: bool = False, hurried: bool = False
    ) -> None:
        self._layout, self._settings = layout, layout.monitor.training
        self._registry = registry
        self._rng = np.random.default_rng(seed)
        record = registry.serving()
        self._version = None if record is None else record.version
        self._network = Network(layout) if record is None else load_weights(layout, registry.load(record))
        self._serving = copy.deepcopy(self._network)
        self._descent = Descent(self._network, layout, self._settings, seed)
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
        reports = []
        if self._hindsight is not None:
            self._hindsight.remember(batch)
        for windows, changed_hands in self._buffer.add(batch):
            if changed_hands:
                self._queue = deque(window for window in self._queue if window.slot not in set(changed_hands))
            self._meet(windows)
            self._queue.extend(windows)
            while len(self._queue) >= self._settings.windows_per_step:
                reports.append(self._step(lesson_of(self._next(), self._layout, self._rng)))
        return reports

    def teach(self, labels: Sequence[Label]) -> list[StepReport]:
        """Take labels in that were revealed just now; their rows were observed before. Needs `labelled`."""
        assert self._hindsight is not None
        reports = []
        self._hindsight.tell(labels)
        while (pieces := self._hindsight.next()) is not None:
            reports.append(self._step(hindsight_lesson(*pieces, self._layout)))
        return reports

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

    def publish_if_proved(self, registry: Registry) -> ModelRecord | None:
        """Publish the candidate if it proved itself since the last time; it is then what the next one must beat."""
        if not self._gate.ready() or not self._gate.verdict().proved:
            return None
        record = registry.publish(save_weights(self._network), self._version, self._recent | self._detached())
        self._version = record.version
        self._serving.load_state_dict(self._network.state_dict())
        for part in _OWN:
            self._slots.copy_field(f"candidate.{part}", f"serving.{part}")
        self._gate.clear()
        return record

    def _meet(self, windows: Sequence[Window]) -> None:
        """Each accepted row stands among the first rows of one window alone."""
        if windows:
            values = [window.values[: self._settings.window] for window in windows]
            self._network.population.learn(np.concatenate(values))

    def _meet_groups(self, lesson: Lesson, outputs: Outputs) -> None:
        """Groups learn when the windows do: only then is it known which group each row's entity was in."""
        if len(self._network.relations):
            observed_N = lesson.rows.real_N & (lesson.window_N * self._settings.window < lesson.events)
            self._network.relations.learn(lesson.rows.value_NS[observed_N], outputs.observed.last_NS[observed_N])

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
        slope = self._descent.look(losses, outputs.shared)
        if slope.refused is None:
            self._compare(lesson, outputs, losses.served)
            self._keep(lesson, after, "candidate")
            self._descent.step(slope, lesson.targets, lambda: self._again(lesson, state, outputs))
            self._network.standing.learn(outputs.standing, lesson.targets.classes, lesson.window_N < lesson.fresh)
            self._meet_groups(lesson, outputs)
        self._descent.clear()
        report = self._report(lesson, outputs, slope, losses)
        if slope.refused is None:
            self._attach(losses, lesson)
        return report

    def _attach(self, losses: WayLosses, lesson: Lesson) -> None:
        """Judge which tasks share from now on; each change is recorded with what it was made on."""
        private = self._network.private
        if private is None:
            return
        detached = list(private.detached)
        shared_WK, private_WK = (_by_window(each, lesson) for each in (losses.shared, losses.private))
        for change in self._attachment.judge(shared_WK, private_WK, detached):
            name = self._layout.tasks[change.task].name
            detached[change.task] = change.detached
            private.detach_tasks(detached)
            _log.info("task detached" if change.detached else "task attached", task=name, step=self.steps)
            self._registry.record_metrics(self._version or 0, self.steps, self.events, change.metrics(name))

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
        self._gate.add(_by_window(losses, lesson), _by_window(serving, lesson))
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
        losses = {each.task: float(each.mean().detach()) for each in ways.served if each.judged()}
        weights = {task: weighed.weights.get(task, 0.0) for task in losses}
        if refused is None:
            self.events += lesson.events
            with torch.no_grad():
                metrics = metrics_of(outputs, lesson.targets, self._layout)
            metrics |= self._descent.weighting.metrics(weighed)
            metrics |= {f"{task}.loss": loss for task, loss in losses.items()}
            metrics |= {f"{task}.weight": weight for task, weight in weights.items()}
            for name, value in metrics.items():
                self._recent[name] = self._recent.get(name, value) * (1.0 - _RECENT) + value * _RECENT
            self._registry.record_metrics(self._version or 0, self.steps, self.events, metrics)
        else:
            _log.warning("training step refused", reason=refused, step=self.steps)
            self._registry.quarantine(refused, lesson.ranges)
        told = believed(lesson, outputs, self._layout)
        return StepReport(self.steps, self.events, losses, weights, metrics, slope.norm, refused, lesson.ranges, told)


def _by_window(losses: Sequence[TaskLoss], lesson: Lesson) -> Float64:
    """[W, K], of the fresh windows."""
    losses_WK = torch.stack([each.by_window(lesson.window_N, lesson.windows) for each in losses], 1)
    return losses_WK[: lesson.fresh].double().numpy()


def _blank(network: Network, e: int) -> State:
    """State of entities never seen; float32: only serving rounds it."""
    initial = network.initial(e)
    return initial | {"hidden": initial["hidden"].float()}


def _state_template(network: Network) -> dict[str, Field]:
    """State of an entity never seen, for both versions."""
    initial = _blank(network, 1)
    template = {"statistics": initial["statistics"].numpy()}
    return template | {f"{version}.{part}": initial[part].numpy() for version in _VERSIONS for part in _OWN}
