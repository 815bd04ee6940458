"""NEWS2 (Royal College of Physicians, National Early Warning Score (NEWS) 2, 2017, chart 1), both SpO2 scales.

N rows, S signals, V vital signs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from schemas.alert import Taken
from schemas.layout import Layout
from schemas.observation import Bool, Float64
from schemas.rule import Rule
from trainer.rule_inputs import Known, taken

_STALE_SECONDS = 24 * 3600.0
"""A vital sign last seen longer ago counts as missing. NEWS2 asks for a full set at least every 12 hours at score 0."""
_ROOM_AIR = 0.21


@dataclass(frozen=True, slots=True)
class Bands:
    """One vital sign's points: `points_of[i]` up to and including `upper[i]`, the last above all of them.

    `per_unit`: resolution of the chart, steps per unit; 0 = values are not rounded.
    """

    upper: tuple[float, ...]
    points_of: tuple[float, ...]
    per_unit: float = 1.0

    def points(self, value: Float64) -> Float64:
        """Points of each value; NaN counts as above all bounds and must be masked by the caller."""
        steps = np.rint(value * self.per_unit) if self.per_unit else value
        return np.array(self.points_of)[np.searchsorted(np.array(self.upper), steps, side="left")]


NEWS2_BANDS = {
    "respiratory_rate": Bands((8, 11, 20, 24), (3, 1, 0, 2, 3)),
    "spo2": Bands((91, 93, 95), (3, 2, 1, 0)),
    "supplemental_oxygen": Bands((_ROOM_AIR,), (0, 2), per_unit=0.0),
    "systolic_bp": Bands((90, 100, 110, 219), (3, 2, 1, 0, 3)),
    "heart_rate": Bands((40, 50, 90, 110, 130), (3, 1, 0, 1, 2, 3)),
    "consciousness": Bands((14,), (3, 0)),
    "temperature": Bands((350, 360, 380, 390), (3, 1, 0, 1, 2), per_unit=10.0),
}
"""Vital -> points, in the chart's steps; SpO2 on scale 1."""
_SCALE2_ON_AIR = Bands((83, 85, 87), (3, 2, 1, 0))
_SCALE2_ON_OXYGEN = Bands((83, 85, 87, 92, 94, 96), (3, 2, 1, 0, 1, 2, 3))


class News2:
    """National Early Warning Score 2.

    Sums the bands of the last known vitals; one never seen or older than 24 hours counts 0. Values are rounded to
    the chart's resolution (whole units, temperature in tenths of a degree Celsius). `consciousness` is the Glasgow
    coma scale: below 15 counts as not alert. `supplemental_oxygen` is the inspired fraction or a 0/1 flag. A signal
    that says the SpO2 scale was prescribed, and stands until another value comes; where it never came it is scale 1.
    """

    lasts: ClassVar[bool] = True

    def __init__(self, rule: Rule, layout: Layout) -> None:
        self._columns = {vital: layout.index[signal] for vital, signal in rule.inputs.items()}
        self._scale = rule.spo2_scale
        self._scale_column = layout.index[self._scale] if isinstance(self._scale, str) else None

    def score(self, known: Known) -> Float64:
        """The aggregate score, 0..20, [N]."""
        observed = ~np.isnan(known.value[:, list(self._columns.values())]).all(axis=1)
        return np.where(observed, self._points(known.last, known.age).sum(axis=0), np.nan)

    def taken(self, last_S: Float64, age_S: Float64, remembered_Q: Float64) -> Sequence[tuple[int, Taken]]:  # noqa: ARG002
        """Each vital sign's last value and its points, which add up to the score; the signal that says the scale."""
        points_V = self._points(last_S[None], age_S[None])[:, 0]
        vitals = [
            (c, taken(last_S[c], age_S[c], float(points)) if age_S[c] <= _STALE_SECONDS else Taken(None, None))
            for c, points in zip(self._columns.values(), points_V, strict=True)
        ]
        scale = self._scale_column
        return vitals if scale is None else [*vitals, (scale, taken(last_S[scale], age_S[scale]))]

    def _points(self, last_NS: Float64, age_NS: Float64) -> Float64:
        """Of each vital sign, 0 where it is missing, [V, N]."""
        points_VN = np.empty((len(self._columns), len(last_NS)))
        for place, (vital, column) in enumerate(self._columns.items()):
            points_N = NEWS2_BANDS[vital].points(last_NS[:, column])
            if vital == "spo2" and self._scale != 1:
                points_N = self._on_scale2(last_NS, age_NS, points_N)
            points_VN[place] = np.where(age_NS[:, column] <= _STALE_SECONDS, points_N, 0.0)
        return points_VN

    def _on_scale2(self, last_NS: Float64, age_NS: Float64, scale1_N: Float64) -> Float64:
        oxygen, spo2_N = self._columns["supplemental_oxygen"], last_NS[:, self._columns["spo2"]]
        on_oxygen_N: Bool = (last_NS[:, oxygen] > _ROOM_AIR) & (age_NS[:, oxygen] <= _STALE_SECONDS)
        scale2_N = np.where(on_oxygen_N, _SCALE2_ON_OXYGEN.points(spo2_N), _SCALE2_ON_AIR.points(spo2_N))
        return (
            scale2_N
            if self._scale_column is None
            else np.where(last_NS[:, self._scale_column] == 2, scale2_N, scale1_N)
        )
