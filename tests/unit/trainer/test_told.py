"""What labels taught a step comes back as it was written, but for who said it."""

import numpy as np

from schemas.label import Label
from schemas.observation import Partition
from trainer.checkpoint import packed, unpacked
from trainer.piece import Piece
from trainer.told import read, written


def piece(first):
    rows = 3
    return Piece(
        values=np.full((rows, 2), 0.1 + first, dtype=np.float32).astype(np.float64),
        time_ms=1_000 * np.arange(first, first + rows),
        faulty=np.array([0.0, np.nan, 1.0]),
        classes=np.array([[0], [-1], [1]]),
        partition=Partition("ward", 1),
        offsets=(first, first + rows),
        vectors={"camera": np.ones((rows, 4), dtype=np.float32)},
        labels=((Label("anna", "death", None, 1, None, "dr-b"), np.arange(rows)),),
        source="dr-b",
        weight=rows,
    )


def test_pieces_come_back_and_one_that_several_steps_were_taught_is_kept_once():
    old, new = piece(0), piece(8)
    kept = packed(written({5: ([old], []), 7: ([new], [old])}))
    told = read(unpacked(kept))
    assert list(told) == [5, 7]
    assert told[7][1][0] is told[5][0][0]
    for before, after in ((old, told[5][0][0]), (new, told[7][0][0])):
        for name in ("values", "time_ms", "faulty", "classes"):
            np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
            assert getattr(after, name).dtype == getattr(before, name).dtype
        np.testing.assert_array_equal(after.vectors["camera"], before.vectors["camera"])
        assert (after.partition, after.offsets) == (before.partition, before.offsets)


def test_who_said_it_is_not_written():
    kept = packed(written({5: ([piece(0)], [])}))
    assert b"dr-b" not in kept
    assert b"anna" not in kept
