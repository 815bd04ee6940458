"""Settings that must fit each other."""

import pytest
from pydantic import ValidationError

from schemas.alerting import Severity, check_rising
from schemas.components import ModelSettings


def test_heads_divide_the_width() -> None:
    with pytest.raises(ValidationError, match="heads: expected a divisor of width, which is 32"):
        ModelSettings(heads=3)


def test_a_worse_severity_is_never_reached_sooner() -> None:
    check_rising({Severity.CRITICAL: 0.6, Severity.WARNING: 0.3})
    with pytest.raises(ValueError, match="severities: expected values that rise from info to critical"):
        check_rising({Severity.WARNING: 0.8, Severity.CRITICAL: 0.5})
