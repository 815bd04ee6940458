"""What a backtest measured: each task's metrics, and in the same places those of its baselines."""

from collections.abc import Sequence
from typing import Any

from infra.backtest.anomalies import judge_anomalies, judge_silence
from infra.backtest.figures import BASELINES
from infra.backtest.forecasts import judge_forecasts
from infra.backtest.options import Options
from infra.backtest.outcomes import judge_outcomes
from infra.backtest.states import judge_states
from infra.backtest.table import ScoresTable, signal_map
from infra.backtest.warnings import judge_warnings
from ingest.events import Events
from ingest.outcomes import Outcome
from schemas.observation import Status


def report_of(table: ScoresTable, events: Events, outcomes: Sequence[Outcome], options: Options) -> dict[str, Any]:
    """The metrics part of the report. Rows before `score_from` (in stream order) are not judged.

    `rows_replacing` are those among the ones that are ok which brought other values for an entity and time that had
    some: both were scored as they came, and the last ones stand.
    """
    layout, first = table.layout, options.score_from
    stream = table.order[table.status[table.order] == Status.OK]
    judged = {
        layout.forecast.name: judge_forecasts(table, stream, options.standardise_rows, first),
        layout.anomaly.name: judge_anomalies(table, stream, first, events.label, options.seed),
        **judge_silence(table, stream[first:]),
        **judge_states(table, stream, first, events.classes),
        **judge_outcomes(table, outcomes),
    }
    for task, warned in judge_warnings(table, stream, first, outcomes, options.seed).items():
        judged[task] = judged[task].beside(warned)
    return {
        "rows": len(table.order),
        "rows_by_status": {status.name.lower(): int((table.status == status).sum()) for status in Status},
        "rows_replacing": int(table.replacing.sum()),
        "guarded_rows": dict(table.guarded),
        "tasks": {task: each.metrics for task, each in judged.items()},
        "baselines": {
            name: {task: each.baselines[name] for task, each in judged.items() if name in each.baselines}
            for name in BASELINES
        },
        "alerts": table.raised.report(),
        "signal_map": signal_map(layout.names[: layout.n_targets]),
        "label_delay": _delay(options),
    }


def _delay(options: Options) -> str:
    """When row labels were revealed to the model."""
    if options.labels == "none":
        return "never"
    if isinstance(options.label_delay, int):
        return f"{options.label_delay} rows"
    return f"{options.label_delay.total_seconds():g} s"
