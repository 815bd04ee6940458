"""Durations and horizons, as people write them and as they travel in JSON."""

from datetime import timedelta

import pytest
from pydantic import TypeAdapter, ValidationError

from schemas.duration import Duration, Span, exact_form, short_form
from schemas.horizon import Horizon

DURATION: TypeAdapter[timedelta] = TypeAdapter(Duration)
SPAN: TypeAdapter[timedelta] = TypeAdapter(Span)
HORIZON: TypeAdapter[int | timedelta] = TypeAdapter(Horizon)


@pytest.mark.parametrize("text", ["90s", "1.5m", "PT1M30S", 90, timedelta(seconds=90)])
def test_a_duration_is_read_from(text: object) -> None:
    assert DURATION.validate_python(text) == timedelta(seconds=90)


@pytest.mark.parametrize("text", ["soon", "5 minutes", "-5s", "-PT5S", -5, None, [1], {"a": 1}])
def test_a_duration_is_not(text: object) -> None:
    with pytest.raises(ValidationError, match="expected a duration such as 90s, 15m, 2h or 1d"):
        DURATION.validate_python(text)


@pytest.mark.parametrize("text", ["90s", "1.5m", "PT1M30S", timedelta(seconds=90)])
def test_a_span_is_a_duration_with_its_unit(text: object) -> None:
    assert SPAN.validate_python(text) == timedelta(seconds=90)


@pytest.mark.parametrize("text", [90, 1.5, "90", " 1.5 ", "0s", "-5s", "soon", None, True])
def test_a_span_is_not(text: object) -> None:
    with pytest.raises(ValidationError, match="expected a duration with its unit, such as 90s, 15m, 2h or 1d"):
        SPAN.validate_python(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.25, "250ms"), (59, "59s"), (90, "1.5m"), (7200, "2h"), (5400, "1.5h"), (86_400, "1d")],
)
def test_the_short_form_is_in_the_largest_unit_that_fits(seconds: float, text: str) -> None:
    assert short_form(seconds) == text


@pytest.mark.parametrize(
    ("text", "horizon"), [(1, 1), (96, 96), (" 6", 6), ("15m", timedelta(minutes=15)), ("PT15M", timedelta(minutes=15))]
)
def test_a_horizon_is_read_from(text: object, horizon: int | timedelta) -> None:
    assert HORIZON.validate_python(text) == horizon


@pytest.mark.parametrize("text", [0, 97, -1, 2.5, 1.0, True, "97", "0s", "400d", "soon", None, [1]])
def test_a_horizon_is_not(text: object) -> None:
    with pytest.raises(ValidationError, match="expected row counts from 1 to 96 or durations such as 15m"):
        HORIZON.validate_python(text)


@pytest.mark.parametrize("horizon", [6, timedelta(minutes=15)])
def test_a_horizon_survives_json(horizon: int | timedelta) -> None:
    assert HORIZON.validate_json(HORIZON.dump_json(horizon)) == horizon


@pytest.mark.parametrize("text", ["1500ms", "90s", "61m", "36h", "1d"])
def test_the_exact_form_of_a_duration_is_read_back_as_it_was(text: str) -> None:
    assert exact_form(DURATION.validate_python(text)) == text
