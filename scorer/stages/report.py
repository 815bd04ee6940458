"""What a person reads: the alert record, with the signals behind it, what was expected and what came."""

from datetime import UTC, datetime

import numpy as np

from schemas.alert import Alert, Change, SignalReason
from schemas.components import Severity
from schemas.layout import Layout
from schemas.monitor import Rule
from schemas.prediction import Predictions
from scorer.stages.finding import Decision, Kind, Memory

_TOP = 3
"""Signals named in an alert of the learned score: more hide the one that matters."""


def alert_of(
    layout: Layout, kind: Kind, predictions: Predictions, row: int, memory: Memory, decision: Decision
) -> Alert:
    """Build the record of a decision that changed something."""
    batch = predictions.batch
    rule = None if kind.rule is None else layout.monitor.rules[kind.rule]
    reasons = _reasons(layout, predictions, row, rule)
    change = decision.change or Change.UPDATED
    score = float(predictions.surprise[row] if kind.rule is None else predictions.rules[row, kind.rule])
    version = int(predictions.version[row])
    return Alert(
        monitor=layout.monitor.monitor,
        entity=batch.entity[row],
        task=kind.task,
        kind=kind.kind,
        started=_utc(memory.started_ms),
        change=change,
        severity=list(Severity)[decision.rank - 1],
        event_time=_utc(int(batch.time_ms[row])),
        peak_time=_utc(memory.peak_ms),
        score=score,
        probability=float(predictions.probability[row]),
        reasons=reasons,
        model_version=version,
        rung="rules" if kind.rule is not None or version == 0 else "model",
        partition=batch.partitions[int(batch.partition[row])],
        offset=int(batch.offset[row]),
        summary=_summary(kind, score, reasons, decision),
    )


def _utc(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)


def _reasons(layout: Layout, predictions: Predictions, row: int, rule: Rule | None) -> tuple[SignalReason, ...]:
    if rule is not None:
        columns = [layout.index[name] for name in dict.fromkeys(rule.signals)]
    else:
        order = np.argsort(-predictions.evidence[row], kind="stable")[:_TOP]
        columns = [int(column) for column in order if predictions.evidence[row, column] > 0]
    return tuple(_reason(layout, predictions, row, column) for column in columns)


def _reason(layout: Layout, predictions: Predictions, row: int, column: int) -> SignalReason:
    is_target = column < layout.n_targets
    expected = float(predictions.expected[row, column]) if is_target else float("nan")
    observed = float(predictions.batch.values[row, column])
    return SignalReason(
        signal=layout.names[column],
        observed=None if np.isnan(observed) else observed,
        expected=None if np.isnan(expected) else expected,
        evidence=float(predictions.evidence[row, column]) if is_target else 0.0,
    )


def _summary(kind: Kind, score: float, reasons: tuple[SignalReason, ...], decision: Decision) -> str:
    parts = [_phrase(reason) for reason in reasons if reason.observed is not None]
    head = f"{kind.task} {score:.1f}" if kind.rule is None else f"{kind.task} {score:g}"
    return f"{head} ({decision.reason}): {', '.join(parts)}"[:1000]


def _phrase(reason: SignalReason) -> str:
    expected = "" if reason.expected is None else f" (expected {reason.expected:.6g})"
    return f"{reason.signal} {reason.observed:.6g}{expected}"
