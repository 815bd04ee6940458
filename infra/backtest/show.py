"""The report as a person reads it on a terminal; and its figures as lines of text."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from schemas.silence import TASK

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
    console.print(_alarms(report))
    console.print(f"model versions: {len(report['model_versions'])}, steps: {report['learning']['steps']}")


def _alarms(report: Mapping[str, Any]) -> str:
    """How many alerts there were, and which of them the figures count as alarms."""
    alerts, tasks = report["alerts"], report["tasks"]
    counted = next(metrics["alarms_of"] for name, metrics in tasks.items() if name != TASK and "alarms_of" in metrics)
    sources = ", ".join(dict.fromkeys(name.partition(" ")[0] for name in counted))
    apart = f"; silence, {tasks[TASK]['alarms']:,}, is counted apart" if TASK in tasks else ""
    told = f"{alerts['total']:,} alerts, {alerts['open']:,} open at the end"
    return f"{told}; alarms are rows at which one opened or got worse, of: {sources}{apart}"


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
            told = ", ".join(f"{_text(each, path)} {name}" for name, each in beside if each is not None)
            if value is not None or told or not brief:
                found.append((task, " ".join(path), _text(value, path), told))
    return found


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


def _text(value: Figure, path: tuple[str, ...]) -> str:
    if value is None:
        return "-"
    if path[-1] == "off" and isinstance(value, float):
        return f"{value:+.1%}"
    if isinstance(value, tuple):
        return "{:+.4f}, {:+.4f} to {:+.4f}".format(*value)
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
