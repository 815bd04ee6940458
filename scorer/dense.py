"""The dense score of several signals: high over the whole of a fault, where alerts want its onset.

Evidence of an entity's row: how far the signals stand from their long levels, lately; how far from what the others
explain, now and lately; and what alerts are made of, lately. Each goes through its own tail, so that none speaks more
often than another, and their 4-norm follows whichever speaks. The levels' counts in proportion to the root of how many
signals were observed, for so much steadier is a mean over them. Until an entity's own tails are worth something (300
rows count half), the evidence of alerts stands for itself. The fewer signals, the less is there to explain: the score
goes over to the evidence of alerts, half of it of the row itself.

N packed rows, E packed entities, S signals, K kinds of evidence.
"""

from dataclasses import dataclass

import numpy as np

from schemas.observation import Bool, Field
from schemas.prediction import Float32
from scorer.level import LARGEST
from scorer.recurrence import affine, total
from scorer.tail import Tail, judge_rows

_LATELY = 16.0
"""Rows that the averages look back."""
_KINDS = 4
_ALIKE = 8.0
"""Signals with which all evidence counts alike, and this score as much as the evidence of alerts."""
_TRUSTED = 300.0
"""Rows after which an entity's own tails count half."""
_FLOOR = 1e-4


def initial(e: int) -> dict[str, Field]:
    """State of entities never seen, [E, ...]."""
    tail = Tail.initial((e, _KINDS), (e, 1)).fields()
    return {"lately": np.zeros((e, 2), dtype=np.float32), **{f"dense.{name}": value for name, value in tail.items()}}


@dataclass(frozen=True, slots=True)
class Evidence:
    """Of each row.

    Attributes:
        level: deviations from the long level, 0 where absent, [N, S].
        unexplained: deviations given the others, 0 where absent, [N, S].
        alerting: what alerts are made of, [N].
        lingering: its moving quadratic mean, [N].
    """

    level: Float32
    unexplained: Float32
    alerting: Float32
    lingering: Float32


def dense(
    evidence: Evidence, present_NS: Bool, rows_N: Float32, waves: tuple[int, ...], state: dict[str, Field]
) -> Float32:
    """The score of every row, before it is learned, about -log10 p; rows without signals: undefined. [N].

    Args:
        evidence: of each row.
        present_NS: the row carries the signal.
        rows_N: the entity's rows that carried any, this one included.
        waves: sizes of the waves.
        state: changed in place.
    """
    any_N: Bool = np.logical_or.reduce(present_NS, axis=1)
    observed_N = np.maximum(total(present_NS.astype(np.float32)), np.float32(1.0))
    now_N2 = np.stack([_typical(evidence.level, observed_N), _typical(evidence.unexplained, observed_N)], axis=-1)
    rate_N1 = (np.maximum(np.float32(1.0 / _LATELY), np.float32(1.0) / np.maximum(rows_N, 1.0)) * any_N)[:, None]
    lately_N2 = affine(state["lately"], np.float32(1.0) - rate_N1, rate_N1 * now_N2, waves)
    found_NK = np.column_stack([lately_N2, now_N2[:, 1], evidence.lingering])
    tail = Tail(**{name: state[f"dense.{name}"] for name in Tail.__dataclass_fields__})
    surprise_NK = judge_rows(tail, np.log(found_NK + np.float32(_FLOOR)), any_N[:, None], waves)
    surprise_NK[:, 0] *= np.sqrt(observed_N / np.float32(_ALIKE))
    own_N = rows_N / (rows_N + np.float32(_TRUSTED))
    spoken_NK = np.column_stack([surprise_NK * own_N[:, None], evidence.lingering * (np.float32(1.0) - own_N)])
    whole_N = np.sqrt(np.sqrt(total(np.square(np.square(spoken_NK)))))
    prompt_N = np.sqrt((np.square(evidence.alerting) + np.square(evidence.lingering)) * np.float32(0.5))
    share_N = np.square(observed_N) / (np.square(observed_N) + np.float32(_ALIKE**2))
    score_N: Float32 = prompt_N + share_N * (whole_N - prompt_N)
    return score_N


def _typical(deviation_NS: Float32, observed_N: Float32) -> Float32:
    """Quadratic mean over the signals observed, [N]."""
    clipped_NS = np.clip(deviation_NS, np.float32(-LARGEST), np.float32(LARGEST))
    typical_N: Float32 = np.sqrt(total(np.square(clipped_NS)) / observed_N)
    return typical_N
