"""A hard rule: it runs whatever the network does."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from schemas.alerting import Severity, check_rising
from schemas.duration import Span
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
    RATE = "rate"
    MOVE = "move"
    FALL = "fall"
    RISE = "rise"
    AVERAGE = "average"
    VOLATILITY = "volatility"
    FROZEN = "frozen"
    MISSING = "missing"


_CALLED = {"gap": "move, fall or rise with `after`", "halt": "frozen with `for`"}
"""What a desk calls by another name."""
_KINDS: Mapping[str, frozenset[RuleKind]] = {
    "inputs": frozenset({RuleKind.NEWS2, RuleKind.FROZEN}),
    "spo2_scale": frozenset({RuleKind.NEWS2}),
    "low": frozenset({RuleKind.BAND, RuleKind.RATE, RuleKind.VOLATILITY}),
    "high": frozenset({RuleKind.BAND, RuleKind.RATE, RuleKind.VOLATILITY}),
    "per": frozenset({RuleKind.RATE}),
    "after": frozenset({RuleKind.MOVE, RuleKind.FALL, RuleKind.RISE}),
    "rows": frozenset({RuleKind.FROZEN}),
    "for": frozenset({RuleKind.FROZEN, RuleKind.MISSING}),
}
"""Settings that only rules of some kinds have."""


def _parse_kind(value: object) -> object:
    if isinstance(value, str) and value in _CALLED:
        raise ValueError(f"expected {_CALLED[value]}: what a {value} is")
    return value


def _parse_scale(value: object) -> object:
    if isinstance(value, bool) or not (isinstance(value, str) or value in (1, 2)):
        raise ValueError("expected 1, 2 or the signal whose value 2 says scale 2")
    return value


def _absent(value: object) -> bool:
    return value is None


def _first(value: object) -> bool:
    return value == 1


class Rule(Frozen):
    """A hard rule. The highest severity whose value the rule's score reaches is the alert's; without, it raises none.

    news2: aggregate score of `inputs` (vital -> signal; Royal College of Physicians, 2017), a missing vital counts 0.
        `spo2_scale`: 1, or 2 where all have hypercapnic failure, or the signal whose value 2 says that this one has.
    band:  how far `signal` lies outside [low, high], in raw units; a value on the bound is inside.
    rate:  how far the change of `signal` over the last `per` lies outside [low, high], a fall being negative, in
        percent (log-return), else in raw units. By time: what it was then is read between the values around.
    move:  |change of `signal`| (of its logarithm where the transform says so) over the entity's running mean one.
    fall:  how far `signal` lies below its last value, in percent of it (log-return), else in raw units; a rise is 0.
    rise:  how far it lies above it, likewise. With `after` these three are gaps: of a value that comes sooner after
        the last one they say 0.
    average: the mean of about the last four values of `signal`, in raw units (of its logarithm: the geometric mean).
    volatility: how far outside [low, high] the volatility of `signal`'s changes lies, in multiples of its usual one;
        without bounds that multiple itself.
    frozen: how often in a row all of `inputs`, or `signal`, stayed what they were, in multiples of `rows`; or how long
        none of them brought another value, come or not, in multiples of `for`: a halt.
    missing: how long `signal` did not come, since the entity's first row at most, in multiples of `for`.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    name: Identifier
    kind: Annotated[RuleKind, BeforeValidator(_parse_kind)]
    severities: dict[Severity, float] = Field(default_factory=dict)
    signal: Name | None = None
    low: float | None = None
    high: float | None = None
    inputs: dict[str, Name] = Field(default_factory=dict)
    rows: int | None = Field(default=None, ge=1, le=100_000)
    # Weights name the rules they were made with: what is not set is not named, so that older ones still fit.
    spo2_scale: Annotated[int | Name, BeforeValidator(_parse_scale)] = Field(default=1, exclude_if=_first)
    per: Span | None = Field(default=None, exclude_if=_absent)
    after: Span | None = Field(default=None, exclude_if=_absent)
    lasting: Span | None = Field(default=None, alias="for", exclude_if=_absent)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, field in type(self).model_fields.items():
            key, unset = field.alias or name, field.get_default(call_default_factory=True)
            if self.kind not in _KINDS.get(key, RuleKind) and getattr(self, name) != unset:
                names = " or ".join(sorted(_KINDS[key]))
                raise ValueError(f"{key}: expected kind {names} beside it, not {self.kind}")
        if self.inputs and self.signal is not None:
            raise ValueError("signal: expected none beside inputs")
        if self.kind is RuleKind.NEWS2:
            self._check_vitals()
        elif not self.inputs and self.signal is None:
            raise ValueError(f"signal: expected one for a {self.kind} rule")
        if self.kind in _KINDS["low"]:
            self._check_bounds()
        if self.kind is RuleKind.RATE and self.per is None:
            raise ValueError("per: expected the time that a change is over, such as 10m, for a rate rule")
        if self.kind is RuleKind.MISSING and self.lasting is None:
            raise ValueError("for: expected how long, such as 30m, for a missing rule")
        if self.kind is RuleKind.FROZEN and self.rows is None and self.lasting is None:
            raise ValueError("rows: expected how many for a frozen rule, or a duration for `for`")
        if self.rows is not None and self.lasting is not None:
            raise ValueError("rows: expected none beside `for`")
        check_rising(self.severities)
        return self

    def _check_vitals(self) -> None:
        if not self.inputs:
            raise ValueError("inputs: expected {vital: signal} for a news2 rule")
        for vital in self.inputs:
            check_known(f"inputs.{vital}", [vital], VITALS, "a vital")
        needed = ("spo2", "supplemental_oxygen") if self.spo2_scale != 1 else ()
        for vital in needed:
            if vital not in self.inputs:
                raise ValueError(f"inputs.{vital}: expected a signal: the points of scale 2 depend on it")

    def _check_bounds(self) -> None:
        if self.low is None and self.high is None:
            if self.kind is RuleKind.VOLATILITY:
                return
            raise ValueError(f"low: expected low or high for a {self.kind} rule")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low: expected at most high, which is {self.high:g}")
        inside = {RuleKind.RATE: (0.0, "no change"), RuleKind.VOLATILITY: (1.0, "the usual one")}.get(self.kind)
        if inside is None:
            return
        value, meaning = inside
        if self.low is not None and self.low > value:
            raise ValueError(f"low: expected at most {value:g}, {meaning}")
        if self.high is not None and self.high < value:
            raise ValueError(f"high: expected at least {value:g}, {meaning}")

    @property
    def reads(self) -> dict[str, str]:
        """Key -> name of each signal the rule reads."""
        scale = {"spo2_scale": self.spo2_scale} if isinstance(self.spo2_scale, str) else {}
        if self.inputs:
            return {f"inputs.{name}": signal for name, signal in self.inputs.items()} | scale
        return {"signal": self.signal or ""}

    @property
    def signals(self) -> tuple[str, ...]:
        """Names of the signals the rule reads."""
        return tuple(self.reads.values())

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest that is inside; infinite where it is open."""
        return -float("inf") if self.low is None else self.low, float("inf") if self.high is None else self.high


def seconds(duration: timedelta | None) -> float:
    """Of a rule's setting; 0 where it is not set."""
    return 0.0 if duration is None else duration.total_seconds()
