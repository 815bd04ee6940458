from dataclasses import replace

import numpy as np
import pytest

from schemas.observation import Partition, Status
from tests.laws.ward import TOPIC, batch
from trainer.absurd import without_absurd


def rows():
    return batch(np.arange(6), np.ones((6, 7)), np.arange(6), first_offset=10)


@pytest.mark.parametrize("value", [1e30, -1e30, np.inf])
def test_rows_with_what_nothing_measures_are_marked_and_told_with_their_offsets(value):
    wild = rows()
    wild.values[[2, 4], 3] = value
    found, ranges = without_absurd(wild)
    assert (found.status.tolist(), ranges) == ([0, 0, Status.INVALID, 0, Status.INVALID, 0], {TOPIC: (12, 15)})


@pytest.mark.parametrize("value", [np.nan, 0.0, -1e15, 1e15])
def test_missing_and_large_values_are_measurements(value):
    sound = rows()
    sound.values[2, 3] = value
    assert without_absurd(sound) == (sound, {})


def test_each_partition_has_its_own_offsets():
    wild = replace(rows(), partition=np.array([0, 1] * 3), partitions=(TOPIC, Partition("vitals", 1)))
    wild.values[[1, 2]] = 1e30
    assert without_absurd(wild)[1] == {TOPIC: (12, 13), Partition("vitals", 1): (11, 12)}
