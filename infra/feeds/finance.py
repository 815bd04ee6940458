"""Real markets from PyPI packages: daily bars and VIX (`arch`), US macro figures (`statsmodels`).

The tables that come with the packages are read where they lie: to import the packages takes seconds.
"""

import math
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd

from infra.feeds.feed import Feed, Message
from schemas.errors import ConfigError, InputError
from schemas.topics import Topics

MARKET = "market"
EXCHANGE = "America/New_York"
CLOSE = pd.Timedelta(hours=16)
MARKET_KNOWN = pd.Timedelta(hours=16, minutes=1)
"""The market of a day is what its instruments' bars make of it, so it comes after the last of them."""
VIX_KNOWN = pd.Timedelta(hours=16, minutes=15)
"""Cboe settles VIX a quarter of an hour after the shares' close: a bar never sees the VIX of its own day."""
PUBLICATION_LAG = pd.Timedelta(days=30)
"""The advance estimate of a quarter comes out about a month after its end (US Bureau of Economic Analysis)."""
MACRO = ["infl", "realint", "tbilrate", "unemp"]
FIRST_DAY, LAST_DAY = pd.Timestamp("1999-01-04"), pd.Timestamp("2018-12-31")


def finance(topics: Topics) -> Feed:
    """Feed of S&P 500 and NASDAQ bars and the WTI oil price, with VIX and macro figures as they became known.

    Raises:
        ConfigError: the monitor names no topic for global observations.
    """
    if topics.globals is None:
        raise ConfigError("finance", "topics.globals", None, "a topic for VIX and macro figures")
    instruments = {"SPX": _bars("sp500"), "IXIC": _bars("nasdaq"), "WTI": _oil()}
    messages = [
        *(message for name, bars in instruments.items() for message in _bar_messages(topics.observations, name, bars)),
        *_bar_messages(topics.observations, MARKET, market_of(list(instruments.values())), MARKET_KNOWN),
        *_global_messages(topics.globals, "vix", _vix()),
        *_global_messages(topics.globals, "macro", _macro()),
    ]
    messages.sort(key=lambda message: message.time_ms)
    title = "real daily markets: S&P 500, NASDAQ, WTI and all in one 1999-2018, VIX from 2014, US macro until 2009"
    return Feed(title, len(messages), lambda: iter(messages))


def market_of(instruments: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The market that instruments make, by day: close, range_percent and volume of each day that any reports a range.

    `close` is an index, 1000 on the first day, that moves by the mean of their logarithmic returns, each since the
    market's last day; one without a bar stands still. The range is the mean, the volume the sum of what is reported.
    """
    tables = [bars.reindex(columns=["close", "range_percent", "volume"]) for bars in instruments]
    close, width, volume = (pd.concat([table[name] for table in tables], axis=1, sort=True) for name in tables[0])
    days = width.index[width.notna().any(axis=1)]
    moved = close.ffill().loc[days].apply(np.log).diff().mean(axis=1).fillna(0.0)
    index = (1000.0 * np.exp(moved.cumsum())).round(6)
    traded = volume.sum(axis=1, min_count=1)
    return pd.DataFrame({"close": index, "range_percent": width.mean(axis=1), "volume": traded}).loc[days]


def _bar_messages(topic: str, entity: str, frame: pd.DataFrame, after: pd.Timedelta = CLOSE) -> Iterator[Message]:
    encode = msgspec.json.Encoder().encode
    for known_ms, signals in _rows(frame, after):
        yield Message(topic, entity.encode(), encode({"entity": entity, "time": known_ms, **signals}), known_ms)


def _global_messages(topic: str, name: str, published: tuple[pd.DataFrame, pd.Timedelta]) -> Iterator[Message]:
    """`time` is the day a figure describes, `known` when it was published."""
    frame, lag = published
    encode = msgspec.json.Encoder().encode
    for (time_ms, signals), (known_ms, _) in zip(_rows(frame, pd.Timedelta(0)), _rows(frame, lag), strict=True):
        yield Message(topic, name.encode(), encode({"time": time_ms, "known": known_ms, **signals}), known_ms)


def _rows(frame: pd.DataFrame, after: pd.Timedelta) -> Iterator[tuple[int, dict[str, float]]]:
    """What was measured on each day from the first to the last, with the UTC time `after` it began in New York."""
    days = frame[(frame.index >= FIRST_DAY) & (frame.index <= LAST_DAY)]
    times = (pd.DatetimeIndex(days.index) + after).tz_localize(EXCHANGE).tz_convert("UTC").as_unit("ms")
    for time_ms, row in zip(times.asi8.tolist(), days.to_dict("records"), strict=True):
        yield time_ms, {str(name): value for name, value in row.items() if not math.isnan(value)}


def _bars(name: str) -> pd.DataFrame:
    bars = _daily(name)
    range_percent = (100 * (bars["High"] - bars["Low"]) / bars["Close"]).round(6)
    volume = bars["Volume"].where(bars["Volume"] > 0)  # 0: not reported
    return pd.DataFrame({"close": bars["Close"], "range_percent": range_percent, "volume": volume}, dtype=float)


def _oil() -> pd.DataFrame:
    """WTI spot: a price alone. An entity may lack any of the signals."""
    prices = _daily("wti").iloc[:, :1].set_axis(["close"], axis=1)
    return prices.dropna().astype(float)


def _vix() -> tuple[pd.DataFrame, pd.Timedelta]:
    return _daily("vix")[["vix"]].dropna().astype(float), VIX_KNOWN


def _macro() -> tuple[pd.DataFrame, pd.Timedelta]:
    table = pd.read_csv(_packaged("statsmodels", "datasets/macrodata/macrodata.csv"))
    months = 3 * table["quarter"].astype(int)
    days = pd.to_datetime({"year": table["year"].astype(int), "month": months, "day": 1}) + pd.offsets.MonthEnd(0)
    return table[MACRO].set_axis(pd.DatetimeIndex(days), axis=0), PUBLICATION_LAG


def _daily(name: str) -> pd.DataFrame:
    """A table of `arch`, by day."""
    table = pd.read_csv(_packaged("arch", f"data/{name}/{name}.csv.gz"), na_values=".")
    return table.set_index(pd.DatetimeIndex(table.pop(table.columns[0])))


def _packaged(package: str, file: str) -> Path:
    """A file of an installed package, which is found but not imported.

    Raises:
        InputError: the package is not installed, or has no such file any more.
    """
    found = find_spec(package)
    folders = [Path(folder) for folder in (found.submodule_search_locations or [])] if found is not None else []
    for path in (folder / file for folder in folders):
        if path.is_file():
            return path
    raise InputError(f"{package}: got no {file}; expected the table that comes with the package")
