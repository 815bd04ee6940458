"""A hard rule: it runs whatever the network does."""

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from schemas.alerting import Severity, check_rising
from schemas.frozen import Frozen
from schemas.names import Identifier, Name, check_known

VITALS = (
    "respiratory_rate",
    "spo2",
    "supplemental_oxygen",
    "systolic_bp",
    "heart_rate",
    "consciousness",
    "temperature",
)
"""What NEWS2 scores."""


class RuleKind(StrEnum):
    """Rules that run whatever the network does."""

    NEWS2 = "news2"
    BAND = "band"
    MOVE = "move"
    FROZEN = "frozen"
    FALL = "fall"
    AVERAGE = "average"


class Rule(Frozen):
    """A hard rule. The highest severity whose value the rule's score reaches is the alert's; without, it raises none.

    news2: aggregate score of `inputs` (vital -> signal; Royal College of Physicians, 2017), a missing vital counts 0.
    band:  how far `signal` lies outside [low, high], in raw units; a value on the bound is inside.
    move:  |change of `signal`| (of its logarithm where the transform says so) over the entity's running mean one.
    fall:  how far `signal` lies below its last value, in percent of it (log-return), else in raw units; a rise is 0.
    average: the mean of about the last four values of `signal`, in raw units (of its logarithm: the geometric mean).
    frozen: how often in a row all of `inputs`, or `signal`, stayed what they were, in multiples of `rows`.
    """

    name: Identifier
    kind: RuleKind
    severities: dict[Severity, float] = Field(default_factory=dict)
    signal: Name | None = None
    low: float | None = None
    high: float | None = None
    inputs: dict[str, Name] = Field(default_factory=dict)
    rows: int | None = Field(default=None, ge=1, le=100_000)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kind is RuleKind.NEWS2:
            self._check_vitals()
        elif not self._reads_inputs and self.signal is None:
            raise ValueError(f"signal: expected one for a {self.kind} rule")
        if self.kind is RuleKind.FROZEN and self.rows is None:
            raise ValueError("rows: expected how many for a frozen rule")
        if self.kind is not RuleKind.FROZEN and self.rows is not None:
            raise ValueError(f"rows: expected kind frozen beside it, not {self.kind}")
        if self.kind is RuleKind.BAND:
            self._check_band()
        check_rising(self.severities)
        return self

    def _check_vitals(self) -> None:
        if not self.inputs:
            raise ValueError("inputs: expected {vital: signal} for a news2 rule")
        for vital in self.inputs:
            check_known(f"inputs.{vital}", [vital], VITALS, "a vital")

    def _check_band(self) -> None:
        if self.low is None and self.high is None:
            raise ValueError("low: expected low or high for a band rule")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low: expected at most high, which is {self.high:g}")

    @property
    def reads(self) -> dict[str, str]:
        """Key -> name of each signal the rule reads."""
        if self._reads_inputs:
            return {f"inputs.{name}": signal for name, signal in self.inputs.items()}
        return {"signal": self.signal or ""}

    @property
    def signals(self) -> tuple[str, ...]:
        """Names of the signals the rule reads."""
        return tuple(self.reads.values())

    @property
    def _reads_inputs(self) -> bool:
        return bool(self.inputs) and self.kind in {RuleKind.NEWS2, RuleKind.FROZEN}
