"""`python -m tests.bench.nab_held_out`: measure and print."""

import argparse
import itertools
import json
import os
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from infra.logs import configure
from infra.metrics.nab import Profile
from infra.terminal import console
from tests.bench.nab_held_out import __doc__ as description
from tests.bench.nab_held_out.choice import chosen, draws, halves
from tests.bench.nab_held_out.figures import better_in_both, names, with_spread
from tests.bench.nab_held_out.grid import settings
from tests.bench.nab_held_out.systems import System, detector, ewma, random
from tests.bench.quality.table import Figures, Measured, show
from tests.bench.report import machine
from tests.bench.shared import shared_data
from tests.converters import nab

_QUICK = 4
_SHOWN = 15
"""Lines of a list."""
Folds = dict[str, NDArray[np.int64]]


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    configure(verbose=False)
    torch.set_num_threads(1)
    out = console(stderr=arguments.json)
    began, load = time.perf_counter(), {"before": os.getloadavg()[0]}
    kept = slice(None, None, _QUICK if arguments.quick else 1)
    with tempfile.TemporaryDirectory(prefix="bellwether-nab-") as folder:
        files, series = nab.convert(shared_data(), Path(folder))[kept], nab.series(shared_data())[kept]
        ours = detector(files, series, constants=arguments.constants, said=out.print)
        systems = [ours.first(len(settings()))] + [ours] * arguments.constants
        systems += [ewma(files, series), random(series, arguments.seed)]
    folds = _folds(files)
    windows_F = np.array([len(each.windows) for each in series])
    draws_DF = draws(folds["half and half"], arguments.draws, arguments.seed)
    told = _reported(out, systems, windows_F, folds, draws_DF)
    load["after"] = os.getloadavg()[0]
    out.print(f"{time.perf_counter() - began:.0f} s; load before {load['before']:.1f}, after {load['after']:.1f}")
    if arguments.json:
        print(json.dumps({"quick": arguments.quick, "files": len(files), **told, "load": load, "machine": machine()}))


def _folds(files: list[Path]) -> Folds:
    folder = [file.name.split(".")[0] for file in files]
    return {
        "leave one file out": np.arange(len(files)),
        "leave one folder out": np.unique(folder, return_inverse=True)[1],
        "half and half": halves(len(files)),
    }


def _reported(
    out: Console,
    systems: list[System],
    windows_F: NDArray[np.int64],
    folds: Folds,
    draws_DF: NDArray[np.float64],
) -> dict[str, object]:
    found: Figures = {}
    spread: Figures = {}
    for system, profile in itertools.product(systems, Profile):
        figures = with_spread(system, windows_F, folds, profile, draws_DF)
        for name, value, deviation in zip(names(folds), *figures, strict=True):
            metric = f"{profile.name.lower()}.{name}"
            found.setdefault(metric, {})[system.name] = float(value)
            spread.setdefault(metric, {})[system.name] = float(deviation)
    show(out, Measured(found, spread))
    for system in systems:
        _choices(out, system, folds)
    widest = max(systems, key=lambda system: len(system.variants))
    better = list(better_in_both(widest, windows_F, Profile.STANDARD, draws_DF))
    _better(out, better, len(widest.variants))
    variants = {system.name: len(system.variants) for system in systems}
    return {"figures": found, "spread": spread, "variants": variants, "better_in_both": better[:_SHOWN]}


def _choices(out: Console, system: System, folds: Folds) -> None:
    """What was chosen, by how many files were judged under it."""
    table = Table(title=f"{system.name}: chosen of {len(system.variants):,} variants, standard profile, files judged")
    for column in (*folds, "variant"):
        table.add_column(column, justify="left" if column == "variant" else "right")
    counts = [Counter(chosen(system.raw[Profile.STANDARD], fold_F).tolist()) for fold_F in folds.values()]
    most = sorted({variant for each in counts for variant in each}, key=lambda variant: -counts[0][variant])
    for variant in most[:_SHOWN]:
        table.add_row(*(str(each[variant]) for each in counts), system.variants[variant])
    out.print(table)
    if len(most) > _SHOWN:
        out.print(f"and {len(most) - _SHOWN} others")


def _better(out: Console, better: list[tuple[str, list[float], float]], variants: int) -> None:
    table = Table(
        title=f"bellwether: {len(better):,} of {variants:,} variants beat the default on both halves, standard"
    )
    for column in ("gain, even files", "odd files", "deviation of the gain, all files", "variant"):
        table.add_column(column, justify="left" if column == "variant" else "right")
    for name, gains, deviation in better[:_SHOWN]:
        table.add_row(*(f"{gain:+.2f}" for gain in gains), f"{deviation:.2f}", name)
    out.print(table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.nab_held_out",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--no-constants", dest="constants", action="store_false", help="settings alone: one pass")
    parser.add_argument("--quick", action="store_true", help="every fourth file: figures are not comparable")
    parser.add_argument("--draws", type=int, default=1000, help="of files, for the deviations")
    parser.add_argument("--seed", type=int, default=0, help="of the random scorer and the draws")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    return parser.parse_args()


if __name__ == "__main__":
    main()
