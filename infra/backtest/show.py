"""The report as a person reads it: on a terminal, or as one HTML page."""

import html
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from infra.backtest.chart import Chart

Line = tuple[str, str, str, str]
"""Task, metric, our figure, those of its baselines."""
_MANY = 4
"""Horizons that a terminal shows one by one; of more only the first and the last."""
_UNSHOWN = {"scaler", "first_scored_row", "delay", "mase_by_signal"}
"""Parts of a forecast's metrics that only the report's JSON holds."""
Figure = float | str | tuple[float, float, float] | None
"""A tuple is a difference and its bounds."""


def show(report: Mapping[str, Any]) -> None:
    """Print the table of metrics, the baselines beside them."""
    console = Console()
    fates = ", ".join(f"{count:,} {fate}" for fate, count in report["rows_by_status"].items())
    console.print(f"{report['rows']:,} rows ({fates}) at {report['events_per_s']:,.0f} rows/s")
    if report["rows_replacing"]:
        told = "brought other values for an entity and time that had some: the last stand"
        console.print(f"{report['rows_replacing']:,} rows {told}", soft_wrap=True)
    if report["refused"]:
        by_signal = f"; by signal: {_counted(report['refused_signals'])}" if report["refused_signals"] else ""
        console.print(f"refused, by reason: {_counted(report['refused'])}{by_signal}")
    table = Table("task", "metric", "bellwether", "baseline", box=None)
    for row in lines(report, brief=True):
        table.add_row(*row)
    console.print(table)
    console.print(f"model versions: {len(report['model_versions'])}, steps: {report['learning']['steps']}")


def _counted(counts: Mapping[str, int]) -> str:
    """The most frequent first."""
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items(), key=lambda each: -each[1]))


def lines(report: Mapping[str, Any], *, brief: bool = False) -> list[Line]:
    """Every figure of every task; brief: forecasts standardised only, at no more than a few horizons, and no blanks."""
    found = []
    for task, metrics in report["tasks"].items():
        baselines = {name: tasks[task] for name, tasks in report["baselines"].items() if task in tasks}
        shown = _brief(metrics) if brief and "standardised" in metrics else metrics
        for path, value in _figures(shown):
            beside = ((name, _at(tree, path)) for name, tree in baselines.items())
            told = ", ".join(f"{_text(each)} {name}" for name, each in beside if each is not None)
            if value is not None or told or not brief:
                found.append((task, " ".join(path), _text(value), told))
    return found


def page(report: Mapping[str, Any], charts: Sequence[Chart] = ()) -> str:
    """One HTML page, which needs no other file: pictures of single entities, the table, the whole report beneath it."""
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in lines(report))
    heading = "<tr><th>task</th><th>metric</th><th>bellwether</th><th>baseline</th></tr>"
    whole = html.escape(json.dumps(report, indent=1))
    return (
        "<!doctype html><meta charset=utf-8><title>bellwether backtest</title>"
        "<style>body{font-family:sans-serif;max-width:75em;margin:auto;padding:0 1em}"
        "td{padding-right:1em}svg{max-width:100%}</style>"
        f"<h1>Backtest</h1>{_pictures(charts)}<h2>Figures</h2><table>{heading}{body}</table><details><summary>JSON</summary><pre>{whole}</pre></details>\n"
    )


def _pictures(charts: Sequence[Chart]) -> str:
    if not charts:
        return ""
    told = "Black: what came. Blue: the band forecast a step before. Orange: a warning. Red: critical. Grey: labels."
    shown = "".join(f"<h3>{html.escape(chart.title)}</h3>{chart.svg}" for chart in charts)
    return f"<h2>Entities with most alerts</h2><p>{told}</p>{shown}"


def _brief(forecast: Mapping[str, Any]) -> dict[str, Any]:
    way = {"sharing": forecast["sharing"]} if "sharing" in forecast else {}
    return {"standardised": _few(forecast["standardised"])} | way


def _few(horizons: Mapping[str, Any]) -> dict[str, Any]:
    """All horizons, or the first and the last where there are many, and the mean over most; that over one is itself."""
    single = [name for name in horizons if not name.startswith("to_")]
    whole = [name for name in horizons if name.startswith("to_")]
    shown = single if len(single) <= _MANY else [single[0], single[-1]]
    return {name: horizons[name] for name in shown + whole[1:][-1:]}


def _figures(tree: Mapping[str, Any], *path: str) -> Iterator[tuple[tuple[str, ...], Figure]]:
    """Figures and the names that lead to each."""
    for name, value in tree.items():
        if name in _UNSHOWN:
            continue
        if isinstance(value, Mapping):
            yield from _figures(value, *path, name)
        else:
            yield (*path, name), value


def _at(tree: Mapping[str, Any], path: tuple[str, ...]) -> Figure:
    name, *deeper = path
    value = tree.get(name)
    return _at(value, tuple(deeper)) if isinstance(value, Mapping) else value


def _text(value: Figure) -> str:
    if value is None:
        return "-"
    if isinstance(value, tuple):
        return "{:+.4f}, {:+.4f} to {:+.4f}".format(*value)
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
