"""ICU stays (PhysioNet Challenge 2012, set-a): one Parquet file, a row for each stay and minute with a measurement."""

from pathlib import Path

import numpy as np
import pandas as pd

FIRST_ADMISSION_MS = 1_704_067_200_000
"""2024-01-01 UTC: the data set gives minutes since admission only."""
_MINUTE_MS = 60_000
_STATIC = ["Age", "Gender", "Height", "ICUType", "Weight"]


def convert(shared: Path, folder: Path, stays: int = 4000, seed: int = 0, days: int = 60) -> Path:
    """Write `entity,time` and a column a parameter, named as the health monitor's signals.

    Args:
        shared: the data sets.
        folder: where to write.
        stays: the first so many of the record numbers.
        seed: admissions are drawn uniformly over `days`.
        days: how long the synthetic calendar is.
    """
    events = pd.read_parquet(shared / "icu2012a" / "events.parquet")
    kept = np.unique(events.record_id)[:stays]
    admitted_ms = FIRST_ADMISSION_MS + np.random.default_rng(seed).integers(0, days * 1440, len(kept)) * _MINUTE_MS
    events = events[events.record_id.isin(kept)]
    events = events[~(events.parameter.isin(_STATIC) & (events.value == -1.0))]
    wide = (
        events.astype({"parameter": str, "value": np.float64})
        .pivot_table(index=["record_id", "minute"], columns="parameter", values="value", aggfunc="last")
        .round(4)  # the float32 of the file, as the decimal that was measured
        .reset_index()
    )
    time_ms = admitted_ms[np.searchsorted(kept, wide.record_id)] + wide.minute.astype(np.int64) * _MINUTE_MS
    wide.insert(0, "entity", wide.record_id.astype(str))
    wide.insert(1, "time", time_ms)
    file = folder / "icu.parquet"
    wide.drop(columns=["record_id", "minute"]).to_parquet(file, index=False)
    return file


def outcomes(shared: Path, folder: Path, file: Path, after_hours: int = 24) -> Path:
    """Write `entity,task,label,revealed_at` for the stays in `file`: death in hospital, told hours after."""
    last_ms = pd.read_parquet(file, columns=["entity", "time"]).groupby("entity").time.max()
    died = deaths(shared).reindex(last_ms.index)
    told = {"entity": last_ms.index, "task": "death", "label": died.to_numpy()}
    told["revealed_at"] = last_ms.to_numpy() + after_hours * 3_600_000
    path = folder / "outcomes.csv"
    pd.DataFrame(told).to_csv(path, index=False)
    return path


def deaths(shared: Path) -> pd.Series:
    """In-hospital death of each stay, 0/1, by entity."""
    outcomes = pd.read_csv(shared / "icu2012a" / "outcomes.csv")
    return pd.Series(outcomes["In-hospital_death"].to_numpy(), index=outcomes.RecordID.astype(str))
