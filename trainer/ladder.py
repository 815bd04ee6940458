"""The ladder: what is done about drift, one rung after the other, until losses are back where they were.

First learning hurries; where that was not enough, low-rank adapters learn from recent and past windows; then the
candidate starts again from the version that serves; and what still is not back is the new normal. A change that only
the representation shows is met by hurrying alone: no loss says that more is needed.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from schemas.components import DriftSettings
from schemas.layout import Layout
from schemas.protocols import Action
from trainer.watched import Level, Place

REPRESENTATION = "representation"
_BACK = 1.1
"""Losses are back when they are within 10 % of what they were."""
_RECENT = 0.125
"""Rate at which losses since the alarm forget."""
_SOONEST = 8
"""Steps since the alarm from which on its losses say whether they are back."""


@dataclass(slots=True)
class _Episode:
    """Since an alarm.

    Attributes:
        rung: the last action, as a place among them.
        since: steps since that.
        before: task -> its loss before the alarm.
        now: task -> its loss of late.
    """

    rung: int = 0
    since: int = 0
    before: dict[str, float] = field(default_factory=dict)
    now: dict[str, float] = field(default_factory=dict)

    def take(self, left: Mapping[str, tuple[float, float]], losses: Mapping[str, float]) -> None:
        """Another step: who left which loss for which, and what all lost."""
        self.since += 1
        for task, (before, now) in left.items():
            if task in losses and task not in self.before:
                self.before[task], self.now[task] = before, now
        for task in self.before.keys() & losses.keys():
            self.now[task] += _RECENT * (losses[task] - self.now[task])

    def worst(self) -> tuple[str, float]:
        """The task that is farthest from back, and how many times its loss before it has now."""
        ratios = {task: self.now[task] / max(before, 1e-9) for task, before in self.before.items()}
        return max(ratios.items(), key=lambda each: each[1], default=("", 0.0))


class Ladder:
    """Decides step by step. Told the same on all ranks, it says the same.

    Args:
        settings: which detector, what is done, for how long.
        tasks: names.
        width: of the representation.
    """

    def __init__(self, settings: DriftSettings, tasks: list[str], width: int) -> None:
        self._settings = settings
        rungs = {"hurry": True, "burst": settings.adapter_rank > 0, "retrain": True}
        self._rungs = [rung for rung, wanted in rungs.items() if wanted]
        self._levels = {name: Level(settings) for name in (*tasks, REPRESENTATION)}
        self._width = width
        self._place = Place(width)
        self._episode: _Episode | None = None
        self.regime = 0
        """Grows whenever the ladder is stepped on."""

    def judge(self, losses: Mapping[str, float], place_D: Tensor | None, *, spikes: bool = False) -> list[Action]:
        """What one step brings about.

        Args:
            losses: task -> loss before its update; those that could be judged.
            place_D: the mean representation; None: of nobody.
            spikes: were so many steps refused that the losses must be taken for the new ones?
        """
        left = self._left(losses, place_D)
        actions = [Action("alarm", task, f"{before:.3g} before, {now:.3g} now") for task, (before, now) in left.items()]
        if spikes:
            left |= {task: (self._levels[task].mean, loss) for task, loss in losses.items() if task not in left}
            actions.append(Action("alarm", "", "spikes that do not end"))
        if actions and self._episode is None:
            self._episode = _Episode()
            self.regime += 1
            actions.append(Action("hurry", "", f"learning rate {self._settings.hurry:g} times as high"))
        if self._episode is not None:
            self._episode.take(left, losses)
            actions += self._climb(self._episode)
        return actions

    @property
    def rate(self) -> float:
        """What the learning rate is multiplied with now."""
        if self._episode is None or self._episode.rung:
            return 1.0
        left = 1.0 - self._episode.since / self._settings.hurry_steps
        return 1.0 + (self._settings.hurry - 1.0) * max(left, 0.0)

    @property
    def resting(self) -> bool:
        """Is nothing done about drift?"""
        return self._episode is None

    @property
    def bursting(self) -> bool:
        """Do adapters learn instead of the weights?"""
        return self._on("burst")

    @property
    def rehearsing(self) -> bool:
        """Are past windows learned beside each step's own?"""
        return self._on("burst") or self._on("retrain")

    def rest(self) -> None:
        """What the alarm was about is over: nothing more is done about it."""
        self._episode = None

    def state_dict(self) -> dict[str, Any]:
        """What is remembered."""
        return {
            "levels": {name: level.state_dict() for name, level in self._levels.items()},
            "place": self._place.state_dict(),
            "episode": None if self._episode is None else asdict(self._episode),
            "regime": self.regime,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Remember what another one did."""
        for name, level in self._levels.items():
            level.load_state_dict(state["levels"][name])
        self._place.load_state_dict(state["place"])
        self._episode = None if state["episode"] is None else _Episode(**state["episode"])
        if self._episode is not None:  # with fewer rungs than then, the last one
            self._episode.rung = min(self._episode.rung, len(self._rungs) - 1)
        self.regime = state["regime"]

    def _left(self, losses: Mapping[str, float], place_D: Tensor | None) -> dict[str, tuple[float, float]]:
        """What left its level in this step: name -> its mean before, and what it is now."""
        values = dict(losses)
        distance = None if place_D is None else self._place.distance(place_D)
        if distance is not None:
            values[REPRESENTATION] = distance
        told = ((name, self._levels[name].update(value), value) for name, value in values.items())
        found = {name: (before, value) for name, before, value in told if before is not None}
        if REPRESENTATION in found:
            self._place = Place(self._width)
        return found

    def _climb(self, episode: _Episode) -> list[Action]:
        """Down from the ladder, or one rung up, where it is time."""
        task, ratio = episode.worst()
        said = f"loss {ratio:.2f} times that before the alarm" if task else "no loss followed"
        if ratio <= _BACK and episode.since >= (_SOONEST if task else self._settings.hurry_steps):
            self._episode = None
            return [Action("recovered", task, said)]
        if ratio <= _BACK or episode.since < self._settings.patience:
            return []
        episode.rung, episode.since = episode.rung + 1, 0
        if episode.rung < len(self._rungs):
            return [Action(self._rungs[episode.rung], task, said)]
        self._episode = None
        return [Action("accepted", task, said)]

    def _on(self, rung: str) -> bool:
        """Is this the rung, and not yet done?"""
        episode = self._episode
        here = episode is not None and self._rungs[episode.rung] == rung
        return here and episode is not None and episode.since < self._settings.burst_steps


def ladder_of(layout: Layout) -> Ladder | None:
    """As configured; None where drift is not looked for."""
    drift = layout.monitor.training.drift
    names = [task.name for task in layout.tasks]
    return None if drift.detector == "off" else Ladder(drift, names, layout.monitor.model.width)
