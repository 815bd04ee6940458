"""How far the live table says that trainers are behind: to the farthest end that any member knows."""

from typing import Any

from infra.progress import Seen


def shard(*ends: int) -> dict[str, Any]:
    return {"name": "shard", "events": sum(ends), "ends": dict(enumerate(ends))}


def trainer(read: dict[int, int], ends: dict[int, int]) -> dict[str, Any]:
    words = {"name": "trainer", "ranks": 1, "steps": 7, "losses": {}, "private": []}
    return words | {"read": read, "ends": ends}


def behind(*looks: list[dict[str, Any]]) -> int:
    """After the last of these looks."""
    seen = Seen("ward")
    for members in looks:
        seen.take(members, 0.5)
    return seen.behind


def test_trainers_are_behind_the_end_of_every_partition_whoever_knows_it() -> None:
    assert behind([shard(100, 40), trainer({0: 60, 1: 40}, {0: 90, 1: 45})]) == 40 + 5


def test_rows_that_came_since_a_trainer_last_spoke_count() -> None:
    halted = trainer({0: 60}, {0: 60})
    assert behind([shard(60), halted], [shard(500), halted]) == 440


def test_a_trainer_that_died_is_as_far_behind_as_what_it_had_read() -> None:
    assert behind([shard(60), trainer({0: 60}, {0: 60})], [shard(500)]) == 440


def test_a_trainer_that_goes_on_from_before_is_as_far_behind_as_that() -> None:
    assert behind([shard(60), trainer({0: 60}, {})], [shard(70), trainer({0: 20}, {})]) == 50


def test_of_two_that_speak_of_one_partition_the_one_that_read_less_counts() -> None:
    assert behind([shard(100), trainer({0: 30}, {}), trainer({0: 90}, {})]) == 70


def test_without_trainers_nobody_is_behind() -> None:
    assert behind([shard(100)]) == 0
