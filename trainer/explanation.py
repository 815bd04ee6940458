"""What is asked of the network about one row, and the records of its answers.

R rows of the entity, the last one in question; S signals, M modalities, V of them with frames or vectors, K tasks.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from schemas.observation import Float64

TOLERANCE = 1e-2
"""Share of the change (of 1 where it is smaller) that integrated gradients may leave unexplained."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the last row.

    Attributes:
        task: place of the network's task: 0 the forecast, 1 the anomaly, then states and events.
        choice: of the forecast the target signal, of a state or event the class; of the anomaly nothing.
    """

    task: int
    choice: int = 0


@dataclass(frozen=True, slots=True)
class Gradients:
    """Integrated gradients (Sundararajan et al., 2017, section 3) from an entity of whom nothing was ever seen.

    Attributes:
        by_row_RS: attributed to what the network read of each signal at each row, its running statistics included, so
            that older rows also speak through newer ones.
        residual_S: to how far the last row lies from its forecast; 0 where the question does not look at it.
        vector_RV: to the frame or vector of each row, beyond the signals derived from it.
        change: answer at the rows minus answer at the baseline.
        gap: |sum of all attributions - change|: 0 is complete.
        points: on the path.
    """

    by_row_RS: Float64
    residual_S: Float64
    vector_RV: Float64
    change: float
    gap: float
    points: int

    @property
    def complete(self) -> bool:
        """Is the change explained to `TOLERANCE`?"""
        return self.gap <= TOLERANCE * max(abs(self.change), 1.0)


@dataclass(frozen=True, slots=True)
class Ablation:
    """Answer with everything minus answer with a part masked as missing, everything else computed anew.

    Attributes:
        modality_M, signal_S: masked in all rows.
        row_R: all signals of one row masked.
        cell_RS: one signal in one row; 0 where it had no value.
        vector_RV: one frame or vector in one row, with the signals derived from it; 0 where there was none.
        regions: modality -> each part of the last row's frame made grey, [G, G], top left first (occlusion: Zeiler and
            Fergus, 2014, section 4.2); none of a forecast, which stood before the frame came.
    """

    modality_M: Float64
    signal_S: Float64
    row_R: Float64
    cell_RS: Float64
    vector_RV: Float64
    regions: Mapping[str, Float64]


@dataclass(frozen=True, slots=True)
class Explained:
    """One question answered.

    Attributes:
        question: what was asked.
        answer: a logit, log odds, or expected change in typical changes.
        gradients, ablation: two ways to say what it hangs on.
        attention_M: of the task, over the modalities; `nothing` is what is left of 1.
        nothing: attention on the null token.
        agreement: rank correlation of attention with |ablation| over the modalities seen; None: fewer than three.
        tasks_K: how much the task looks at each task.
        gate: mean size of the gate that lets other tasks in, in [0, 1]; 0: none of them had a say.
        private: is the task answered by its private path? Then attention and other tasks have no part in the answer.
    """

    question: Question
    answer: float
    gradients: Gradients
    ablation: Ablation
    attention_M: Float64
    nothing: float
    agreement: float | None
    tasks_K: Float64
    gate: float
    private: bool
