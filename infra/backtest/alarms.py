"""Alarms against the budget; and those of a score that is not the monitor's, through the very same stages.

n rows in stream order.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from infra.backtest.figures import number
from schemas.alert import Change
from schemas.alerting import AlertSettings, Severity
from schemas.budget import as_written
from schemas.observation import Float64, Int64, Partition
from scorer.stages.finding import Finding, Memory
from scorer.stages.pipeline import AlertPipeline, stages_of

_SHARES = 24
"""Thresholds tried, by the share of rows that reach them, each about a third more than the one before."""


@dataclass(frozen=True, slots=True)
class Alarms:
    """Raises alarms of scores.

    Attributes:
        settings: the monitor's.
        entity: of each row, as a number, [n].
        place: of each row among its entity's, [n].
    """

    settings: AlertSettings
    entity: Int64
    place: Int64

    def opened(self, score_n: Float64, threshold: float) -> Int64:
        """Rows at which an alarm opens; NaN raises none."""
        stages = stages_of(self.settings)
        memory: dict[int, Memory] = {}
        reached_n = score_n >= threshold
        looked_at = np.flatnonzero(np.isin(self.entity, self.entity[reached_n]) & ~np.isnan(score_n))
        found = []
        for row in looked_at.tolist():
            mine = memory.setdefault(int(self.entity[row]), Memory(0, 0, 0, 0, 0, 0.0, 0, 0, 0.0, 0))
            rank = Severity.WARNING.rank if reached_n[row] else 0
            finding = Finding(int(self.place[row]), 0, rank, float(score_n[row]), steered=False)
            verdicts = (stage(finding, mine) for stage in stages)
            decision = next(verdict for verdict in verdicts if verdict is not None)
            if decision.change is Change.OPENED:
                found.append(row)
        return np.array(found, dtype=np.int64)

    def as_many(self, score_n: Float64, wanted: int) -> Int64:
        """Alarms at the highest threshold tried that raises at least `wanted`, evenly thinned to as many.

        Where no threshold raises so many, those of the lowest.
        """
        known = np.sort(score_n[~np.isnan(score_n)])[::-1]
        if not wanted or not len(known):
            return np.empty(0, dtype=np.int64)
        found = np.empty(0, dtype=np.int64)
        for share in np.geomspace(min(wanted / len(known), 1.0), 1.0, _SHARES):
            found = self.opened(score_n, float(known[min(int(share * len(known)), len(known) - 1)]))
            if len(found) >= wanted:
                break
        return found[np.linspace(0, len(found) - 1, min(wanted, len(found))).round().astype(np.int64)]


def budgets_of(pipeline: AlertPipeline, partition: Partition) -> dict[str, Any]:
    """`budget` of the report: of each that is kept, alarms of every kind, `asked` and `achieved`, in `asked`'s span.

    `always` of them no budget could hold back. And by task or rule the rows whose finding raised nothing, being worth
    less than an alarm cost.
    """
    if pipeline.budgets is None:
        return {}
    told = {
        name: {"asked": as_written(name, each.asked), "achieved": None if each.rate is None else number(each.rate)}
        | {"alarms": each.alarms, "always": each.always}
        | {"off": None if each.rate is None else number(each.rate / each.asked.alarms - 1.0)}
        for name, each in pipeline.budgets.achieved(partition).items()
    }
    held_back = {name: count for name, count in pipeline.held_back.items() if count}
    return {"budget": told | {"held_back": held_back}}
