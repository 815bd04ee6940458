"""Labelled pieces: an entity's rows together with what someone said of them.

R rows of a piece, K state and event tasks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.label import Label
from schemas.observation import Field, Float64, Int64, Partition

Said = tuple[Label, Int64]
"""A label and the rows of a piece that it is about."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One entity's rows, from a blank state, and what is known of them now.

    Attributes:
        values: raw units, [R, S].
        time_ms: [R].
        faulty: 1.0 faulty, 0.0 sound, NaN unknown or taught before, [R].
        classes: of each state and event task, -1 unknown or taught before, [R, K].
        partition: where the rows came from.
        offsets: first offset and the one after the last.
        vectors: modality -> frames or embeddings, [R, ...].
        labels: what was told, each with the rows that it teaches.
        source: who told all of it.
        weight: how many rows it teaches.
    """

    values: Float64
    time_ms: Int64
    faulty: Float64
    classes: Int64
    partition: Partition
    offsets: tuple[int, int]
    vectors: Mapping[str, Field] = field(default_factory=dict)
    labels: tuple[Said, ...] = ()
    source: str = ""
    weight: int = 0
