"""The refresher: a burst of adapters every so many labels, though nothing raised an alarm."""

from collections.abc import Mapping
from typing import Any

from schemas.components import DriftSettings
from schemas.protocols import Action


class Refresher:
    """Counts labels and steps. Told the same on all ranks, it says the same.

    Args:
        settings: after how many labels, for how many steps.
    """

    def __init__(self, settings: DriftSettings) -> None:
        self._settings = settings
        self._labels = 0
        self._left = 0

    def count(self, labels: int, *, resting: bool) -> list[Action]:
        """What one step's labels bring about.

        Args:
            labels: taught for the first time in this step, by all ranks.
            resting: is nothing else done about drift? A burst waits until then, and one that runs ends.
        """
        self._labels += labels
        self._left = max(self._left - 1, 0) if resting else 0
        if not resting or self._left or self._labels < self._settings.adapt_every:
            return []
        told, self._labels, self._left = self._labels, 0, self._settings.burst_steps
        return [Action("burst", "", f"{told} labels since the last one")]

    @property
    def bursting(self) -> bool:
        """Do adapters learn instead of the weights?"""
        return self._left > 0

    def state_dict(self) -> dict[str, Any]:
        """What is remembered."""
        return {"labels": self._labels, "left": self._left}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Remember what another one did."""
        self._labels, self._left = state["labels"], state["left"]


def refresher_of(settings: DriftSettings) -> Refresher | None:
    """As configured; None where only alarms start a burst."""
    return Refresher(settings) if settings.adapt_every else None
