"""Which pieces each step was taught by labels, written down so that the steps can be taken again.

What was learned from rows is read from the log again. Labels came at a time of their own, and what is replayed of them
was drawn: so what came of both is kept instead, without who said it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from schemas.observation import Partition
from trainer.piece import Piece

Told = tuple[Sequence[Piece], Sequence[Piece]]
"""A step's fresh pieces, and those that were replayed beside them."""


def written(told: Mapping[int, Told]) -> dict[str, Any]:
    """Steps by number as tensors, numbers and text; a piece that several were taught stands there once."""
    pieces = {id(piece): piece for both in told.values() for each in both for piece in each}
    place = {name: number for number, name in enumerate(pieces)}
    steps = {step: [[place[id(piece)] for piece in each] for each in both] for step, both in told.items()}
    return {"pieces": [_plain(piece) for piece in pieces.values()], "steps": steps}


def read(state: Mapping[str, Any]) -> dict[int, Told]:
    """Steps that were `written`; of their pieces' labels is known what they taught alone."""
    pieces = [_piece(*plain) for plain in state["pieces"]]
    return {
        step: ([pieces[each] for each in fresh], [pieces[each] for each in replayed])
        for step, (fresh, replayed) in state["steps"].items()
    }


def bytes_of(piece: Piece) -> int:
    """About what it takes when written."""
    rest = piece.time_ms, piece.faulty, piece.classes, *piece.vectors.values()
    return piece.values.nbytes // 2 + sum(each.nbytes for each in rest)


def _plain(piece: Piece) -> tuple[Any, ...]:
    arrays = piece.values.astype(np.float32), piece.time_ms, piece.faulty, piece.classes
    vectors = {name: torch.from_numpy(vector) for name, vector in piece.vectors.items()}
    return (*map(torch.from_numpy, arrays), vectors, *piece.partition, *piece.offsets)


def _piece(*plain: Any) -> Piece:
    values, time_ms, faulty, classes = (each.numpy() for each in plain[:4])
    vectors = {name: vector.numpy() for name, vector in plain[4].items()}
    origin = Partition(*plain[5:7])
    return Piece(values.astype(np.float64), time_ms, faulty, classes, origin, tuple(plain[7:9]), vectors)
