"""What a person reads: the alert record, with the signals behind it, what was expected and what came."""

from datetime import UTC, datetime

import numpy as np

from schemas.alert import Alert, Change, Explanation, ModalityPart, Rung, SignalReason, Taken
from schemas.alerting import Severity
from schemas.duration import short_form
from schemas.layout import Layout
from schemas.observation import Float64
from schemas.prediction import Float32, Predictions
from schemas.task import Task
from scorer.detector import statistic_names
from scorer.stages.finding import Decision, Kind, Memory
from trainer.rules import Rules

_TOP = 3
"""Signals named in an alert of the learned score: more hide the one that matters."""
_DECIMALS = 4


def alert_of(
    layout: Layout,
    rules: Rules,
    kind: Kind,
    predictions: Predictions,
    row: int,
    strength: float,
    memory: Memory,
    decision: Decision,
) -> Alert:
    """Build the record of a decision that changed something."""
    batch = predictions.batch
    reasons = _reasons(layout, rules, predictions, row, kind.rule)
    explanation = _explanation(layout, predictions, row, kind.question)
    change = decision.change or Change.UPDATED
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
        score=strength,
        probability=strength if kind.choice is not None else float(predictions.probability[row]),
        reasons=reasons,
        model_version=int(predictions.version[row]),
        rung=_rung(kind, fallback=predictions.fallback),
        partition=batch.partitions[int(batch.partition[row])],
        offset=int(batch.offset[row]),
        summary=_summary(_head(layout, kind, predictions, row, strength), reasons, decision, explanation),
        explanation=explanation,
    )


def _rung(kind: Kind, *, fallback: bool) -> Rung:
    if kind.rule is not None:
        return Rung.RULE
    if kind.choice is None:
        return Rung.DETECTOR
    return Rung.LAST_GOOD if fallback else Rung.NETWORK


def _utc(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)


def _reasons(
    layout: Layout, rules: Rules, predictions: Predictions, row: int, rule: int | None
) -> tuple[SignalReason, ...]:
    if rule is not None:
        taken = rules.taken(rule, predictions.last[row], predictions.age[row], predictions.remembered[row])
        return tuple(_reason(layout, predictions, row, *each) for each in taken)
    order = np.argsort(-predictions.evidence[row], kind="stable")[:_TOP]
    return tuple(_reason(layout, predictions, row, int(c)) for c in order if predictions.evidence[row, c] > 0)


def _reason(
    layout: Layout, predictions: Predictions, row: int, column: int, taken: Taken | None = None
) -> SignalReason:
    is_target = column < layout.n_targets
    expected = float(predictions.expected[row, column]) if is_target else float("nan")
    observed = float(predictions.batch.values[row, column])
    return SignalReason(
        signal=layout.names[column],
        observed=None if np.isnan(observed) else observed,
        expected=None if np.isnan(expected) else expected,
        evidence=float(predictions.evidence[row, column]) if is_target else 0.0,
        taken=taken,
        statistic=_statistic(layout, predictions, row, column) if is_target and taken is None else None,
    )


def _statistic(layout: Layout, predictions: Predictions, row: int, column: int) -> str | None:
    found = predictions.behind(row)
    if found is None or not predictions.evidence[row, column] > 0:
        return None
    backing, place = found
    return statistic_names(layout)[int(backing.statistics[place, column].argmax())]


def _explanation(layout: Layout, predictions: Predictions, row: int, question: int | None) -> Explanation | None:
    """None: no network ran, or none has a part in this kind of alert."""
    found = predictions.behind(row)
    if question is None or found is None or found[0].attention is None or found[0].affinity is None:
        return None
    place = found[1]
    nothing, *weights = _rounded(found[0].attention[place, question])
    affinity = _rounded(found[0].affinity[place, question])
    others = zip((task.name for task in layout.tasks), affinity, strict=True)
    reasons = (_reason(layout, predictions, row, column) for column in range(layout.n_targets))
    return Explanation(
        task=layout.tasks[question].name,
        modalities=_modality_parts(layout, weights, predictions.age[row]),
        nothing=nothing,
        tasks=tuple((name, share) for name, share in others if share is not None),
        signals=tuple(each for each in reasons if each.observed is not None or each.expected is not None),
    )


def _rounded(shares: Float32) -> list[float | None]:
    """None: the task's private path answered, which looks at nothing."""
    return [None if np.isnan(share) else round(float(share), _DECIMALS) for share in shares]


def _modality_parts(layout: Layout, weights: list[float | None], age: Float64) -> tuple[ModalityPart, ...]:
    owners = np.array(layout.modality_of)
    ages = [float(age[owners == modality].min()) for modality in range(len(layout.monitor.modalities))]
    return tuple(
        ModalityPart(modality.name, weight, seconds if np.isfinite(seconds) else None)
        for modality, weight, seconds in zip(layout.monitor.modalities, weights, ages, strict=True)
    )


def _head(layout: Layout, kind: Kind, predictions: Predictions, row: int, strength: float) -> str:
    """What was found: ``deterioration 0.62 of critical, news2 6 now [stable 0.10, watch 0.28, critical 0.62]``.

    Of a rule that waits how often it did: ``no-spo2 1.5 x 30m``.
    """
    if kind.rule is not None:
        lasting = layout.monitor.rules[kind.rule].lasting
        return f"{kind.task} {strength:g}{f' x {short_form(lasting.total_seconds())}' if lasting else ''}"
    if kind.choice is None:
        return f"{kind.task} {strength:.1f}"
    task = layout.choices[kind.choice]
    names, probability = layout.classes[task.name], predictions.states[kind.choice][row]
    among = ", ".join(f"{name} {each:.2f}" for name, each in zip(names, probability.tolist(), strict=True))
    stands = _standing(layout, task, predictions, row)
    return f"{kind.task} {strength:.2f} of {' or '.join(names[task.warns_from :])}{stands} [{among}]"


def _standing(layout: Layout, task: Task, predictions: Predictions, row: int) -> str:
    """What the rule that a state's odds are counted by says now."""
    if task.target is None:
        return ""
    rules = [rule.name for rule in layout.monitor.rules]
    score = {each.rule: predictions.rules[row, rules.index(each.rule)] for each in task.target.counted_by}
    name = next((name for name in score if not np.isnan(score[name])), task.target.counted_by[0].rule)
    return f", {name} {'unknown' if np.isnan(score[name]) else f'{score[name]:g}'} now"


def _summary(head: str, reasons: tuple[SignalReason, ...], decision: Decision, explanation: Explanation | None) -> str:
    """One line. Of a rule that adds up points: most points first, what had none last.

    What no signal explains, a picture mostly, is at least said to have come from where the network looked most.
    """
    parts = [_phrase(reason) for reason in sorted(reasons, key=_points, reverse=True) if _value(reason) is not None]
    missing = [reason.signal for reason in reasons if _value(reason) is None]
    lacking = f"no {', '.join(missing)}" if missing else ""
    why = "; ".join(filter(None, (", ".join(parts), lacking))) or _looked_at(explanation)
    return f"{head} ({decision.reason}){f': {why}' if why else ''}"[:1000]


def _looked_at(explanation: Explanation | None) -> str:
    looked = [] if explanation is None else explanation.modalities
    shares = [(part.attention, part.modality) for part in looked if part.attention is not None]
    share, modality = max(shares, default=(0.0, ""))
    return f"looked at {modality} ({share:.0%})" if modality else ""


def _phrase(reason: SignalReason) -> str:
    """``GCS 8 +3 (2h old)``; points say why better than what had been expected."""
    taken, words = reason.taken, f"{reason.signal} {_value(reason):.6g}"
    if taken is not None and taken.points is not None:
        words += f" +{taken.points:g}"
    elif reason.expected is not None and not (taken is not None and taken.age_seconds):
        words += f" (expected {reason.expected:.6g})"
    if reason.statistic is not None:
        words += f" by its {reason.statistic}"
    return f"{words} ({short_form(taken.age_seconds)} old)" if taken is not None and taken.age_seconds else words


def _value(reason: SignalReason) -> float | None:
    return reason.observed if reason.taken is None else reason.taken.value


def _points(reason: SignalReason) -> float:
    return 0.0 if reason.taken is None else reason.taken.points or 0.0
