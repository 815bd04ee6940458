"""What is known must be sayable without contradiction; what cannot be is refused by key and name."""

import pytest

from infra.settings import load_monitor
from schemas.errors import ConfigError
from schemas.knowledge import Knowledge

RANGES = {"low": (0.0, 90.0), "mid": (5.0, 300.0), "high": (0.0, 100.0), "o2": (0.15, 1.0)}


def test_an_order_holds_through_the_signals_between():
    assert Knowledge(orders=(("low", "mid"), ("mid", "high"))).pairs == (
        ("low", "high"),
        ("low", "mid"),
        ("mid", "high"),
    )


def test_an_order_narrows_the_ranges_of_its_signals():
    known = Knowledge(bounds=True, orders=(("low", "mid", "high"),))
    assert known.ranges(RANGES) == {"low": (0.0, 90.0), "mid": (5.0, 100.0), "high": (5.0, 100.0), "o2": (0.15, 1.0)}


WHEN = {"signal": "low", "above": 1}
REFUSED = {
    "unknown signal": ({"orders": [["low", "hihg"]]}, r"orders\.0: expected .*\(low, mid, high, o2\), got 'hihg'"),
    "alone": ({"orders": [["low"]]}, r"orders\.0: expected at least two signals, got 1"),
    "circle": ({"orders": [["low", "mid"], ["mid", "high"], ["high", "low"]]}, "expected no circle, got 'high'"),
    "two scales": ({"orders": [["o2", "low"]]}, r"orders\.0: expected signals of one scale"),
    "no value left": (
        {"bounds": True, "orders": [["mid", "o2"]]},
        r"what is said of mid .* got \[5\.0, 1\.0\]|one scale",
    ),
    "concluded of an ordered one": (
        {"orders": [["low", "mid"]], "implications": [{"when": WHEN, "then": {"signal": "mid", "at_least": 9}}]},
        r"implications\.0\.then\.signal: expected a signal that no order and no condition names, got 'mid'",
    ),
    "conclusions apart": (
        {
            "implications": [
                {"when": WHEN, "then": {"signal": "mid", "at_least": 9}},
                {"when": WHEN, "then": {"signal": "mid", "at_most": 8}},
            ]
        },
        r"what is said of mid to leave a value, got \[9\.0, 8\.0\]",
    ),
    "no state": (
        {"monotone": ["trouble"]},
        r"monotone\.0: expected a state task with a target \(there is none\), got 'trouble'",
    ),
}


@pytest.mark.parametrize(("given", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused_by_name(given, message):
    with pytest.raises(ValueError, match=message):
        Knowledge.model_validate(given).check(RANGES, {"o2"}, [])


def test_a_monitor_says_under_which_key_its_knowledge_is_wrong(tmp_path):
    file = tmp_path / "pumps.yaml"
    file.write_text(
        "{monitor: pumps, topics: {observations: p}, modalities: [{name: m, signals: [{name: a}, {name: b}]}],"
        "tasks: [{name: f, kind: forecast}, {name: x, kind: anomaly}], knowledge: {orders: [[a, c]]}}"
    )
    with pytest.raises(
        ConfigError, match=r"knowledge\.orders\.0.*got 'c'; expected a signal that is forecast \(a, b\)"
    ):
        load_monitor(file, {})


def test_each_relation_has_a_name_of_its_own():
    twice = Knowledge.model_validate({"relations": [{"name": "unit", "by": "ward"}] * 2})
    with pytest.raises(ValueError, match=r"relations\.0\.name: expected each name once, got 'unit' twice"):
        twice.check_relations({"ward": (1.0, 4.0)})
