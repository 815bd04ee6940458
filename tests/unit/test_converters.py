"""The test-side converters: what they write is what the backtest contract reads."""

from pathlib import Path

import numpy as np
import pandas as pd

from tests.converters import ett, icu, inject, markets, nab


def test_nab_becomes_58_labelled_series(shared_data: Path, tmp_path: Path) -> None:
    files, series = nab.convert(shared_data, tmp_path), nab.series(shared_data)
    frames = [pd.read_csv(file) for file in files]
    labelled = [int(frame.label.sum()) for frame in frames]
    assert (
        len(files),
        sum(map(len, frames)),
        list(frames[0].columns),
        sum(len(each.windows) for each in series),
        labelled == [int((each.windows[:, 1] - each.windows[:, 0] + 1).sum()) for each in series],
    ) == (58, 365_558, ["entity", "time", "value", "label"], 116, True)


def test_ett_becomes_two_hourly_files(shared_data: Path, tmp_path: Path) -> None:
    frames = [pd.read_csv(file) for file in ett.convert(shared_data, tmp_path)]
    assert [(frame.shape, frame.columns[2]) for frame in frames] == [((17_420, 9), "HUFL")] * 2


def test_icu_stays_have_one_row_a_minute_and_rising_times(shared_data: Path, tmp_path: Path) -> None:
    wide = pd.read_parquet(icu.convert(shared_data, tmp_path, stays=50))
    rising = wide.groupby("entity").time.apply(lambda time: bool((np.diff(time) > 0).all()))
    assert (wide.entity.nunique(), bool(rising.all()), {"HR", "Temp", "SaO2", "Age"} <= set(wide.columns)) == (
        50,
        True,
        True,
    )


def test_icu_deaths_cover_every_stay(shared_data: Path) -> None:
    deaths = icu.deaths(shared_data)
    assert (len(deaths), round(float(deaths.mean()), 4)) == (4_000, 0.1385)


def test_markets_become_bars(shared_data: Path, tmp_path: Path) -> None:
    daily = [pd.read_csv(file) for file in markets.convert_daily(shared_data, tmp_path)]
    intraday = [pd.read_csv(file) for file in markets.convert_intraday(shared_data, tmp_path)]
    names = ["entity", "time", "close", "range_percent", "volume"]
    assert ([len(frame) for frame in daily], len(intraday), {tuple(f.columns) for f in daily + intraday}) == (
        [5_031, 5_031],
        5,
        {tuple(names)},
    )


def test_injected_faults_are_seeded_labelled_and_nowhere_else() -> None:
    clean = _wide(4_000)
    faulty, again = (inject.inject(clean, seed=1, per_thousand=5.0) for _ in range(2))
    changed = (faulty[["a", "b"]].to_numpy() != clean[["a", "b"]].to_numpy()).any(axis=1)
    assert (
        faulty.equals(again),
        bool(faulty.label[changed].all()),
        0 < faulty.label.mean() < 0.3,
        int(faulty.groupby("entity").head(400).label.sum()),
    ) == (True, True, True, 0)


def test_every_kind_of_fault_changes_values() -> None:
    clean = _wide(2_000)
    changed = [
        (inject.inject(clean, 2, 5.0, (fault,))[["a", "b"]].to_numpy() != clean[["a", "b"]].to_numpy()).any()
        for fault in inject.Fault
    ]
    assert all(changed)


def _wide(n: int) -> pd.DataFrame:
    random = np.random.default_rng(0)
    half = n // 2
    return pd.DataFrame(
        {
            "entity": ["x"] * half + ["y"] * half,
            "time": np.tile(np.arange(half), 2),
            "a": random.normal(size=n),
            "b": random.normal(size=n).cumsum(),
        }
    )
