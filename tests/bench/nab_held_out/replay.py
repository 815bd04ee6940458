"""Rows scored once, decided on with many settings: what `AlertPipeline` decides, of the learned score alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.alert import ALARMS
from schemas.alerting import AlertSettings
from schemas.observation import Status
from schemas.prediction import Predictions
from scorer.stages.finding import MEMORY_FIELDS, Finding, Memory
from scorer.stages.pipeline import stages_of
from scorer.stages.steering import Steering


@dataclass(frozen=True, slots=True)
class Judged:
    """An entity's rows in stream order, N in all, n of them accepted.

    Attributes:
        rows: N.
        place_n: of each accepted row among the N.
        number_n: how many rows the entity had shown before.
        evidence_n: what alerts are made of.
        lent_n: the entity was lent others' experience.
    """

    rows: int
    place_n: NDArray[np.int64]
    number_n: NDArray[np.int64]
    evidence_n: NDArray[np.float64]
    lent_n: NDArray[np.bool_]


def judged(batches: Sequence[Predictions]) -> dict[str, Judged]:
    """What was scored, by entity."""
    entity = np.concatenate([np.asarray(each.batch.entity, dtype=object) for each in batches])
    ok = np.concatenate([each.status == Status.OK for each in batches])
    number = np.concatenate([each.rows_seen for each in batches])
    evidence = np.concatenate([each.surprise for each in batches])
    lent = np.concatenate([np.broadcast_to(each.lent, len(each.slot)) for each in batches])
    found = {}
    for name in dict.fromkeys(entity.tolist()):
        mine = np.flatnonzero(entity == name)
        taken = mine[ok[mine]]
        found[name] = Judged(len(mine), np.flatnonzero(ok[mine]), number[taken], evidence[taken], lent[taken])
    return found


def alarms(judged: Judged, settings: AlertSettings) -> NDArray[np.int64]:
    """Rows (of the N) at which an alert opens or escalates.

    The stages are the pipeline's own; they are asked where evidence reaches a severity or an alert is open, as there.
    Of steered settings alone: then severities move only where an alert fires.
    """
    stages, steering = stages_of(settings), Steering(settings)
    memory = Memory(*(dtype(0).item() for dtype in MEMORY_FIELDS.values()))
    raised, row = [], 0
    rank_n, reached = _severities(judged, steering, memory)
    while (row := row if memory.is_open else int(reached[np.searchsorted(reached, row)])) < len(rank_n):
        evidence, number, lent = judged.evidence_n[row].item(), judged.number_n[row].item(), bool(judged.lent_n[row])
        finding = Finding(number, 0, int(rank_n[row]), evidence, steered=True, lent=lent)
        decision = next(found for stage in stages if (found := stage(finding, memory)) is not None)
        if decision.change in ALARMS:
            raised.append(row)
            for name in ("peak", "raised"):  # as the store holds them
                setattr(memory, name, MEMORY_FIELDS[name](getattr(memory, name)).item())
            rank_n, reached = _severities(judged, steering, memory)
        row += 1
    return judged.place_n[raised]


def _severities(judged: Judged, steering: Steering, memory: Memory) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Of each row until the next alert fires, and the rows that reach one, n behind them."""
    raised, raised_row = np.array(memory.raised), np.array(memory.raised_row)
    rank_n = steering.ranks(raised, raised_row, judged.number_n, judged.evidence_n)
    return rank_n, np.append(np.flatnonzero(rank_n), len(rank_n))
