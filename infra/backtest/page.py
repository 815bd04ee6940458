"""The report as one HTML page, which needs no other file: pictures, alerts, figures, and what their words mean."""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from infra.backtest import legend
from infra.backtest.chart import Charts
from infra.backtest.show import lines
from schemas.alert import raised_by

_STYLE = """
body{font-family:sans-serif;max-width:75em;margin:auto;padding:0 1em;line-height:1.4}
.wide{overflow-x:auto}.wide svg{display:block;width:100%;min-width:44em;height:auto}pre{overflow-x:auto}
table{border-collapse:collapse}tr{border-top:1px solid #ddd}th{text-align:left}
th,td{padding:.2em 1em .2em 0;vertical-align:top}td{max-width:40em;overflow-wrap:break-word}
.critical{color:#b00}.warning{color:#a50}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2em 1em}dt{font-weight:bold}dd{margin:0}
@media(max-width:45em){dl,tr,td{display:block}thead,td:empty{display:none}tr{padding:.5em 0}
td::before{content:attr(data-of)" ";color:#666}}
"""
"""On a phone a row of a table is a block with a line for each cell, and pictures are moved to and fro."""
_ALERTS = ("entity", "alert", "severity", "onset", "peak", "value", "end", "by", "why")
_FIGURES = ("task", "metric", "bellwether", "baseline")


def page(report: Mapping[str, Any], charts: Charts | None = None) -> str:
    """One HTML page: pictures of single entities, the alerts, the figures, the whole report beneath."""
    parts = [*_pictures(charts), *_alerts(report["alerts"]), *_figures(report)]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>bellwether backtest</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style>'
        f"<h1>Backtest</h1>{''.join(parts)}"
        f"<details><summary>JSON</summary><pre>{escape(json.dumps(report, indent=1))}</pre></details></html>\n"
    )


def _pictures(charts: Charts | None) -> Iterable[str]:
    if charts is None or not charts.shown:
        return
    yield "<h2>Entities with most alerts</h2>"
    if len(charts.shown) < charts.entities:
        yield f"<p>{len(charts.shown):,} of {charts.entities:,} entities are drawn.</p>"
    yield _meanings(legend.PICTURES)
    for chart in charts.shown:
        yield f'<h3>{escape(chart.title)}</h3><div class="wide">{chart.svg}</div>'


def _alerts(alerts: Mapping[str, Any]) -> Iterable[str]:
    yield f"<h2>Alerts</h2><p>Raised: {alerts['total']:,}, open at the last row: {alerts['open']:,}."
    if alerts["left_out"]:
        yield f" The {len(alerts['listed']):,} worst are listed, {alerts['left_out']:,} are left out."
    yield "</p>"
    if alerts["listed"]:
        yield _meanings(legend.ALERTS)
        yield _table(_ALERTS, [(_alert(each), each["severity"]) for each in alerts["listed"]])


def _alert(alert: Mapping[str, Any]) -> tuple[str, ...]:
    """Cells, as HTML."""
    source, subject = alert["source"], alert["kind"] if alert["source"] == "silence" else alert["task"]
    return (
        escape(alert["entity"]),
        escape(source if source == "anomaly" else f"{source} {subject}"),
        alert["severity"],
        _time(alert["started_at"]),
        _time(alert["peak_at"]),
        f"{alert['score']:.4g}",
        "open" if alert["ended_at"] is None else _time(alert["ended_at"]),
        escape(raised_by(alert["rung"], alert["model_version"])),
        escape(alert["summary"]),
    )


def _time(text: str) -> str:
    return f"<time>{text[:19].replace('T', ' ')}</time>"


def _figures(report: Mapping[str, Any]) -> Iterable[str]:
    told = lines(report)
    known = [name for name, tasks in report["baselines"].items() if tasks]
    yield "<h2>Figures</h2>"
    yield _meanings(legend.figures(f"{task} {metric}" for task, metric, *_ in told))
    if known:
        yield f"<p>Baselines:</p>{_meanings(legend.baselines(known))}"
    yield _table(_FIGURES, [(tuple(map(escape, line)), "") for line in told])


def _meanings(terms: Iterable[tuple[str, str]]) -> str:
    return f"<dl>{''.join(f'<dt>{escape(term)}<dd>{escape(meaning)}' for term, meaning in terms)}</dl>"


def _table(headings: Sequence[str], rows: Iterable[tuple[tuple[str, ...], str]]) -> str:
    """Rows are cells, as HTML, and a class."""
    heading = "".join(f"<th>{each}" for each in headings)
    body = "".join(
        f'<tr class="{shade}">'
        + "".join(f'<td data-of="{of}">{cell}' for of, cell in zip(headings, cells, strict=True))
        for cells, shade in rows
    )
    return f'<div class="wide"><table><thead><tr>{heading}</thead><tbody>{body}</tbody></table></div>'
