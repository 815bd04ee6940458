"""What a learner does beside its steps: it meets drift by the ladder, and harm by going back.

N rows, E packed entities, D width.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from schemas.layout import Layout
from schemas.observation import Partition, Ranges
from schemas.protocols import Action
from trainer.canary import worsened
from trainer.descent import Descent
from trainer.kept import Kept, Kind
from trainer.ladder import Ladder, ladder_of
from trainer.lesson import Lesson, blank_lesson
from trainer.losses import TaskLoss
from trainer.network import Network, Outputs
from trainer.past import past_lesson, start_of
from trainer.pinned import Pinned
from trainer.refresher import refresher_of
from trainer.slots import Slots
from trainer.weighting.ranks import pool_sum
from trainer.weights import upgraded
from trainer.windows import Window

WENT_BACK, RENEWED, RETRAIN, RETURNED = "went back", "renewed", "retrain", "returned"
UNLEARNED = "rehearsal refused"
"""No row of the quarantine: the windows were learned from when they came."""


class Adaptation:
    """Decides alike on all ranks, from what they see together.

    Args:
        network: the candidate, which learns.
        serving: the version that serves.
        descent: the candidate's.
        layout: its tasks and settings.
        seed: of what is kept.
        group: ranks that learn together.

    Attributes:
        unlearned: offsets of this rank that count for nothing since earlier weights were last returned to.
    """

    def __init__(
        self,
        network: Network,
        serving: Network,
        descent: Descent,
        layout: Layout,
        seed: int,
        group: ProcessGroup | None,
    ) -> None:
        self._network, self._serving, self._layout, self._group = network, serving, layout, group
        self._settings = layout.monitor.training
        self._kept = Kept(self._settings, seed, 0 if group is None else group.rank())
        self.begin(descent)

    def begin(self, descent: Descent) -> None:
        """The candidate is another one: what was known of its losses is no measure any more."""
        self._descent = descent
        self._ladder = ladder_of(self._network.layout)
        self.pinned = None if self._ladder is None else Pinned(self._network)
        self.unlearned: Ranges = {}
        self._refresher = refresher_of(self._settings.drift)
        self._good = copy.deepcopy(self._network.state_dict())
        self._vetoes = 0

    def sift(self, windows: Sequence[Window], slots: Slots, step: int) -> list[Kind]:
        """Those of a step's windows that are worth keeping once it was taken."""
        return self._kept.sift(windows, slots, self.regime, step)

    @property
    def regime(self) -> int:
        """How often drift was met until now."""
        return 0 if self._ladder is None else self._ladder.regime

    def after(self, lesson: Lesson, outputs: Outputs, losses: Mapping[str, float], step: int) -> list[Action]:
        """What a step that was taken brings about; the candidate may be another one then."""
        if self._settings.anchor:
            self._hold()
        actions = [] if self._ladder is None else self._climb(self._ladder, lesson, outputs, losses)
        returned = [] if self._ladder is None or self.pinned is None else self._return(self._ladder, self.pinned)
        if returned:
            return actions + returned
        actions += self._refresh(lesson)
        if self._ladder is not None or self._refresher is not None:
            actions += self._adapt(step)
        return actions + (self.harm() if step % self._settings.canary.every == 0 else [])

    def harm(self, judged: Network | None = None) -> list[Action]:
        """Look at the canaries: a candidate that forgot them goes back to where it was at the last look.

        One that forgets them again and again learned what the stream has become: then they are what is outdated.

        Args:
            judged: what the candidate offers for service; None: itself.
        """
        if not self._settings.canary.windows:
            return []
        canaries = self._kept.canary.held
        found = worsened(judged or self._network, self._serving, canaries, self._descent.losses, self._group)
        went_back = bool(found) and self._vetoes < self._settings.canary.vetoes
        if went_back:
            self._become(self._good)
        elif judged is None:
            self._good = copy.deepcopy(self._network.state_dict())
        if found and not went_back:
            self._kept.canary.held.clear()
        if found or judged is None:
            self._vetoes = self._vetoes + 1 if went_back else 0
        return [Action(WENT_BACK if went_back else RENEWED, task, why) for task, why in found.items()]

    def state_dict(self) -> dict[str, Any]:
        """What all ranks hold alike."""
        ladder = None if self._ladder is None else self._ladder.state_dict()
        refresher = None if self._refresher is None else self._refresher.state_dict()
        pinned = None if self.pinned is None else self.pinned.state_dict()
        kept = {"good": dict(self._good), "pinned": pinned}
        return {"ladder": ladder, "refresher": refresher, "vetoes": self._vetoes} | kept

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another one stood."""
        if self._ladder is not None and state["ladder"] is not None:
            self._ladder.load_state_dict(state["ladder"])
        if self._refresher is not None and state.get("refresher") is not None:
            self._refresher.load_state_dict(state["refresher"])
        if self.pinned is not None and state.get("pinned") is not None:
            self.pinned.load_state_dict(state["pinned"])
        self._good, self._vetoes = upgraded(state["good"], self._network), state["vetoes"]

    def kept_of(self, partition: Partition) -> list[Kind]:
        """What is kept of a partition."""
        return self._kept.of(partition)

    def keep(self, held: Iterable[Kind], step: int) -> None:
        """Keep these from now on."""
        self._kept.add(held, step)

    @torch.no_grad()
    def _hold(self) -> None:
        """Back a share of the way to the version that serves: what one step's rows say by chance is not kept.

        The penalty of Li et al. (2018, section 3.2) on the distance from where learning started, as a step of its own,
        with the proved version as the start. It serves against forgetting too, as EWC does with all weights alike.
        """
        pairs = zip(self._network.parameters(), self._serving.parameters(), strict=True)
        for mine, proved in pairs:
            mine.lerp_(proved, self._settings.anchor)

    def _climb(self, ladder: Ladder, lesson: Lesson, outputs: Outputs, losses: Mapping[str, float]) -> list[Action]:
        rested = ladder.resting
        actions = ladder.judge(losses, self._place(lesson, outputs), spikes=self._descent.guard.gave_way)
        if any(action.kind == RETRAIN for action in actions):
            self._become(self._serving.state_dict())
        self._descent.hurry(ladder.rate)
        if self.pinned is not None:
            begun = rested and not ladder.resting
            self.pinned.count(self._network, lesson.ranges, alarmed=begun, resting=ladder.resting)
        return actions

    def _return(self, ladder: Ladder, pinned: Pinned) -> list[Action]:
        """What the stream was taken for is over, if the weights from before it are the better ones again.

        Nothing that is remembered of it may come back: no step of the ladder, no window to be rehearsed or judged by.
        """
        better = pinned.better()
        if better:
            weights, self.unlearned = pinned.given_back()
            self._become(weights)
            self._good, self._vetoes = copy.deepcopy(self._network.state_dict()), 0
            self._kept.forget(ladder.regime)
            ladder.rest()
            self._descent.hurry(ladder.rate)
        return [Action(RETURNED, task, why) for task, why in better.items()]

    def _refresh(self, lesson: Lesson) -> list[Action]:
        if self._refresher is None:
            return []
        labels = int(pool_sum(torch.tensor(len(lesson.told)), self._group))
        return self._refresher.count(labels, resting=self._ladder is None or self._ladder.resting)

    def _adapt(self, step: int) -> list[Action]:
        """Let adapters learn where that is due, and past windows beside the step's own."""
        ladder, refreshed = self._ladder, self._refresher is not None and self._refresher.bursting
        self._descent.adapt(by_adapters=refreshed or (ladder is not None and ladder.bursting))
        rehearsing = refreshed or (ladder is not None and ladder.rehearsing)
        if not rehearsing or not self._settings.drift.replay_windows:
            return []
        refused = self._rehearse(step)
        return [] if refused is None else [Action(UNLEARNED, "", refused)]

    def _place(self, lesson: Lesson, outputs: Outputs) -> Tensor | None:
        """Mean representation of the observed rows of all ranks, [D]; None: there are none."""
        clean_N = lesson.rows.real_N & (lesson.window_N * self._settings.window < lesson.events)
        read_ND = outputs.read_ND.detach()[clean_N].double().cpu()
        told = pool_sum(torch.cat([read_ND.sum(0), read_ND.new_tensor([len(read_ND)])]), self._group)
        return told[:-1] / told[-1] if told[-1] > 0 else None

    def _rehearse(self, step: int) -> str | None:
        """Learn past windows once more; a rank that has none steps with the others. Returns why it was refused."""
        past, rng = self._kept.draw(self._settings.windows_per_step, step)
        if past:
            lesson, statistics_EFS = past_lesson(past, self._layout, rng, self._network.device)
        else:
            lesson = blank_lesson(self._layout).to(self._network.device)
            statistics_EFS = self._network.statistics.initial(lesson.rows.waves[0])
        state = start_of(self._network, statistics_EFS)
        outputs, _ = self._network(lesson.rows, state, both_ways=True)
        slope = self._descent.look(self._descent.ways(outputs, lesson.targets), outputs.shared)

        @torch.no_grad()
        def again() -> list[TaskLoss]:
            now, _ = self._network(lesson.rows, state, observed=outputs.observed, both_ways=True)
            return self._descent.ways(now, lesson.targets).pulling

        if slope.refused is None:
            self._descent.step(slope, lesson.targets, again)
        self._descent.clear()
        return slope.refused

    def _become(self, weights: Mapping[str, Tensor]) -> None:
        self._network.load_state_dict(weights)
        self._descent.start_over()
