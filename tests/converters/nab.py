"""NAB: one CSV a series with `entity,time,value,label`, and the windows as rows, for the NAB score."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from infra.metrics.nab import Series


def convert(shared: Path, folder: Path) -> list[Path]:
    """Write a CSV for each series, in the order of the data set; the label is 1 inside the combined windows."""
    files = []
    for name, frame in _frames(shared).items():
        series = _series(shared, name, frame)
        label = np.zeros(series.rows, dtype=np.int8)
        for first, last in series.windows.tolist():
            label[first : last + 1] = 1
        entity = name.replace("/", ".").removesuffix(".csv")
        wide = pd.DataFrame({"entity": entity, "time": frame.timestamp, "value": frame.value, "label": label})
        files.append(folder / f"{entity}.csv")
        wide.to_csv(files[-1], index=False)
    return files


def series(shared: Path) -> list[Series]:
    """Rows and windows of each series, in the same order."""
    return [_series(shared, name, frame) for name, frame in _frames(shared).items()]


def _frames(shared: Path) -> dict[str, pd.DataFrame]:
    frame = pd.read_csv(shared / "nab" / "nab.csv.gz")
    return {str(name): part for name, part in frame.groupby("series", sort=False)}


def _series(shared: Path, name: str, frame: pd.DataFrame) -> Series:
    windows = json.loads((shared / "nab" / "combined_windows.json").read_text())[name]
    times = pd.to_datetime(frame.timestamp).to_numpy()
    rows = [
        (np.searchsorted(times, np.datetime64(first)), np.searchsorted(times, np.datetime64(last), side="right") - 1)
        for first, last in windows
    ]
    return Series(len(frame), np.array(rows, dtype=np.int64).reshape(-1, 2))
