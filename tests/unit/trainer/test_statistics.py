import numpy as np
import pytest
import torch

from tests.laws.ward import layout
from trainer.rows import pack
from trainer.statistics import Statistic, Statistics

HR, RR, CLOSE = 0, 3, 5


def observe(column, series, seconds=60):
    """Statistics of one signal after each value of one entity's series (model-scale columns other than CLOSE)."""
    statistics = Statistics(layout())
    values = np.full((len(series), 7), np.nan)
    values[:, column] = series
    rows, order, _ = pack(
        np.zeros(len(series), dtype=np.int64), values, np.arange(len(series)) * seconds * 1000, layout()
    )
    observed = statistics.observe(statistics.initial(rows.waves[0]), rows)
    return observed, torch.from_numpy(order)


def state_after(column, series):
    return observe(column, series)[0].statistics_EFS[0, :, column]


@pytest.fixture
def series():
    return np.random.default_rng(0).normal(size=300).cumsum() + 80.0


def test_welford_gives_mean_and_variance(series):
    state = state_after(HR, series)
    np.testing.assert_allclose(
        [state[Statistic.MEAN], state[Statistic.VARIANCE]], [series.mean(), series.var()], rtol=1e-10
    )


def test_ends_count_and_time_are_kept(series):
    state = state_after(HR, series)
    wanted = {
        Statistic.COUNT: 300, Statistic.FIRST: series[0], Statistic.LAST: series[-1], Statistic.MAX: series.max(),
        Statistic.NEG_MIN: -series.min(), Statistic.SEEN: 299 * 60.0, Statistic.GAP: 60.0,
    }  # fmt: skip
    np.testing.assert_allclose([state[each] for each in wanted], list(wanted.values()), rtol=1e-12)


def test_exponential_averages_start_as_plain_means(series):
    fast, slow = series[0], series[0]
    for number, value in enumerate(series[1:], start=2):
        fast += max(1 / 4, 1 / number) * (value - fast)
        slow += max(1 / 16, 1 / number) * (value - slow)
    state = state_after(HR, series)
    np.testing.assert_allclose([state[Statistic.FAST], state[Statistic.SLOW]], [fast, slow], rtol=1e-12)


def test_the_mean_change_is_that_of_the_first_changes(series):
    changes = np.abs(np.diff(series[:100]))
    np.testing.assert_allclose(state_after(HR, series[:100])[Statistic.CHANGE], changes.mean(), rtol=1e-12)


def test_the_mean_forgets_after_its_memory():
    series = np.concatenate([np.zeros(2500), np.ones(2000)])
    assert state_after(RR, series)[Statistic.MEAN].item() == pytest.approx(1 - np.exp(-1), abs=0.01)


def test_the_first_row_has_a_scale_from_the_declared_range():
    observed, order = observe(HR, [80.0])
    assert observed.scale_NS[order, HR].item() == pytest.approx(0.02 * 300)


def test_without_a_declared_range_the_first_scale_comes_from_the_value():
    observed, order = observe(RR, [50.0])
    assert observed.scale_NS[order, RR].item() == pytest.approx(0.02 * 50)


@pytest.mark.parametrize("column", [HR, RR])
def test_the_scale_is_soon_the_mean_change_whatever_the_prior(column, series):
    observed, order = observe(column, series)
    ratio = observed.scale_NS[order[-1], column].item() / np.abs(np.diff(series[-257:])).mean()
    assert 0.9 < ratio < 1.15


@pytest.mark.parametrize("value", [0.0, 80.0, 1e-9])
@pytest.mark.parametrize("column", [HR, RR])
def test_a_constant_series_keeps_a_scale_above_zero(column, value):
    observed, order = observe(column, np.full(500, value))
    assert observed.scale_NS[order, column].min() > 0
    assert observed.spread_NS[order, column].min() > 0


def test_before_is_the_last_value_of_the_rows_before():
    observed, order = observe(HR, [80.0, np.nan, 82.0])
    assert observed.before_NS[order, HR].nan_to_num(-1.0).tolist() == [-1.0, 80.0, 80.0]
    assert observed.last_NS[order, HR].tolist() == [80.0, 80.0, 82.0]
    assert observed.age_NS[order, HR].tolist() == [0.0, 60.0, 0.0]


def test_a_signal_never_seen_is_infinitely_old_and_has_no_features():
    observed, order = observe(HR, [80.0])
    assert observed.age_NS[order, RR].item() == np.inf
    assert observed.features_GNS[:, order, RR].abs().max() == 0


def test_a_pause_is_measured_in_the_signals_own_gaps():
    values = np.full(40, 80.0)
    values[20:29] = np.nan
    observed, order = observe(HR, values)
    assert observed.pause_NS[order[19], HR].item() == pytest.approx(np.log1p(1.0))
    assert observed.pause_NS[order[28], HR].item() == pytest.approx(np.log1p(9.0))


@pytest.mark.parametrize("size", [1e-300, 1.0, 1e15])
def test_features_are_bounded(size):
    series = np.random.default_rng(1).choice([-size, 0.0, size], 200)
    observed, order = observe(RR, series)
    assert observed.features_GNS[:, order].abs().max() <= 10.0


def test_logarithmic_signals_are_described_on_their_logarithm():
    observed, order = observe(CLOSE, [np.e, np.e**2])
    assert observed.last_NS[order, CLOSE].tolist() == pytest.approx([1.0, 2.0])


def test_repetitions_are_counted_from_the_last_change_on_and_a_missing_value_is_none():
    observed, order = observe(HR, [70.0, 70.0, 71.0, 71.0, np.nan, 71.0, 71.0, 70.0])
    assert observed.still_NS[order, HR].tolist() == [0, 1, 0, 1, 1, 2, 3, 0]
