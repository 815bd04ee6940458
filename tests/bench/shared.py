"""The open data sets that benchmarks read where they lie."""

import os
import sys
from pathlib import Path


def shared_data() -> Path:
    """Their folder; the program ends where there is none."""
    folder = Path(os.environ.get("BELLWETHER_SHARED") or Path(__file__).parents[3] / "shared" / "data")
    if not folder.is_dir():
        sys.exit(f"NOTHING MEASURED: no data sets at {folder}; set BELLWETHER_SHARED to the folder that holds them")
    return folder
