"""Class probabilities against the classes that came, and which class it was that came.

N rows, C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from infra.metrics.anomaly import auroc
from schemas.observation import Float64, Int64

_LEAST = 1e-7
"""Least probability that the logarithm sees: what a float32 softmax can tell from 0."""


@dataclass(frozen=True, slots=True)
class StateScores:
    """NaN where there is no row.

    Attributes:
        accuracy: share of rows whose likeliest class came.
        balanced_accuracy: the same among the rows of each class, averaged over the classes that came.
        log_loss: mean -log of the probability given to the class that came, nats.
        auroc: of each class against the others, averaged over the classes for which it is defined.
    """

    accuracy: float
    balanced_accuracy: float
    log_loss: float
    auroc: float


def score_states(probability_NC: Float64, came_N: Int64) -> StateScores:
    """Judge probabilities; `came_N` holds indices of classes."""
    if not len(came_N):
        return StateScores(np.nan, np.nan, np.nan, np.nan)
    right_N = probability_NC.argmax(axis=1) == came_N
    given_N = np.take_along_axis(probability_NC, came_N[:, None], axis=1)[:, 0]
    areas = np.array([auroc(probability_NC[:, c], came_N == c) for c in range(probability_NC.shape[1])])
    known = areas[np.isfinite(areas)]
    return StateScores(
        accuracy=float(right_N.mean()),
        balanced_accuracy=float(np.mean([right_N[came_N == c].mean() for c in np.unique(came_N)])),
        log_loss=float(-np.log(np.clip(given_N, _LEAST, 1.0)).mean()),
        auroc=float(known.mean()) if len(known) else np.nan,
    )


def classes_of(score_N: Float64, cuts: Sequence[float]) -> Int64:
    """Class of each score: how many cuts it reaches; -1 where it is NaN, [N]."""
    return np.where(np.isnan(score_N), -1, np.searchsorted(np.array(cuts), score_N, side="right"))


def worst_ahead(score_N: Float64, entity_N: Int64, within: int) -> Float64:
    """The highest score among the entity's next `within` rows, [N].

    NaN where none of them has a score, or where the entity has fewer rows left: the worst may be still to come.

    Args:
        score_N: NaN = unknown; rows in time order within each entity, entities may be interleaved.
        entity_N: the entity of each row.
        within: how many rows ahead.
    """
    order = np.argsort(entity_N, kind="stable")
    sorted_N, score = entity_N[order], score_N[order]
    worst_N = np.full(len(score), np.nan)
    for k in range(1, within + 1):
        same = np.flatnonzero(sorted_N[k:] == sorted_N[:-k])
        worst_N[same] = np.fmax(worst_N[same], score[same + k])
    complete_N = np.zeros(len(score), dtype=np.bool_)
    complete_N[: max(len(score) - within, 0)] = sorted_N[within:] == sorted_N[:-within]
    found_N = np.empty_like(worst_N)
    found_N[order] = np.where(complete_N, worst_N, np.nan)
    return found_N
