"""Values that are what is usual of the signal, in another unit.

n rows of distinct entities, S signals, C conversions; state is gathered, [n, S].
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from schemas.observation import Bool, Field, Float64

_CONVERSIONS: Mapping[str, Sequence[tuple[str, float, float]]] = {
    "Cel": [("[degF]", 1 / 1.8, -32 / 1.8), ("K", 1.0, -273.15)],
    "[degF]": [("Cel", 1.8, 32.0), ("K", 1.8, -459.67)],
    "mm[Hg]": [("kPa", 7.50062, 0.0)],
    "kPa": [("mm[Hg]", 0.133322, 0.0)],
    "mg/dL": [
        ("mmol/L of glucose", 18.0156, 0.0),
        ("mmol/L of cholesterol", 38.67, 0.0),
        ("mmol/L of urea", 2.8011, 0.0),
        ("mmol/L of magnesium", 2.4305, 0.0),
        ("umol/L of creatinine", 0.0113122, 0.0),
        ("umol/L of bilirubin", 0.0584795, 0.0),
    ],
    "mmol/L": [("mg/dL of glucose", 0.0555074, 0.0), ("mg/dL of lactate", 0.111012, 0.0)],
    "g/dL": [("g/L", 0.1, 0.0)],
    "%": [("1", 100.0, 0.0)],
    "1": [("%", 0.01, 0.0)],
    "kg": [("[lb_av]", 0.45359237, 0.0), ("g", 0.001, 0.0)],
    "cm": [("m", 100.0, 0.0), ("[in_i]", 2.54, 0.0)],
    "m": [("[ft_i]", 0.3048, 0.0), ("cm", 0.01, 0.0)],
    "s": [("ms", 0.001, 0.0)],
    "ms": [("s", 1000.0, 0.0)],
}
"""Unit (UCUM) -> others it is taken for, and what turns a value in them into the unit: factor and what is added."""
_TRAINED, _SPAN = 20, np.float32(64.0)
_FAR, _NEAR = np.float32(8.0), np.float32(4.0)
"""Mean deviations that a value lies away, and its conversion at most."""
_FINEST = np.float32(0.005)
"""Of the level: deviations are not taken for smaller."""
_ROWS = 2
"""Values in a row that read as the same unit: two periods. One would do, but for a false alarm in 582 days of stays."""


@dataclass(frozen=True, slots=True)
class Units:
    """The conversions of one layout's signals.

    Attributes:
        names: of each signal the units it may be taken for.
        factor_SC, added_SC: NaN where a signal has fewer.
    """

    names: Sequence[Sequence[str]]
    factor_SC: Float64
    added_SC: Float64

    @classmethod
    def of(cls, units: Sequence[str]) -> "Units":
        """The conversions of signals in these units."""
        found = [_CONVERSIONS.get(unit, ()) for unit in units]
        most = max(map(len, found), default=0)
        table = np.full((2, len(units), most), np.nan)
        for signal, others in enumerate(found):
            for place, (_, factor, added) in enumerate(others):
                table[:, signal, place] = factor, added
        return cls([[name for name, _, _ in others] for others in found], *table)

    def initial(self) -> dict[str, Field]:
        """State of an entity never seen."""
        shape = (1, len(self.names))
        return {
            "level": np.zeros(shape, dtype=np.float32),
            "spread": np.zeros(shape, dtype=np.float32),
            "values": np.zeros(shape, dtype=np.int16),
            "unit": np.full(shape, -1, dtype=np.int8),
            "unit_run": np.zeros(shape, dtype=np.int8),
        }

    def changed(self, state: dict[str, Field], value_nS: Float64, present_nS: Bool) -> Bool:
        """See the values; which signals read as another unit, `state["unit"]` of their names, [n, S]."""
        if not self.factor_SC.shape[1]:
            return np.zeros_like(present_nS)
        value_nS = np.where(present_nS, value_nS, state["level"]).astype(np.float32)
        spread_nS = np.maximum(state["spread"], _FINEST * np.abs(state["level"]))
        away_nS = np.abs(value_nS - state["level"])
        read_nSC = value_nS[..., None] * self.factor_SC + self.added_SC
        near_nSC = np.abs(read_nSC - state["level"][..., None]) <= (_NEAR * spread_nS)[..., None]
        other_nS = np.where(near_nSC.any(axis=-1), near_nSC.argmax(axis=-1), -1)
        reads_nS = present_nS & (state["values"] >= _TRAINED) & (away_nS > _FAR * spread_nS) & (other_nS >= 0)
        again_nS = reads_nS & (other_nS == state["unit"])
        run_nS = np.where(again_nS, np.minimum(state["unit_run"], 100) + 1, np.where(reads_nS, 1, 0))
        state["unit_run"] = np.where(present_nS, run_nS, state["unit_run"]).astype(np.int8)
        state["unit"] = np.where(reads_nS, other_nS, state["unit"]).astype(np.int8)
        _follow(state, value_nS, present_nS & ~reads_nS)
        changed_nS: Bool = state["unit_run"] >= _ROWS
        return changed_nS


def _follow(state: dict[str, Field], value_nS: Field, told_nS: Bool) -> None:
    """Level and mean deviation, which no single value moves far once they are known."""
    count_nS = np.where(told_nS, np.minimum(state["values"], 9999) + 1, state["values"]).astype(np.int16)
    rate_nS = np.maximum(np.float32(1.0) / np.maximum(count_nS, 1), np.float32(1.0) / _SPAN) * told_nS
    move_nS = value_nS - state["level"]
    most_nS = np.maximum(state["spread"], _FINEST * np.abs(state["level"])) * _FAR
    move_nS = np.where(count_nS > _TRAINED, np.clip(move_nS, -most_nS, most_nS), move_nS).astype(np.float32)
    state["level"] = (state["level"] + rate_nS * move_nS).astype(np.float32)
    away_nS = np.where(count_nS > 1, np.abs(move_nS), 0.0).astype(np.float32)
    state["spread"] = (state["spread"] + rate_nS * (away_nS - state["spread"])).astype(np.float32)
    state["values"] = count_nS
