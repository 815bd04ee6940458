"""`tasks[].loss`: what a task learns by. A name, or a table {name, option: value}."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from schemas.frozen import Frozen

_BINARY = ("binary-cross-entropy", "focal")
LOSSES: Mapping[str, tuple[str, ...]] = {
    "forecast": ("pinball", "huber", "mse"),
    "anomaly": _BINARY,
    "state": ("cross-entropy", "focal"),
    "event": _BINARY,
}
"""Kind of task -> its losses, the default first."""
_OPTIONS: Mapping[str, frozenset[str]] = {"huber": frozenset({"delta"}), "focal": frozenset({"gamma"})}
_BALANCED = frozenset({"state", "event"})
"""Faulty and sound rows weigh half each anyway."""


class Loss(Frozen):
    """A loss and its options.

    `huber` and `mse` judge the middle quantile alone, which then aims at a mean instead of the median; the other
    quantiles keep pinball, so that bands stay calibrated. `focal` and `balanced` turn the network to what is hard or
    rare, at a price: its probabilities no longer say how often.
    """

    name: str
    delta: float = Field(default=1.0, gt=0, le=100, description="huber: linear beyond so many typical changes")
    gamma: float = Field(default=2.0, ge=0, le=10, description="focal: how fast a row that is known counts less")
    balanced: bool = Field(default=False, description="state, event: a rare class counts more, ten times at most")

    @model_validator(mode="before")
    @classmethod
    def _named(cls, given: Any) -> Any:
        if isinstance(given, str):
            return {"name": given}
        if not isinstance(given, Mapping | Loss):
            raise ValueError("expected a name, or a table of name and options")  # noqa: TRY004 - pydantic's own kind
        return given

    def check(self, kind: str) -> None:
        """Refuse what a task of this kind does not have.

        Raises:
            ValueError: the losses it has, or the option that is none of this loss's.
        """
        if self.name not in LOSSES[kind]:
            *others, last = LOSSES[kind]
            raise ValueError(f"loss: expected {', '.join(others)} or {last} for kind {kind}, got {self.name!r}")
        fitting = {"name"} | _OPTIONS.get(self.name, frozenset()) | ({"balanced"} if kind in _BALANCED else set())
        for option, field in type(self).model_fields.items():
            seen = getattr(self, option)
            if option not in fitting and seen != field.default:
                raise ValueError(f"loss.{option}: expected none for kind {kind} and loss {self.name}, got {seen}")
