"""The way to a version, out of the logs of all ranks."""

import pytest

from infra.checkpoints import SHARED, Checkpoint
from infra.replaying import Replayed, _logs, _way, beside
from schemas.errors import InputError


def checkpoint(number: int, step: int, parent: int | None, log: list, *, whole: bool = True) -> Checkpoint:
    words = {"generation": 1, "ranks": 2, "events": 0, "version": 1, "folder": "", "offsets": {}}
    return Checkpoint(id=number, step=step, parent=parent, log=log, files={SHARED: ""} if whole else {}, **words)


def logged(number: int, step: int, parent: int) -> Checkpoint:
    """The log of two ranks' step, which published the version of that number."""
    log = [[[step, [[rank, 0, step]], None, None]] for rank in range(2)]
    return checkpoint(number, step, parent, log, whole=False).publishing(number)


def test_rows_that_one_rank_took_after_the_step_that_published_are_no_step_of_the_way() -> None:
    base = checkpoint(1, 4, None, [[], []])
    steps = [[5, [[0, 0, 8]], None, None], [6, [], 2, None]]
    later = [[6, [[0, 8, 12]], None, None]]
    after = checkpoint(2, 6, 1, [steps + later, [[5, [], None, None], [6, [[1, 0, 3]], 2, None]]])
    way = _way([after, base], 2)
    assert way == [base, after]
    one, other = _logs(way[1:], 2)
    assert [entry[0] for entry in one] == [entry[0] for entry in other] == [5, 6]


def test_the_way_to_a_version_is_its_own_where_trainers_went_on_from_the_checkpoint_before() -> None:
    base = checkpoint(1, 4, None, [[], []])
    lost = [logged(2, 5, 1), logged(3, 6, 2)]
    again = [checkpoint(4, 4, 1, [[], []]), logged(5, 5, 4)]
    kept = [base, *lost, *again]
    assert _way(kept, 3) == [base, *lost]
    assert _way(kept, 5) == again
    assert [[entry[:3] for entry in log] for log in _logs(lost, 3)] == [
        [[5, [[rank, 0, 5]], 2], [6, [[rank, 0, 6]], 3]] for rank in range(2)
    ]


def test_a_version_to_which_no_way_is_kept_is_named_with_those_that_there_are() -> None:
    base = checkpoint(1, 4, None, [[], []])
    with pytest.raises(InputError, match=r"model version 3: no checkpoint before it is kept; expected one of 2$"):
        _way([base, logged(2, 5, 1), logged(3, 6, 9)], 3)


@pytest.mark.parametrize(
    ("now", "same"),
    [
        ({2: "a", 3: "b"}, True),
        ({2: "a", 3: "c"}, False),
        ({2: "a"}, False),
        ({}, False),
        ({2: "a", 3: "b", 0: "c"}, False),
    ],
)
def test_a_version_that_was_not_made_again_or_one_too_many_is_a_difference(now: dict[int, str], same: bool) -> None:
    published = beside({2: "a", 3: "b"}, now)
    assert [*published][-1] == 3
    assert Replayed(3, 4, 2, 9, 1, published).same is same


def test_where_nothing_was_made_nothing_is_the_same() -> None:
    assert not Replayed(3, 4, 0, 0, 1, {}).same
