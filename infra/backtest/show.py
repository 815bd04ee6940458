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
            found += [(task, *row) for row in _plain_lines(metrics, report["baselines"]["random"])]
    return found


def _plain_lines(metrics: dict[str, Any], random: dict[str, Any]) -> list[tuple[str, str, str]]:
    found = []
    for metric, ours in metrics.items():
        if isinstance(ours, dict):
            found += [
                (f"{metric} {name}", _text(value), _chance(name, metrics, random)) for name, value in ours.items()
            ]
        else:
            found.append((metric, _text(ours), _chance(metric, metrics, random)))
    return found


def _chance(metric: str, metrics: dict[str, Any], random: dict[str, Any]) -> str:
    """What knowing nothing reaches: a random scorer's figure, or for an event task what follows from its base rate."""
    rate = metrics.get("base_rate")
    if "base_rate" not in metrics:
        return f"{_text(random[metric])} random" if metric in random else ""
    if rate is None or metric not in {"auroc", "auprc", "brier"}:
        return ""
    return f"{_text({'auroc': 0.5, 'auprc': rate, 'brier': rate * (1.0 - rate)}[metric])} base rate"


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
