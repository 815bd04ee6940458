"""The network that learns, beside the one that serves: judged before it learns, guarded while it does, compared after.

W windows, K tasks, E packed entities.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from schemas.layout import Layout
from schemas.observation import Float64
from schemas.protocols import Action
from trainer.adaptation import RETRAIN, RETURNED, WENT_BACK, Adaptation
from trainer.attachment import Attachment, TaskSharing, WayLosses
from trainer.average import Average
from trainer.belief import believed
from trainer.descent import Descent, Slope
from trainer.gate import Gate
from trainer.kept import Kind
from trainer.lesson import Lesson
from trainer.losses import TaskLoss
from trainer.network import Network, Outputs, State
from trainer.offer import Offer, offer_of
from trainer.slots import Slots
from trainer.states import CANDIDATE, SERVING, States
from trainer.step_report import Recent, StepReport, losses_of, measured
from trainer.voice import Voice
from trainer.weighting.ranks import gather_rows, pool_sum
from trainer.weights import load_weights, save_weights

_log = structlog.get_logger(__name__)


class Candidate:
    """Takes steps, all ranks together, and knows whether it has proved better than what serves.

    Args:
        network: that learns; a copy of it stands for what serves.
        slots: of the entities; their template must hold `state_template` of the network.
        layout: its tasks and settings.
        seed: of what is kept of old windows.
        group: the ranks; None: this is the only one.
        voice: what the ranks tell the registry.

    Attributes:
        network: that learns.
        serving: what it must beat.
        average: of its last steps: what is offered for service.
        descent: how it steps.
        adaptation: what it does about drift and harm.
        gate: whether what is offered has proved itself.
        recent: metrics that a version is published with.
    """

    def __init__(
        self,
        network: Network,
        slots: Slots,
        layout: Layout,
        seed: int,
        group: ProcessGroup | None,
        voice: Voice,
    ) -> None:
        self._layout, self._settings = layout, layout.monitor.training
        self._group, self._voice = group, voice
        self.network = network
        self.average = Average(network, self._settings.average)
        self.serving = copy.deepcopy(network)
        self.descent = Descent(network, layout, self._settings, seed, group)
        self.adaptation = Adaptation(network, self.serving, self.descent, layout, seed, group)
        self._attachment = Attachment(layout)
        self.gate = Gate(len(layout.tasks), self._settings.gate_windows)
        self._states = States(slots)
        self.recent = Recent()

    @property
    def similarity(self) -> Tensor:
        """Running cosines of the tasks' gradients at the shared representation, [K, K]; NaN where not yet measured."""
        return self.descent.weighting.similarity.cosine_KK

    @property
    def sharing(self) -> Mapping[str, TaskSharing]:
        """Task -> where it stands between what all share and its private path."""
        return self._attachment.standing(self.network.detached)

    @property
    def offer(self) -> Offer | None:
        """What is better than what serves, as far as can be told; None: nothing."""
        return offer_of(self.gate, self.average.network, self.serving)

    def offered(self, offer: Offer) -> tuple[Network, dict[str, float]]:
        """It as a network, and its metrics: recent ones, which tasks private paths serve, how long the gate waited."""
        network = offer.network(self.average.network, self.serving)
        return network, self.recent.means | network.detachments | {"gate_windows": float(self.gate.waited)}

    def step(self, lesson: Lesson, worth_keeping: Sequence[Kind] = ()) -> StepReport:
        """Take one step; where it is refused, no weight changes.

        Args:
            lesson: what is learned.
            worth_keeping: windows of it that are kept once it was.
        """
        lesson = lesson.to(self.network.device)
        self.network.train()
        state = self._states.start(self.network, lesson, CANDIDATE)
        outputs, after = self.network(lesson.rows, state, both_ways=True)
        losses = self.descent.ways(outputs, lesson.targets)
        judged = self._judged(lesson, outputs, losses)
        slope = self.descent.look(losses, outputs.shared)
        if slope.refused is None:
            self._compare(lesson, outputs, losses.served)
            self._states.keep(lesson, after, CANDIDATE)
            self.descent.step(slope, lesson.targets, lambda: self._again(lesson, state, outputs))
            fresh_N = lesson.window_N < lesson.fresh
            self.network.standing.learn(outputs.standing, lesson.targets.classes, fresh_N, self._group)
            self.network.regress(outputs, lesson.judged.future_NSH, self._group)
            self.network.population.learn(lesson.values, self._group)
            self._meet_groups(lesson, outputs)
        report = self._report(lesson, outputs, slope, judged)
        if slope.refused is None:
            self._attach(losses, lesson)
            self.average.add()
            self.adaptation.keep(worth_keeping, self._voice.steps)
            self._act(self.adaptation.after(lesson, outputs, report.losses, self._voice.steps))
        self.descent.clear()
        return report

    def harmed(self, offer: Offer) -> bool:
        """Did what is offered forget what the canaries hold? Then the candidate is another one now."""
        return self._act(self.adaptation.harm(self.offered(offer)[0]))

    def beat(self, weights: Mapping[str, Tensor]) -> None:
        """What was offered, now or before, came to serve: learning goes on, and must beat it.

        Where its trunk is another than its forerunner's, the candidate's hidden states are nearer to its own.
        """
        trunk = {f"trunk.{name}": weight for name, weight in self.serving.trunk.state_dict().items()}
        other = not all(torch.equal(weight, weights[name]) for name, weight in trunk.items())
        self.serving.load_state_dict(weights)
        if other:
            self._states.rebase(CANDIDATE, SERVING)

    def go_on_from(self, weights: Mapping[str, Tensor]) -> None:
        """A version that it has no part in came to serve: it begins anew with that one's weights."""
        self.serving.load_state_dict(weights)
        self.network.load_state_dict(weights)
        self.average.begin()
        self.descent = self.descent.of_another()
        self._attachment = Attachment(self._layout)
        self.adaptation.begin(self.descent)
        self._states.rebase(SERVING, CANDIDATE)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next steps depend on, but for what serves and the entities' states."""
        return {
            "weights": save_weights(self.network),
            "average": self.average.state_dict(),
            "descent": self.descent.state_dict(),
            "adaptation": self.adaptation.state_dict(),
            "attachment": self._attachment.state_dict(),
            "gate": self.gate.state_dict(),
            "recent": dict(self.recent.means),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another one stood, gate and recent metrics aside.

        Raises ModelError when the weights are of another architecture.
        """
        self.network.load_state_dict(load_weights(self._layout, state["weights"], "checkpoint").state_dict())
        if "average" in state:
            self.average.load_state_dict(state["average"])
        else:  # written before there were means
            self.average.begin()
        self.descent.load_state_dict(state["descent"])
        self.adaptation.load_state_dict(state["adaptation"])
        self._attachment.load_state_dict(state["attachment"])

    def _act(self, actions: Sequence[Action]) -> bool:
        """Write down what was done; where the candidate is another one now, it starts as such. Was anything done?"""
        for action in actions:
            _log.info("learning adapts", kind=action.kind, task=action.task, why=action.why, step=self._voice.steps)
            self._voice.acted(action)
        kinds = {action.kind for action in actions}
        if RETURNED in kinds and self.adaptation.unlearned:
            why = "; ".join(f"{action.task} {action.why}" for action in actions if action.kind == RETURNED)
            self._voice.quarantine(f"{RETURNED}: {why}", self.adaptation.unlearned)
        if RETRAIN in kinds:
            self._states.rebase(SERVING, CANDIDATE)
        if kinds & {RETRAIN, RETURNED, WENT_BACK}:
            self.gate.clear()
            self.average.begin()
            self._attachment = Attachment(self._layout)
            if self.adaptation.pinned is not None:
                self.adaptation.pinned.judge_anew()
        return bool(actions)

    def _meet_groups(self, lesson: Lesson, outputs: Outputs) -> None:
        """Groups learn when the windows do: only then is it known which group each row's entity was in."""
        if len(self.network.relations):
            observed_N = lesson.rows.real_N & (lesson.window_N * self._settings.window < lesson.events)
            values, last = lesson.rows.value_NS[observed_N], outputs.observed.last_NS[observed_N]
            self.network.relations.learn(values, last, self._group)

    @torch.no_grad()
    def _judged(self, lesson: Lesson, outputs: Outputs, losses: WayLosses) -> WayLosses:
        """Losses of what was never learned from."""
        return losses if lesson.fresh == lesson.windows else self.descent.ways(outputs, lesson.judged)

    def _attach(self, losses: WayLosses, lesson: Lesson) -> None:
        """Judge which tasks share from now on; each change is recorded with what it was made on."""
        private = self.network.private
        if private is None:
            return
        detached = list(private.detached)
        shared_WK, private_WK = (self._by_window(each, lesson) for each in (losses.shared, losses.private))
        for change in self._attachment.judge(shared_WK, private_WK, detached):
            name = self._layout.tasks[change.task].name
            detached[change.task] = change.detached
            private.detach_tasks(detached)
            _log.info("task detached" if change.detached else "task attached", task=name, step=self._voice.steps)
            self._voice.record(change.metrics(name))

    @torch.no_grad()
    def _again(self, lesson: Lesson, state: State, outputs: Outputs) -> list[TaskLoss]:
        """Losses of the same rows with the weights as they are now."""
        now, _ = self.network(lesson.rows, state, observed=outputs.observed, both_ways=True)
        return self.descent.ways(now, lesson.targets).pulling

    def _compare(self, lesson: Lesson, outputs: Outputs, losses: list[TaskLoss]) -> None:
        """Judge on the same rows what serves, what is offered to follow it, and what is pinned."""
        serving_WK, after = self._beside(self.serving, SERVING, lesson, outputs)
        learning_WK = offered_WK = self._by_window(losses, lesson)
        if self.average.network is not self.network:
            offered_WK, _ = self._beside(self.average.network, CANDIDATE, lesson, outputs)
        self.gate.add(offered_WK, serving_WK)
        pinned = self.adaptation.pinned
        if pinned is not None and pinned.held:
            pinned.judge(self._beside(pinned.network, CANDIDATE, lesson, outputs)[0], learning_WK)
        self._states.keep(lesson, after, SERVING)

    @torch.no_grad()
    def _beside(self, network: Network, version: str, lesson: Lesson, outputs: Outputs) -> tuple[Float64, State]:
        """Losses of another network, by window, and its state after; statistics do not depend on weights."""
        state = self._states.start(network.train(), lesson, version)
        answers, after = network(lesson.rows, state, observed=outputs.observed)
        return self._by_window(self.descent.losses(network, answers, lesson.targets), lesson), after

    def _report(self, lesson: Lesson, outputs: Outputs, slope: Slope, ways: WayLosses) -> StepReport:
        voice = self._voice
        voice.steps += 1
        metrics: dict[str, float] = {}
        weighed, refused = slope.weighed, slope.refused
        losses = losses_of(ways.served, self._group)
        weights = {task: weighed.weights.get(task, 0.0) for task in losses}
        if refused is None:
            voice.events += int(pool_sum(torch.tensor(lesson.events), self._group))
            metrics = measured(lesson, outputs, self._layout, self._group)
            metrics |= self.descent.weighting.metrics(weighed)
            metrics |= {f"{task}.loss": loss for task, loss in losses.items()}
            metrics |= {f"{task}.weight": weight for task, weight in weights.items()}
            self.recent.add(metrics)
            voice.record(metrics)
        else:
            _log.warning("training step refused", reason=refused, step=voice.steps)
            if lesson.ranges:
                voice.quarantine(refused, lesson.ranges)
        told = believed(lesson, outputs, self._layout)
        return StepReport(voice.steps, voice.events, losses, weights, metrics, slope.norm, refused, lesson.ranges, told)

    def _by_window(self, losses: Sequence[TaskLoss], lesson: Lesson) -> Float64:
        """[W, K], of the fresh windows of all ranks."""
        losses_WK = torch.stack([each.by_window(lesson.window_N, lesson.windows) for each in losses], 1)
        gathered: Float64 = gather_rows(losses_WK[: lesson.fresh].double(), self._group).cpu().numpy()
        return gathered
