"""`knowledge.relations`: who belongs together. A small graph of which each edge joins an entity and its group.

The group is what a static signal of the entity says (ward, sector), so that it arrives with the entity, is known of
entities that no configuration ever named, and needs no identity in the network. Where no message says it, entities may
be named here: their rows are then given the signal.
"""

from collections import Counter
from collections.abc import Collection, Mapping

from pydantic import Field

from schemas.frozen import Frozen

MOST_GROUPS = 16


class Relation(Frozen):
    """One way in which entities belong together.

    Attributes:
        name: of the relation.
        by: the static signal whose value, rounded, says the group.
        groups: name -> values of the signal; an entity of another value is in none. Empty: each whole number of the
            signal's range is a group of its own.
        entities: name -> entities, in place of `groups`: the first group is 0, the next 1. A row that says its group
            itself is believed.
    """

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,62}$")
    by: str
    groups: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    entities: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    @property
    def group_of(self) -> dict[str, float]:
        """Named entity -> value of the signal."""
        return {entity: float(group) for group, names in enumerate(self.entities.values()) for entity in names}

    def members(self, span: tuple[float, float]) -> tuple[tuple[int, ...], ...]:
        """Values of each group, given the signal's range."""
        low, high = (round(end) for end in span)
        if self.entities:
            return tuple((group,) for group in range(len(self.entities)))
        return tuple(self.groups.values()) or tuple((value,) for value in range(low, high + 1))

    def check(self, key: str, static: Mapping[str, tuple[float, float]]) -> None:
        """Refuse what cannot be.

        Args:
            key: where it is configured.
            static: range of each signal that may say a group.

        Raises:
            ValueError: no such signal, too many groups, an empty one, or a value out of range or in two of them.
        """
        if self.by not in static:
            valid = ", ".join(static) or "there is none"
            raise ValueError(f"{key}.by: expected a static signal of transform level ({valid}), got {self.by!r}")
        low, high = static[self.by]
        if self.entities:
            self._check_entities(key, low, high)
        count = len(self.entities) or len(self.groups) or round(high) - round(low) + 1
        if count > MOST_GROUPS:
            raise ValueError(f"{key}: expected at most {MOST_GROUPS} groups, got {count}; groups may be declared")
        for group, values in self.groups.items():
            if not values:
                raise ValueError(f"{key}.groups.{group}: expected at least one value of {self.by}, got none")
        self._check_values(key, [value for values in self.groups.values() for value in values], low, high)

    def _check_entities(self, key: str, low: float, high: float) -> None:
        if self.groups:
            raise ValueError(f"{key}: expected either groups or entities, got both")
        for group, names in self.entities.items():
            if not names:
                raise ValueError(f"{key}.entities.{group}: expected at least one entity, got none")
        home: dict[str, str] = {}
        for group, names in self.entities.items():
            for place, entity in enumerate(names):
                if home.setdefault(entity, group) != group or entity in names[:place]:  # named by place: it is a person
                    got = f"one that stands in {home[entity]} already"
                    raise ValueError(f"{key}.entities.{group}.{place}: expected each entity once, got {got}")
        if low > 0 or high < len(self.entities) - 1:
            expected = f"{self.by} with a range from 0 to {len(self.entities) - 1} or more"
            raise ValueError(f"{key}.entities: expected {expected}, got [{low:g}, {high:g}]")

    def _check_values(self, key: str, values: Collection[int], low: float, high: float) -> None:
        for value, times in Counter(values).items():
            if times > 1:
                raise ValueError(f"{key}.groups: expected each value of {self.by} once, got {value} {times} times")
            if not low <= value <= high:
                raise ValueError(f"{key}.groups: expected values of {self.by} in [{low}, {high}], got {value}")
