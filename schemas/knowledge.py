"""`knowledge`: what is known of signals and states before anything is learned, in words; here it is checked.

Orders and implications speak of forecasts; bounds are the signals' own ranges; a monotone state trusts its rule.
"""

from collections.abc import Collection, Mapping
from typing import Self

from pydantic import Field, model_validator

from schemas.frozen import Frozen
from schemas.names import check_known
from schemas.relation import Relation

Range = tuple[float, float]
_UNBOUNDED = (float("-inf"), float("inf"))


class Condition(Frozen):
    """Holds where the forecast median of `signal` is above or below a value, raw units."""

    signal: str
    above: float | None = None
    below: float | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.above is None) == (self.below is None):
            raise ValueError("expected either above or below")
        return self


class Conclusion(Frozen):
    """Forecasts of `signal` are then at least, at most so high, raw units."""

    signal: str
    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise ValueError("expected at_least or at_most")
        return self

    @property
    def range(self) -> Range:
        """Lowest and highest."""
        low, high = _UNBOUNDED
        return low if self.at_least is None else self.at_least, high if self.at_most is None else self.at_most


class Implication(Frozen):
    """When one thing is forecast for a horizon, another holds there too."""

    when: Condition
    then: Conclusion


class Knowledge(Frozen):
    """Prior knowledge. What is not configured costs nothing.

    Attributes:
        features: each rule's score joins what state and event heads read.
        bounds: forecasts stay within their signal's range.
        orders: chains of signals, lowest first; a signal may stand in several.
        implications: their conclusions are about signals that neither an order nor a condition names.
        monotone: state tasks whose probabilities may not contradict their rules: their standing's, else their target's.
        relations: groups of entities, whose values are placed within their group too.
        weight: of what contradicts, in training; 0: the guard at serving alone, which was measured to be the better.
    """

    features: bool = False
    bounds: bool = False
    orders: tuple[tuple[str, ...], ...] = ()
    implications: tuple[Implication, ...] = ()
    monotone: tuple[str, ...] = ()
    relations: tuple[Relation, ...] = ()
    weight: float = Field(default=0.0, ge=0, le=100, description="of contradictions among the losses; 0: none")

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """(lower, higher) of all signals that the orders compare, directly or through others."""
        found = {(low, high) for chain in self.orders for at, low in enumerate(chain) for high in chain[at + 1 :]}
        while more := {(a, d) for a, b in found for c, d in found if b == c} - found:
            found |= more
        return tuple(sorted(found))

    @property
    def summary(self) -> dict[str, str | int | float]:
        """What is configured, for people."""
        parts = {
            "features": "rules" if self.features else "",
            "bounds": "ranges" if self.bounds else "",
            "orders": ", ".join(" <= ".join(chain) for chain in self.orders),
            "implications": len(self.implications),
            "monotone": ", ".join(self.monotone),
            "relations": ", ".join(f"{each.name} by {each.by}" for each in self.relations),
        }
        used = {name: part for name, part in parts.items() if part}
        return used | {"weight": self.weight} if used else {}

    def ranges(self, declared: Mapping[str, Range]) -> dict[str, Range]:
        """What each signal's forecasts keep to: its own range, and what the order makes of the others'."""
        if not self.bounds:
            return dict.fromkeys(declared, _UNBOUNDED)
        low, high = ({name: ends[side] for name, ends in declared.items()} for side in (0, 1))
        for below, above in self.pairs:
            low[above] = max(low[above], declared[below][0])
            high[below] = min(high[below], declared[above][1])
        return {name: (low[name], high[name]) for name in declared}

    def check(self, declared: Mapping[str, Range], logarithmic: Collection[str], states: Collection[str]) -> None:
        """Refuse what cannot be.

        Args:
            declared: range of each signal that is forecast.
            logarithmic: those of them that are modelled as logarithms.
            states: names of the state tasks that have a target.

        Raises:
            ValueError: an unknown name, or a contradiction, with the key it stands under.
        """
        for place, chain in enumerate(self.orders):
            check_known(f"knowledge.orders.{place}", chain, declared, "a signal that is forecast")
            if len({name in logarithmic for name in chain}) > 1:
                raise ValueError(f"knowledge.orders.{place}: expected signals of one scale, log-return or none")
            if len(chain) < 2:
                raise ValueError(f"knowledge.orders.{place}: expected at least two signals, got {len(chain)}")
        for lower, higher in self.pairs:
            if lower == higher:
                raise ValueError(f"knowledge.orders: expected no circle, got {lower!r} below itself")
        for place, each in enumerate(self.implications):
            self._check_implication(f"knowledge.implications.{place}", each, declared)
        for name, (low, high) in self._narrowed(declared).items():
            if low > high:
                raise ValueError(f"knowledge: expected what is said of {name} to leave a value, got [{low}, {high}]")
        for place, name in enumerate(self.monotone):
            check_known(f"knowledge.monotone.{place}", [name], states, "a state task with a target")

    def check_relations(self, static: Mapping[str, Range]) -> None:
        """Refuse relations that cannot be, given the signals that may say a group. Raises ValueError with the key."""
        names = [each.name for each in self.relations]
        for place, each in enumerate(self.relations):
            if names.count(each.name) > 1:
                raise ValueError(f"knowledge.relations.{place}.name: expected each name once, got {each.name!r} twice")
            each.check(f"knowledge.relations.{place}", static)

    def _check_implication(self, key: str, each: Implication, declared: Mapping[str, Range]) -> None:
        check_known(f"{key}.when.signal", [each.when.signal], declared, "a signal that is forecast")
        check_known(f"{key}.then.signal", [each.then.signal], declared, "a signal that is forecast")
        ordered = {name for chain in self.orders for name in chain}
        if each.then.signal in ordered | {other.when.signal for other in self.implications}:
            expected = "a signal that no order and no condition names"
            raise ValueError(f"{key}.then.signal: expected {expected}, got {each.then.signal!r}")

    def _narrowed(self, declared: Mapping[str, Range]) -> dict[str, Range]:
        """Ranges where every conclusion is drawn."""
        found = self.ranges(declared)
        for each in self.implications:
            (low, high), (least, most) = found[each.then.signal], each.then.range
            found[each.then.signal] = (max(low, least), min(high, most))
        return found
