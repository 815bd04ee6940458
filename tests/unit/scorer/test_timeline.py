"""Replay: silence before the committed offset, and the versions and strictness that the swap log names."""

from dataclasses import replace

import numpy as np
import pytest

from schemas.observation import Partition
from schemas.protocols import Position, Swap
from scorer.timeline import Timeline, Timelines
from tests.laws.ward import batch


def test_replayed_rows_are_scored_by_the_versions_that_served_them_and_as_strictly() -> None:
    swaps = (Swap(0, 1), Swap(10, 2, {"odd": 0.3}), Swap(20, 5, {"odd": 0.2, "soon": 0.5}))
    timeline = Timeline.resume(Position(epoch=3, committed=30, snapshots=(), swaps=swaps))
    versions, strictness = timeline.served(np.array([0, 9, 10, 19, 20, 29, 30, 31]), 7, {"odd": -0.1})
    assert versions.tolist() == [1, 1, 2, 2, 5, 5, 7, 7]
    assert {task: moved_N.tolist() for task, moved_N in strictness.items()} == {
        "odd": [0.0, 0.0, 0.3, 0.3, 0.2, 0.2, -0.1, -0.1],
        "soon": [0.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.0, 0.0],
    }


def test_partitions_of_a_batch_may_stand_elsewhere_in_their_logs() -> None:
    wards = Partition("ward", 0), Partition("ward", 1)
    timelines = Timelines()
    timelines.of[wards[0]] = Timeline.resume(Position(1, 2, (), (Swap(0, 1, {"soon": 0.4}),)))
    timelines.of[wards[1]] = Timeline.resume(Position(1, 0, (), ()))
    rows = batch(np.array([0, 1, 0]), np.full((3, 7), 80.0), np.arange(3) * 1000)
    rows = replace(rows, partition=np.array([0, 1, 0]), offset=np.array([1, 0, 2]), partitions=wards)
    versions, strictness = timelines.served(rows, 3, {"odd": 0.1})
    assert versions.tolist() == [1, 3, 3]
    told = {task: moved_N.tolist() for task, moved_N in strictness.items()}
    assert told == {"soon": [0.4, 0.0, 0.0], "odd": [0.0, 0.1, 0.1]}


def test_a_partition_never_committed_replays_nothing() -> None:
    timeline = Timeline.resume(Position(epoch=1, committed=-2, snapshots=(), swaps=()))
    assert (timeline.next_offset, timeline.served(np.array([0, 1]), 4, {})[0].tolist()) == (0, [4, 4])


@pytest.mark.parametrize(
    ("committed", "logged", "served"),
    [(4, 0, [1, 1, 2, 2, 9, 9]), (0, 4, [1, 1, 2, 2, 9, 9]), (0, 0, [9, 9, 9, 9, 9, 9])],
)
def test_the_log_of_swaps_says_which_version_scores_as_far_as_it_goes(committed, logged, served):
    timeline = Timeline.resume(Position(1, committed, (), (Swap(0, 1), Swap(2, 2)), logged))
    assert timeline.served(np.arange(6), 9, {})[0].tolist() == served
