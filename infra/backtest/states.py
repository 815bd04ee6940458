"""How well state tasks foresaw the class that came, beside the class that stood and the share of each class.

The truth is the task's target: the worst score of its rule among the entity's next rows, once all of them came; of a
task without one, its labels, where there are any. N rows in input order, n rows in stream order, C classes.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from infra.backtest.figures import Judged, number, numbers, unjudged
from infra.backtest.table import ScoresTable
from infra.metrics.baselines import base_rates, same_class
from infra.metrics.forecast import last_known
from infra.metrics.state import StateScores, classes_of, score_states, worst_ahead
from schemas.observation import Float64, Int64
from schemas.task import Target


def judge_states(table: ScoresTable, stream_n: Int64, first: int, labels: Mapping[str, Float64]) -> dict[str, Judged]:
    """Judge the rows of the stream from `first` on whose class is known.

    Args:
        table: the scores.
        stream_n: input row of each scored one.
        first: first place in the stream that is judged.
        labels: task that labels alone teach -> index of the class of each input row, NaN = none, [N].
    """
    entity_n = pd.factorize(table.entity[stream_n])[0].astype(np.int64)
    found = {}
    for task in table.layout.states:
        if task.target is not None:
            came_n, now_n = _by_rule(table.rules[stream_n, table.ruled.index(task)], entity_n, task.target)
        elif task.name in labels:
            came_n, now_n = _by_label(labels[task.name][stream_n], entity_n)
        else:
            found[task.name] = unjudged(f"no row is labelled, there is no column label.{task.name}")
            continue
        judged = np.flatnonzero(came_n[first:] >= 0) + first
        if not len(judged):
            found[task.name] = unjudged("the class that came is known of no row")
            continue
        probability_nC = table.states[table.layout.states.index(task)][stream_n[judged]].astype(np.float64)
        found[task.name] = _judged(task.classes, probability_nC, came_n[judged], now_n[judged])
    return found


def _by_rule(score_n: Float64, entity_n: Int64, target: Target) -> tuple[Int64, Int64]:
    """Class that came, -1 unknown, and class that stood: before the rule has seen anything, the mildest."""
    last_n = last_known(score_n[:, None], entity_n)[:, 0]
    came_n = classes_of(worst_ahead(score_n, entity_n, target.within), target.cuts)
    return came_n, np.maximum(classes_of(last_n, target.cuts), 0)


def _by_label(label_n: Float64, entity_n: Int64) -> tuple[Int64, Int64]:
    """Class that a row was labelled with, -1 none, and that of its entity's label before: the first class at first."""
    before_n = pd.Series(label_n).groupby(entity_n).transform(lambda each: each.ffill().shift())
    came_n, stood_n = (np.nan_to_num(each, nan=rest) for each, rest in ((label_n, -1.0), (before_n.to_numpy(), 0.0)))
    return came_n.astype(np.int64), stood_n.astype(np.int64)


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
