"""What the quality benchmark measures, and how it is printed: a metric a row, a system a column."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from tests.bench.quality.aim import OURS, Aim

Figures = dict[str, dict[str, float]]
"""Metric -> system -> value. A metric begins with its part's name and a point."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures, and by how much each may be off: the deviation over runs, or an error that a part knows by itself."""

    figures: Figures
    spread: Figures = field(default_factory=dict)

    def __or__(self, other: "Measured") -> "Measured":
        return Measured(self.figures | other.figures, self.spread | other.spread)

    def cell(self, metric: str, system: str) -> str:
        """A value, with its deviation if there is one; empty where the system has none."""
        value, deviation = (each.get(metric, {}).get(system) for each in (self.figures, self.spread))
        said = "" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
        return said if deviation is None else f"{said} ± {deviation:.2g}"


def pooled(runs: Sequence[Measured]) -> Measured:
    """Means over the runs, and standard deviations, of what all of them have; a single one as it is."""
    if len(runs) == 1:
        return runs[0]
    figures: Figures = {}
    spread: Figures = {}
    for metric, systems in runs[0].figures.items():
        found = {system: [run.figures.get(metric, {}).get(system) for run in runs] for system in systems}
        each = {system: values for system, values in found.items() if None not in values}
        figures[metric] = {system: float(np.mean(values)) for system, values in each.items()}
        spread[metric] = {system: float(np.std(values, ddof=1)) for system, values in each.items()}
    return Measured(figures, spread)


def show(console: Console, measured: Measured, aims: Mapping[str, Aim] | None = None) -> None:
    """Print a table for each part, with deviations where there are any, and the aims of metrics that have one."""
    for part in dict.fromkeys(metric.split(".")[0] for metric in measured.figures):
        rows = {metric: systems for metric, systems in measured.figures.items() if metric.split(".")[0] == part}
        names = list(dict.fromkeys(system for systems in rows.values() for system in systems))
        table = Table(title=part)
        table.add_column("metric")
        for name in [*names, "aim", ""] if aims else names:
            table.add_column(name, justify="right")
        for metric, systems in rows.items():
            cells = [measured.cell(metric, name) for name in names]
            table.add_row(metric.removeprefix(f"{part}."), *cells, *(_judged(metric, systems, aims) if aims else []))
        console.print(table)


def against_aims(measured: Measured, aims: Mapping[str, Aim]) -> Table:
    """All figures that have an aim, as a table in Markdown: baselines beside, reached or missed."""
    table = Table(box=box.MARKDOWN)
    for name in ("figure", OURS, "aim", "", "beside"):
        table.add_column(name)
    for metric in aims:
        systems = measured.figures[metric]
        beside = (f"{name} {measured.cell(metric, name)}" for name in systems if name != OURS)
        table.add_row(metric, measured.cell(metric, OURS), *_judged(metric, systems, aims), ", ".join(beside))
    return table


def _judged(metric: str, systems: Mapping[str, float], aims: Mapping[str, Aim]) -> tuple[str, str]:
    if metric not in aims:
        return "", ""
    return str(aims[metric]), "reached" if aims[metric].reached(systems) else "MISSED"
