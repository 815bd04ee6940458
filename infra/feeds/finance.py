"""Real markets from PyPI packages: daily bars and VIX (`arch`), US macro figures (`statsmodels`).

The tables that come with the packages are read where they lie: to import the packages takes seconds.
"""

import math
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import msgspec
import pandas as pd

from infra.feeds.feed import Feed, Message
from schemas.errors import ConfigError, InputError
from schemas.monitor import Topics

EXCHANGE = "America/New_York"
CLOSE = pd.Timedelta(hours=16)
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
    messages = [
        *_bar_messages(topics.observations, "SPX", _bars("sp500")),
        *_bar_messages(topics.observations, "IXIC", _bars("nasdaq")),
        *_bar_messages(topics.observations, "WTI", _oil()),
        *_global_messages(topics.globals, "vix", _vix()),
        *_global_messages(topics.globals, "macro", _macro()),
    ]
    messages.sort(key=lambda message: message.time_ms)
    title = "real daily markets: S&P 500, NASDAQ and WTI 1999-2018, VIX from 2014, US macro until 2009"
    return Feed(title, len(messages), lambda: iter(messages))


def _bar_messages(topic: str, entity: str, frame: pd.DataFrame) -> Iterator[Message]:
    encode = msgspec.json.Encoder().encode
    for known_ms, signals in _rows(frame, CLOSE):
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
