from collections import Counter

import numpy as np

from schemas.label import Label
from schemas.observation import Partition
from trainer.piece import Piece
from trainer.replay import Replay


def piece(number: int, *values: int, source: str = "anna") -> Piece:
    """One row of one signal; `number` tells it from others."""
    labels = tuple(
        (Label("0", "wear", place, value, None, source), np.array([0])) for place, value in enumerate(values)
    )
    nothing = np.zeros((1, 0))
    return Piece(
        nothing, np.array([number]), nothing, nothing, Partition("", 0), (0, 1), labels=labels, source=source, weight=1
    )


def values_of(replay: Replay) -> Counter[int]:
    return Counter(label.value for each in replay.held for label, _ in each.labels)


def test_a_rare_class_keeps_its_room_though_many_of_others_come():
    replay = Replay(20, 8, np.random.default_rng(0))
    for number in range(2000):
        replay.add(piece(number, int(number % 250 == 0)), 0)
    assert values_of(replay) == {0: 12, 1: 8}


def test_classes_that_are_all_common_share_the_room():
    replay = Replay(20, 8, np.random.default_rng(0))
    for number in range(2000):
        replay.add(piece(number, int(number % 4 == 0)), 0)
    assert set(values_of(replay).values()) == {10}


def test_what_tells_of_two_classes_is_neither_of_one():
    replay = Replay(12, 8, np.random.default_rng(0))
    for number in range(600):
        replay.add(piece(number, *[(0,), (1,), (0, 1)][number % 3]), 0)
    told = Counter(tuple(label.value for label, _ in each.labels) for each in replay.held)
    assert min(told[stratum] for stratum in ((0,), (1,), (0, 1))) >= 3


def test_a_new_regime_does_not_push_the_earlier_one_out():
    replay = Replay(20, 8, np.random.default_rng(0))
    for number in range(2000):
        replay.add(piece(number, 0), int(number >= 100))
    earlier = Counter(int(each.time_ms[0]) < 100 for each in replay.held)
    assert min(earlier[True], earlier[False]) >= 9


def test_of_one_class_all_that_came_are_as_likely_to_be_held():
    held = np.zeros(60)
    for seed in range(2000):
        replay = Replay(12, 8, np.random.default_rng(seed))
        for number in range(60):
            replay.add(piece(number, 0), 0)
        held[[int(each.time_ms[0]) for each in replay.held]] += 1
    assert abs(held / 2000 - 0.2).max() < 0.04


def test_of_two_common_classes_old_pieces_are_as_likely_to_be_held_as_new_ones():
    numbers = []
    for seed in range(300):
        replay = Replay(12, 8, np.random.default_rng(seed))
        for number in range(120):
            replay.add(piece(number, number % 2), 0)
        numbers += [int(each.time_ms[0]) for each in replay.held]
    assert abs(np.mean(numbers) - 59.5) < 2.5


def test_what_is_told_of_many_kinds_changes_all_over():
    replay = Replay(20, 8, np.random.default_rng(0))
    for number in range(200):
        replay.add(piece(number, number), 0)
    assert sum(int(each.time_ms[0]) < 20 for each in replay.held) < 10


def test_a_class_whose_source_was_excluded_finds_room_again():
    replay = Replay(100, 8, np.random.default_rng(0))
    for number in range(3_050):
        replay.add(piece(number, int(number >= 3_000), source="anna" if number >= 3_000 else "mallory"), 0)
    replay.drop([each for each in replay.held if each.source == "mallory"])
    for number in range(5_000):
        replay.add(piece(number, int(number < 50 or number % 2)), 0)
    assert min(values_of(replay)[0], values_of(replay)[1]) >= 45


def test_what_is_dropped_makes_room():
    replay = Replay(4, 8, np.random.default_rng(0))
    pieces = [piece(number, number % 2) for number in range(4)]
    for each in pieces:
        replay.add(each, 0)
    replay.drop(pieces[:3])
    replay.add(piece(4, 1), 0)
    assert [int(each.time_ms[0]) for each in replay.held] == [3, 4]
    assert len(replay.beside([])) == 2
