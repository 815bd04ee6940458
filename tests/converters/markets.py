"""Markets: daily bars of two indices, and intraday bars of crypto pairs, as wide files."""

from pathlib import Path

import numpy as np
import pandas as pd

_CLOSE_UTC = pd.Timedelta(hours=21)


def convert_daily(shared: Path, folder: Path) -> list[Path]:
    """Write `entity,time,close,range_percent,volume` (the finance monitor's names) for the S&P 500 and the NASDAQ."""
    files = []
    for name, entity in (("sp500", "SPX"), ("nasdaq", "IXIC")):
        bars = pd.read_csv(shared / "finance_daily" / f"{name}.csv.gz")
        time = pd.to_datetime(bars.Date, format="%m/%d/%Y") + _CLOSE_UTC
        files.append(_write(bars.rename(columns=str.lower), time, entity, folder))
    return files


def convert_intraday(shared: Path, folder: Path) -> list[Path]:
    """The same columns for each crypto pair; `time` is when the bar opened."""
    files = []
    for source in sorted((shared / "crypto_bars").glob("*.csv.gz")):
        bars = pd.read_csv(source)
        time = pd.to_datetime(bars.date, utc=True).dt.tz_localize(None)
        files.append(_write(bars, time, source.name.removesuffix(".csv.gz"), folder))
    return files


def _write(bars: pd.DataFrame, time: pd.Series, entity: str, folder: Path) -> Path:
    width = 100.0 * (bars.high - bars.low) / bars.close
    wide = pd.DataFrame(
        {
            "entity": entity,
            "time": time.dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "close": bars.close,
            "range_percent": width.where(width > 0, np.nan),
            "volume": bars.volume.where(bars.volume > 0, np.nan),
        }
    )
    file = folder / f"{entity}.csv"
    wide.to_csv(file, index=False)
    return file
