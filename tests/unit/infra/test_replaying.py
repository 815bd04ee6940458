"""The way to a version, out of the logs of all ranks."""

from infra.checkpoints import Checkpoint
from infra.replaying import _way


def checkpoint(number: int, step: int, parent: int | None, log: list) -> Checkpoint:
    words = {"generation": 1, "ranks": 2, "events": 0, "version": 1, "folder": "", "files": {}, "offsets": {}}
    return Checkpoint(id=number, step=step, parent=parent, log=log, **words)


def test_rows_that_one_rank_took_after_the_step_that_published_are_no_step_of_the_way() -> None:
    base = checkpoint(1, 4, None, [[], []])
    steps = [[5, [[0, 0, 8]], None, None], [6, [], 2, None]]
    later = [[6, [[0, 8, 12]], None, None]]
    after = checkpoint(2, 6, 1, [steps + later, [[5, [], None, None], [6, [[1, 0, 3]], 2, None]]])
    found, then, (one, other) = _way([after, base], 2)
    assert (found, then, len(one), len(other)) == (base, after, 2, 2)
    assert [entry[0] for entry in one] == [entry[0] for entry in other] == [5, 6]
