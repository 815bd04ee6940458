"""Groups that cannot be are refused by key and name."""

import pytest

from schemas.monitor import Monitor
from schemas.relation import Relation
from tests.laws.ward import WARD

STATIC = {"ward": (1.0, 4.0), "age": (0.0, 125.0)}
REFUSED = {
    "unknown signal": ({"by": "wrad"}, r"relations\.0\.by: expected a static signal .*\(ward, age\), got 'wrad'"),
    "too many": ({"by": "age"}, r"relations\.0: expected at most 16 groups, got 126"),
    "empty": ({"by": "ward", "groups": {"a": []}}, r"relations\.0\.groups\.a: expected at least one value of ward"),
    "in two": ({"by": "ward", "groups": {"a": [1, 2], "b": [2]}}, r"expected each value of ward once, got 2 2 times"),
    "nobody": (
        {"by": "age", "entities": {"a": []}},
        r"relations\.0\.entities\.a: expected at least one entity",
    ),
    "at home twice": (
        {"by": "age", "entities": {"a": ["p1"], "b": ["p2", "p1"]}},
        r"relations\.0\.entities\.b\.1: expected each entity once, got one that stands in a already",
    ),
    "said and named": (
        {"by": "age", "groups": {"a": [1]}, "entities": {"b": ["p1"]}},
        r"relations\.0: expected either groups or entities, got both",
    ),
    "no room": (
        {"by": "ward", "entities": {"a": ["p1"], "b": ["p2"]}},
        r"relations\.0\.entities: expected ward with a range from 0 to 1 or more, got \[1, 4\]",
    ),
    "out of range": ({"by": "ward", "groups": {"a": [5]}}, r"expected values of ward in \[1\.0, 4\.0\], got 5"),
}


@pytest.mark.parametrize(("given", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused_by_name(given, message):
    with pytest.raises(ValueError, match=message):
        Relation.model_validate({"name": "unit"} | given).check("knowledge.relations.0", STATIC)


def test_undeclared_groups_are_the_whole_numbers_of_the_range():
    assert Relation(name="unit", by="ward").members(STATIC["ward"]) == ((1,), (2,), (3,), (4,))


@pytest.mark.parametrize("by", ["hr", "close", "ward"])
def test_a_monitor_takes_no_signal_that_may_change_as_a_group(by):
    knowledge = {"relations": [{"name": "unit", "by": by}]}
    with pytest.raises(ValueError, match=rf"knowledge\.relations\.0\.by: .* \(age\), got '{by}'"):
        Monitor.model_validate(WARD | {"knowledge": knowledge})
