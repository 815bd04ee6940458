"""Daily bars of S&P 500, NASDAQ, WTI and the market they make as wide files, with what was known of the world then."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from infra.feeds.finance import CLOSE, MARKET, MARKET_KNOWN, market_of

_EXCHANGE = "America/New_York"
_PUBLISHED = pd.Timedelta(days=30)
_NAMES = {"SPX": "sp500", "IXIC": "nasdaq", "WTI": "wti"}
_MACRO = ["infl", "realint", "tbilrate", "unemp"]
_FIRST = pd.Timestamp("1999-01-04", tz="UTC")
_AGES = {"vix": pd.Timedelta(days=7), **dict.fromkeys(_MACRO, pd.Timedelta(days=200))}
"""Those of the finance monitor."""


def convert(shared: Path, folder: Path, *, macro: bool) -> list[Path]:
    """Write `entity,time,close,range_percent,volume` and, where asked, what the finance monitor knows of the world.

    WTI has a close alone. A bar's time is the close of its exchange; the market's is a minute later.
    """
    instruments = {entity: _bars(shared, name) for entity, name in _NAMES.items()}
    files = []
    for entity, bars in (instruments | {MARKET: _market(list(instruments.values()))}).items():
        if macro:
            bars = pd.concat([bars, known(shared, bars.time)], axis=1)  # noqa: PLW2901
        file = folder / f"{entity}.csv"
        bars.assign(entity=entity, time=bars.time.dt.strftime("%Y-%m-%dT%H:%M:%SZ")).to_csv(file, index=False)
        files.append(file)
    return files


def _market(instruments: Sequence[pd.DataFrame]) -> pd.DataFrame:
    bars = market_of([each.set_index("time") for each in instruments])
    known_at = (pd.DatetimeIndex(bars.index) + (MARKET_KNOWN - CLOSE)).as_unit("ms")
    return bars.set_axis(known_at).rename_axis("time").reset_index()


def _bars(shared: Path, name: str) -> pd.DataFrame:
    raw = pd.read_csv(shared / "finance_daily" / f"{name}.csv.gz", na_values=".")
    time = _utc(pd.to_datetime(raw.Date, format="%m/%d/%Y") + pd.Timedelta(hours=16))
    if name == "wti":
        price = raw.DCOILWTICO
        return pd.DataFrame({"time": time, "close": price})[(price > 0) & (time >= _FIRST)].reset_index(drop=True)
    width = 100.0 * (raw.High - raw.Low) / raw.Close
    bars = {"time": time, "close": raw.Close, "range_percent": width.where(width > 0, np.nan)}
    return pd.DataFrame(bars | {"volume": raw.Volume.where(raw.Volume > 0, np.nan)})


def known(shared: Path, time: pd.Series) -> pd.DataFrame:
    """A column per figure: the newest one published before each `time` (UTC, ascending), NaN where it is too old."""
    found = [
        pd.merge_asof(time.to_frame("time"), published, on="time", tolerance=_AGES[published.columns[1]])
        for published in (_vix(shared), _macro(shared))
    ]
    return pd.concat([each.drop(columns="time") for each in found], axis=1)


def _vix(shared: Path) -> pd.DataFrame:
    """Settled a quarter of an hour after the shares' close: a bar never sees its own day's."""
    raw = pd.read_csv(shared / "finance_daily" / "vix.csv.gz", na_values=".").dropna()
    day = pd.to_datetime(raw.iloc[:, 0], format="mixed")
    return pd.DataFrame({"time": _utc(day + pd.Timedelta(hours=16, minutes=15)), "vix": raw["vix"].astype(float)})


def _macro(shared: Path) -> pd.DataFrame:
    """The advance estimate of a quarter comes out about a month after its end."""
    raw = pd.read_csv(shared / "finance_daily" / "us_macro_quarterly.csv.gz")
    first = pd.to_datetime({"year": raw.year.astype(int), "month": 3 * raw.quarter.astype(int), "day": 1})
    published = first + pd.offsets.MonthEnd(0) + _PUBLISHED
    return pd.concat([_utc(published).rename("time"), raw[_MACRO]], axis=1)


def _utc(time: pd.Series) -> pd.Series:
    return time.dt.tz_localize(_EXCHANGE).dt.tz_convert("UTC").astype("datetime64[ms, UTC]")
