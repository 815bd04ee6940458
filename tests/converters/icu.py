"""ICU stays (PhysioNet Challenge 2012, set-a): one Parquet file, a row for each stay and minute with a measurement."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

FIRST_ADMISSION_MS = 1_704_067_200_000
"""2024-01-01 UTC: the data set gives minutes since admission only."""
_MINUTE_MS = 60_000
UNIT = "ICUType"
"""The unit's type: 1 coronary, 2 cardiac surgery, 3 medical, 4 surgical."""
FOUR = ("death", "short_stay", "cardiac", "surgical")
"""Tasks of `four_outcomes`."""
_STATIC = ["Age", "Gender", "Height", UNIT, "Weight"]
_SHORT_DAYS = 3


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
    return _told({"death": deaths(shared)}, folder, file, after_hours)


def four_outcomes(shared: Path, folder: Path, file: Path, after_hours: int = 24) -> Path:
    """The same of four outcomes: death, a stay under three days, and the two surgical units by the unit's type."""
    table = pd.read_csv(shared / "icu2012a" / "outcomes.csv")
    days = table.set_axis(table.RecordID.astype(str)).Length_of_stay
    events = pd.read_parquet(shared / "icu2012a" / "events.parquet")
    units = events[(events.parameter == UNIT) & (events.value > 0)].drop_duplicates("record_id")
    unit = units.set_axis(units.record_id.astype(str)).value
    answers = (deaths(shared), (days < _SHORT_DAYS).where(days >= 0), unit == 2, unit == 4)
    return _told(dict(zip(FOUR, answers, strict=True)), folder, file, after_hours)


def deaths(shared: Path) -> pd.Series:
    """In-hospital death of each stay, 0/1, by entity."""
    outcomes = pd.read_csv(shared / "icu2012a" / "outcomes.csv")
    return pd.Series(outcomes["In-hospital_death"].to_numpy(), index=outcomes.RecordID.astype(str))


def _told(labels: Mapping[str, pd.Series], folder: Path, file: Path, after_hours: int) -> Path:
    """A row for each task and stay; no label where nobody knows."""
    last_ms = pd.read_parquet(file, columns=["entity", "time"]).groupby("entity").time.max()
    told = [
        pd.DataFrame(
            {
                "entity": last_ms.index,
                "task": task,
                "label": label.reindex(last_ms.index).astype(np.float64).to_numpy(),
                "revealed_at": last_ms.to_numpy() + after_hours * 3_600_000,
            }
        )
        for task, label in labels.items()
    ]
    path = folder / "outcomes.csv"
    pd.concat(told).to_csv(path, index=False)
    return path
