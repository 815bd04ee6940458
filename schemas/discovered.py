"""What was discovered where false discoveries are controlled."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

DISCOVERIES = "false discoveries"
"""What stands in the place of a budget's name."""


@dataclass(frozen=True, slots=True)
class Discovered:
    """Alerts of the learned score, of which the share `false` may be."""

    false: float
    alarms: int

    def told(self) -> dict[str, object]:
        """As JSON holds it."""
        return {"false": self.false, "alarms": self.alarms}

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Self:
        """What `told` gave."""
        return cls(float(told["false"]), int(told["alarms"]))
