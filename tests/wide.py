"""A small wide table: what backtests are tested on."""

import numpy as np
import pandas as pd

ROWS = 2600


def wide(seed: int, spoil_after: int | None = None) -> pd.DataFrame:
    """Two entities, interleaved; rows from `spoil_after` on are replaced by noise."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(ROWS, 2)).cumsum(axis=0) + 50
    if spoil_after is not None:
        values[spoil_after:] = np.random.default_rng(99).normal(0, 500, size=(ROWS - spoil_after, 2))
    time = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(np.arange(ROWS), unit="min")
    frame = pd.DataFrame({"entity": np.where(np.arange(ROWS) % 2, "a", "b"), "time": time.astype(str)})
    return frame.assign(**{"load %": values[:, 0], "temp": values[:, 1]})
