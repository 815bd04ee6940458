"""What the quality benchmark prints: a metric a row, a system a column."""

from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.table import Table

Figures = dict[str, dict[str, float]]
"""Metric -> system -> value."""


def pooled(runs: Sequence[Figures]) -> tuple[Figures, Figures]:
    """Means over the runs, and standard deviations; of one run there are none."""
    first = runs[0]
    each = {metric: {s: [run[metric][s] for run in runs] for s in systems} for metric, systems in first.items()}
    means = {metric: {s: float(np.mean(found)) for s, found in systems.items()} for metric, systems in each.items()}
    if len(runs) == 1:
        return means, {}
    return means, {m: {s: float(np.std(found, ddof=1)) for s, found in systems.items()} for m, systems in each.items()}


def show(console: Console, figures: Figures, spread: Figures) -> None:
    """Print a table for each part, with standard deviations where `spread` has any."""
    for part in dict.fromkeys(metric.split(".")[0] for metric in figures):
        rows = {metric: systems for metric, systems in figures.items() if metric.split(".")[0] == part}
        names = list(dict.fromkeys(system for systems in rows.values() for system in systems))
        table = Table(title=part)
        table.add_column("metric")
        for name in names:
            table.add_column(name, justify="right")
        for metric, systems in rows.items():
            cells = [_cell(systems.get(name), spread.get(metric, {}).get(name)) for name in names]
            table.add_row(metric.removeprefix(f"{part}."), *cells)
        console.print(table)


def _cell(mean: float | None, deviation: float | None) -> str:
    if mean is None:
        return ""
    return f"{mean:.4g}" if deviation is None else f"{mean:.4g} ± {deviation:.2g}"
