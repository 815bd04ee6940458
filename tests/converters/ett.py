"""ETTh1 and ETTh2: hourly loads and oil temperature of two transformers, one entity a file."""

from pathlib import Path

import pandas as pd


def convert(shared: Path, folder: Path) -> list[Path]:
    """Write `entity,time,HUFL,HULL,MUFL,MULL,LUFL,LULL,OT`, times taken as UTC."""
    files = []
    for name in ("ETTh1", "ETTh2"):
        wide = pd.read_csv(shared / "ett" / f"{name}.csv.gz").rename(columns={"date": "time"})
        wide.insert(0, "entity", name)
        files.append(folder / f"{name}.csv")
        wide.to_csv(files[-1], index=False)
    return files
