import numpy as np
import pytest

from schemas.layout import Layout
from schemas.monitor import Monitor
from tests.laws.ward import GATE, layout, stream
from trainer.inject import _FAULTS, Fault, follow, inject


@pytest.fixture
def window():
    return stream(16, 1, 0, missing=0.3)[1]


def test_exactly_the_rows_that_differ_are_called_faulty(window):
    for seed in range(200):
        broken, faulty = inject(window, layout(), np.random.default_rng(seed))
        differs = ((broken != window) & ~(np.isnan(broken) & np.isnan(window))).any(axis=1)
        assert np.array_equal(differs, faulty)


def test_missing_values_stay_missing_and_context_is_left_alone(window):
    for seed in range(100):
        broken, _ = inject(window, layout(), np.random.default_rng(seed))
        assert np.array_equal(np.isnan(broken), np.isnan(window))
        assert np.array_equal(broken[:, 6], window[:, 6], equal_nan=True)


def test_faulty_values_stay_plausible(window):
    low, high = np.array([signal.range for signal in layout().signals]).T
    for seed in range(200):
        broken, _ = inject(window, layout(), np.random.default_rng(seed))
        assert not ((broken < low) | (broken > high)).any()


def test_the_same_seed_breaks_the_same_way(window):
    one, other = (inject(window, layout(), np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one[0], other[0], equal_nan=True)


def test_the_input_is_left_as_it_was(window):
    before = window.copy()
    inject(window, layout(), np.random.default_rng(1))
    assert np.array_equal(before, window, equal_nan=True)


@pytest.mark.parametrize("values", [np.full((16, 7), np.nan), np.full((16, 7), 50.0)], ids=["empty", "constant"])
def test_a_window_without_a_course_is_not_broken(values):
    broken, faulty = inject(values, layout(), np.random.default_rng(0))
    assert np.array_equal(broken, values, equal_nan=True)
    assert not faulty.any()


@pytest.mark.parametrize("fault", Fault)
def test_every_kind_of_fault_changes_what_it_touches(fault):
    signal = np.random.default_rng(0).normal(size=16)
    rows = np.arange(4, 12)
    assert (_FAULTS[fault](signal, rows, np.random.default_rng(3)) != signal[rows]).any()


def test_frames_and_embeddings_follow_their_derived_signals():
    gate = Layout(Monitor.model_validate(GATE))
    rng = np.random.default_rng(0)
    vectors = {"camera": rng.integers(60, 190, (4, 3, 8, 12)).astype(np.uint8), "sound": np.full((4, 5), 2, np.float32)}
    light = vectors["camera"].reshape(4, -1) / 255
    values = np.column_stack([light.mean(1), light.std(1), np.full(4, 20**0.5), np.ones(4)])
    broken = values.copy()
    broken[1] = [values[1, 0] + 0.1, values[1, 1] / 2, 3 * 20**0.5, 1.0]
    broken[2, :3], values[2, :3] = np.nan, np.nan
    followed = follow(vectors, values, broken, gate)
    np.testing.assert_array_equal(followed["camera"][[0, 2, 3]], vectors["camera"][[0, 2, 3]])
    now = followed["camera"][1] / 255
    np.testing.assert_allclose([now.mean(), now.std(), followed["sound"][1, 0]], [*broken[1, :2], 6.0], atol=1e-3)
