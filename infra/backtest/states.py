"""How well state tasks foresaw the class that came, beside the class that stood and the share of each class.

The truth is the task's target: the worst score of its rule among the entity's next rows, once all of them came; a task
without one is not judged. N rows in input order, n rows in stream order, C classes.
"""

from typing import Any

import numpy as np
import pandas as pd

from infra.backtest.figures import Judged, number, numbers
from infra.backtest.table import ScoresTable
from infra.metrics.baselines import base_rates, same_class
from infra.metrics.forecast import last_known
from infra.metrics.state import StateScores, classes_of, score_states, worst_ahead
from schemas.observation import Float64, Int64


def judge_states(table: ScoresTable, stream_n: Int64, first: int) -> dict[str, Judged]:
    """Judge the rows of the stream from `first` on whose class is known."""
    entity_n = pd.factorize(table.entity[stream_n])[0].astype(np.int64)
    last_nK = last_known(table.rules[stream_n], entity_n)
    found = {}
    for place, task in enumerate(table.ruled):
        assert task.target is not None
        score_n = table.rules[stream_n, place]
        came_n = classes_of(worst_ahead(score_n, entity_n, task.target.within), task.target.cuts)
        # Before the rule has seen anything, the mildest class stands.
        now_n = np.maximum(classes_of(last_nK[:, place], task.target.cuts), 0)
        judged = np.flatnonzero(came_n[first:] >= 0) + first
        probability_nC = table.states[table.layout.states.index(task)][stream_n[judged]].astype(np.float64)
        found[task.name] = _judged(task.classes, probability_nC, came_n[judged], now_n[judged])
    return found


def _judged(classes: tuple[str, ...], probability_nC: Float64, came_n: Int64, now_n: Int64) -> Judged:
    share_nC = base_rates(came_n, len(classes))
    said = {"rows": len(came_n), "shares": dict(zip(classes, numbers(share_nC[:1].sum(axis=0)), strict=True))}
    standing = _plain(score_states(same_class(now_n, len(classes)), came_n))
    return Judged(
        _plain(score_states(probability_nC, came_n)) | said,
        {
            "persistence": standing | {"log_loss": None},  # a class without a doubt has none
            "base_rate": _plain(score_states(share_nC, came_n)),
        },
    )


def _plain(scores: StateScores) -> dict[str, Any]:
    return {name: number(getattr(scores, name)) for name in ("accuracy", "balanced_accuracy", "log_loss", "auroc")}
