"""Levels that hardly adapt: right on steady signals, whatever their offset, and not taught by faults."""

import numpy as np
import pytest

from scorer import level


def deviations(values_NS: np.ndarray) -> np.ndarray:
    """Of one entity, row by row, [N, S]."""
    n, s = values_NS.shape
    present = np.isfinite(values_NS)
    last, change = np.full(s, np.nan), np.zeros((n, s), dtype=np.float32)
    for row in range(n):
        change[row] = np.nan_to_num(values_NS[row] - last)
        last = np.where(present[row], values_NS[row], last)
    seen = np.maximum(np.cumsum(present, axis=0), 1).astype(np.float32)
    return level.deviations(change, present, seen, np.zeros(s, dtype=bool), (1,) * n, level.initial((1, s)))


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 2))


@pytest.mark.parametrize("offset", [0.0, -40.0, 1e6])
def test_of_a_steady_signal_they_are_standard_whatever_its_offset_and_scale(offset: float) -> None:
    found = deviations(offset + 3.0 * noise(3_000))[1_000:]
    assert found.std(axis=0) == pytest.approx([1.0, 1.0], abs=0.06)
    assert found.mean(axis=0) == pytest.approx([0.0, 0.0], abs=0.06)


def test_a_fault_of_hundreds_of_rows_stays_far_away_and_what_follows_is_ordinary() -> None:
    values = noise(3_000)
    values[2_000:2_400, 0] += 8.0
    found = deviations(values)
    assert found[2_000:2_100, 0].min() > 4.0
    assert found[2_300:2_400, 0].mean() > 3.0
    assert abs(found[2_400:, 0].mean()) < 1.0
    np.testing.assert_array_equal(found[:, 1], deviations(noise(3_000))[:, 1])


def test_what_never_moved_and_moves_is_as_far_as_is_told_apart() -> None:
    values = np.full((500, 1), 7.0)
    values[400] = 7.001
    found = deviations(values)
    assert not found[:400].any()
    assert found[400, 0] == level.LARGEST


def test_an_absent_value_is_no_deviation_and_teaches_nothing() -> None:
    values = noise(1_000)
    kept = np.arange(1_000) != 600
    with_gap = values.copy()
    with_gap[600] = np.nan
    found = deviations(with_gap)
    assert not found[600].any()
    np.testing.assert_allclose(found[kept], deviations(values[kept]), atol=1e-4)
