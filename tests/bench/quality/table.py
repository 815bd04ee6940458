"""What the quality benchmark prints: a metric a row, a system a column."""

from rich.console import Console
from rich.table import Table

Figures = dict[str, dict[str, float]]
"""Metric -> system -> value."""


def show(console: Console, figures: Figures) -> None:
    """Print a table for each part."""
    for part in dict.fromkeys(metric.split(".")[0] for metric in figures):
        rows = {metric: systems for metric, systems in figures.items() if metric.split(".")[0] == part}
        names = list(dict.fromkeys(system for systems in rows.values() for system in systems))
        table = Table(title=part)
        table.add_column("metric")
        for name in names:
            table.add_column(name, justify="right")
        for metric, systems in rows.items():
            cells = [f"{systems[name]:.4g}" if name in systems else "" for name in names]
            table.add_row(metric.removeprefix(f"{part}."), *cells)
        console.print(table)
