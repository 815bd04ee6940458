"""The open data sets that benchmarks read where they lie."""

import os
import sys
from pathlib import Path

_SETS = ("crypto_bars", "ett", "finance_daily", "icu2012a", "nab")


def shared_data() -> Path:
    """Their folder; the program ends where it is none, or holds none of them."""
    folder = Path(os.environ.get("BELLWETHER_SHARED") or Path(__file__).parents[3] / "shared" / "data")
    if not any((folder / name).is_dir() for name in _SETS):
        expected = f"the folder that holds them ({', '.join(_SETS)})"
        sys.exit(f"NOTHING MEASURED: no data sets at {folder}; set BELLWETHER_SHARED to {expected}")
    return folder
