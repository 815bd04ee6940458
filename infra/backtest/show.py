"""The report as a person reads it: on a terminal, or as one HTML page."""

import html
import json
from typing import Any

from rich.console import Console
from rich.table import Table


def show(report: dict[str, Any]) -> None:
    """Print the table of metrics, the baselines beside them."""
    console = Console()
    rows = report["rows"]
    fates = ", ".join(f"{count:,} {fate}" for fate, count in rows.items() if fate != "all")
    console.print(f"{rows['all']:,} rows ({fates}) at {report['events_per_s']:,.0f} rows/s")
    table = Table("task", "metric", "bellwether", "baseline", box=None)
    for row in lines(report):
        table.add_row(*row)
    console.print(table)
    console.print(f"model versions: {len(report['model_versions'])}, steps: {report['learning']['steps']}")


def lines(report: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Task, metric, our figure, the baseline's."""
    found = []
    naive = report["baselines"]["persistence"]["standardised"]
    for task, metrics in report["tasks"].items():
        if "standardised" in metrics:
            for horizon, each in metrics["standardised"].items():
                for metric in ("mse", "mae", "mase", "pinball", "coverage"):
                    ours, theirs = each[metric], naive[horizon][metric]
                    found.append(
                        (task, f"{horizon} {metric} (standardised)", _text(ours), f"{_text(theirs)} persistence")
                    )
        else:
            random = report["baselines"]["random"]
            for metric, ours in metrics.items():
                theirs = f"{_text(random[metric])} random" if metric in random else ""
                found.append((task, metric, _text(ours), theirs))
    return found


def page(report: dict[str, Any]) -> str:
    """One HTML page: the table, and the whole report beneath it."""
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in lines(report))
    heading = "<tr><th>task</th><th>metric</th><th>bellwether</th><th>baseline</th></tr>"
    whole = html.escape(json.dumps(report, indent=1))
    return (
        "<!doctype html><meta charset=utf-8><title>bellwether backtest</title>"
        f"<h1>Backtest</h1><table>{heading}{body}</table><details><summary>JSON</summary><pre>{whole}</pre></details>\n"
    )


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4g}"
