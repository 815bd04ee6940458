"""Finance: bars in, forecast, regime and rules out; the world is context, and may be missing."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from infra.backtest.options import Options
from infra.backtest.run import Backtested, backtest
from tests.bench.markets import INTRADAY, regression
from tests.converters import world

_ROWS = 700


@pytest.fixture(scope="module", params=["macro", "no macro"])
def daily(request: pytest.FixtureRequest, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Backtested:
    folder = tmp_path_factory.mktemp("daily")
    for file in world.convert(shared_data, folder, macro=request.param == "macro"):
        pd.read_csv(file).head(_ROWS).to_csv(file, index=False)
    return backtest(Options("finance", tuple(sorted(folder.glob("*.csv")))))


def test_every_instrument_gets_a_forecast_and_a_regime_with_and_without_macro(daily: Backtested) -> None:
    scores = daily.table.frame()
    said = scores[[name for name in scores if name.startswith("state.regime.")]].to_numpy()
    assert set(scores.entity) == {"SPX", "IXIC", "WTI", "market"}
    assert np.allclose(said.sum(1), 1.0, atol=1e-5)
    assert np.isfinite(scores["forecast.close.h1.q0.5"]).all()


def test_ranges_are_foreseen_and_prices_are_no_worse_than_a_random_walk(daily: Backtested) -> None:
    by_signal = daily.report["tasks"]["forecast"]["raw"]["h1"]["mase_by_signal"]
    assert by_signal["range_percent"] < 0.85
    assert by_signal["close"] <= 1.02


def test_intraday_bars_stream_through_their_own_monitor(tmp_path: Path) -> None:
    """A pair that falls 5 % in one bar has its rule fire on that bar."""
    close = 100.0 * np.exp(np.random.default_rng(0).normal(0.0, 1e-3, 300).cumsum())
    close[200:] *= 0.95
    time = pd.date_range("2020-01-01", periods=300, freq="5min", tz="UTC")
    bars = {"entity": "ADA", "time": time, "close": close, "range_percent": 0.2, "volume": 50.0}
    pd.DataFrame(bars).to_csv(tmp_path / "ada.csv", index=False)
    scores = backtest(Options(str(INTRADAY), (tmp_path / "ada.csv",))).table.frame()
    assert scores.alert[200]


def test_what_is_known_of_the_world_was_published_before_the_close(shared_data: Path) -> None:
    time = pd.Series(pd.to_datetime(["2014-01-03T21:00Z", "2014-01-06T21:00Z"]).as_unit("ms"))
    assert np.array_equal(world.known(shared_data, time).vix, [np.nan, 13.76], equal_nan=True)


def test_the_regression_never_sees_what_it_forecasts() -> None:
    series = np.random.default_rng(0).normal(size=200).cumsum()
    changed = series.copy()
    changed[150:] += 5.0
    assert np.array_equal(regression(series)[:150], regression(changed)[:150])
