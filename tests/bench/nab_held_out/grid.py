"""The variants: settings of alerts, crossed, and constants of the detector, one of them at a time.

The default is the first of each, so that it is chosen where nothing is better.
"""

import itertools
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any
from unittest.mock import patch

from schemas.alerting import AlertSettings
from scorer import detector, profile, tail

SETTINGS: Mapping[str, tuple[float, ...]] = {
    "threshold": (2.0, 1.75, 2.25),
    "budget": (0.25, 0.5, 1.0),
    "steering": (0.1, 0.05, 0.2),
    "cooldown": (100, 50, 200),
    "escalation": (1.3, 1.15, 1.6),
}
"""What decides when evidence is an alert: how much of it, how fast the threshold steers itself and to how many alerts,
how long an alert silences the next and what breaks the silence."""

Constants = tuple[tuple[ModuleType, Mapping[str, Any]], ...]
CONSTANTS: Mapping[str, Constants] = {
    "as it is": (),
    "slow mean over 1,000 rows": ((detector, {"_SPANS": (8.0, 1000.0, 4000.0)}),),
    "slow mean over 4,000 rows": ((detector, {"_SPANS": (8.0, 4000.0, 4000.0)}),),
    "averages over 4, 12 and 32 rows": ((detector, {"_AVERAGES_ALONE": (4.0, 12.0, 32.0)}),),
    "averages over 16, 48 and 128 rows": ((detector, {"_AVERAGES_ALONE": (16.0, 48.0, 128.0)}),),
    "floor of half a change": ((detector, {"_FLOOR_ALONE": 0.5}),),
    "floor of two changes": ((detector, {"_FLOOR_ALONE": 2.0}),),
    "sudden changes not judged": ((detector, {"_CHANGE_COUNTS": 0.0}),),
    "sudden changes at no price": ((detector, {"_CHANGE_COUNTS": 0.7, "_CHANGE_COSTS": 0.0}),),
    "profiles half as fast": ((profile, {"_DAY_RATE": 0.015, "_KIND_RATE": 0.1}),),
    "profiles twice as fast": ((profile, {"_DAY_RATE": 0.06, "_KIND_RATE": 0.4}),),
    "tails remember 2,000 values": ((tail, {"_MEMORY": 2000.0}),),
    "tails remember 8,000 values": ((tail, {"_MEMORY": 8000.0}),),
    "lighter tails to begin with": ((tail, {"_PRIOR_EXCESS": 0.1}),),
    "heavier tails to begin with": ((tail, {"_PRIOR_EXCESS": 0.4}),),
    "tails believed after 15 values": ((tail, {"WARM_UP": 15.0}),),
    "tails believed after 60 values": ((tail, {"WARM_UP": 60.0}),),
}
"""What evidence is made of: halved and doubled, or left out."""


def settings() -> list[tuple[str, AlertSettings]]:
    """Every combination, and what is not the default's in it."""
    found = []
    for values in itertools.product(*SETTINGS.values()):
        asked = dict(zip(SETTINGS, values, strict=True))
        changed = {name: value for name, value in asked.items() if value != SETTINGS[name][0]}
        told = ", ".join(f"{name} {value:g}" for name, value in changed.items())
        found.append((told, AlertSettings.model_validate(asked)))
    return found


@contextmanager
def replaced(constants: Constants) -> Iterator[None]:
    """Constants of the detector are others, for as long."""
    with ExitStack() as stack:
        for module, values in constants:
            stack.enter_context(patch.multiple(module, **values))
        yield
