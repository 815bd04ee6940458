"""Alarms against the events that they should have come before.

A alarms, E events; both are moments in the lives of entities.
"""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from schemas.horizon import Horizon
from schemas.observation import Bool, Int64

_HOUR_MS = 3_600_000.0


@dataclass(frozen=True, slots=True)
class Moments:
    """When something was, each an array of one length.

    Attributes:
        entity: whose, as a number.
        place: how many of the entity's rows came before it.
        time_ms: event time.
    """

    entity: Int64
    place: Int64
    time_ms: Int64

    def __len__(self) -> int:
        return len(self.entity)

    def at(self, chosen: Int64 | Bool) -> "Moments":
        """Some of them."""
        return Moments(self.entity[chosen], self.place[chosen], self.time_ms[chosen])


@dataclass(frozen=True, slots=True)
class Warned:
    """What became of alarms and events.

    Attributes:
        first: of each event its first alarm within the horizon before it, -1 none, [E].
        followed: did an event come within the horizon after the alarm? [A].
    """

    first: Int64
    followed: Bool


def match(alarms: Moments, events: Moments, horizon: Horizon | None) -> Warned:
    """Join alarms with the events that follow them.

    Args:
        alarms: in time order within each entity.
        events: what came.
        horizon: an alarm may come at most so many rows, or so long, before the event; None: any time before.
    """
    mine: dict[int, list[int]] = {}
    for alarm, entity in enumerate(alarms.entity.tolist()):
        mine.setdefault(entity, []).append(alarm)
    first, followed = np.full(len(events), -1, dtype=np.int64), np.zeros(len(alarms), dtype=np.bool_)
    for event, entity in enumerate(events.entity.tolist()):
        near = [alarm for alarm in mine.get(entity, ()) if _precedes(alarms, alarm, events, event, horizon)]
        followed[near] = True
        first[event] = near[0] if near else -1
    return Warned(first, followed)


def lead_times(alarms: Moments, events: Moments, warned: Warned) -> tuple[list[float], list[float]]:
    """Hours, and rows, from the first alarm to each event that had one."""
    caught = np.flatnonzero(warned.first >= 0)
    first, came = alarms.at(warned.first[caught]), events.at(caught)
    return ((came.time_ms - first.time_ms) / _HOUR_MS).tolist(), (came.place - first.place).astype(float).tolist()


def onsets(worst: Bool, entity: Int64, quiet: int) -> Int64:
    """Rows at which the worst begins after at least `quiet` rows of the entity without it.

    Args:
        worst: does it stand at the row? Rows in time order within each entity.
        entity: the entity of each row.
        quiet: how long a calm must have lasted.
    """
    calm: dict[int, int] = {}
    found = []
    for row, (is_worst, whose) in enumerate(zip(worst.tolist(), entity.tolist(), strict=True)):
        if is_worst and calm.get(whose, 0) >= quiet:
            found.append(row)
        calm[whose] = 0 if is_worst else calm.get(whose, 0) + 1
    return np.array(found, dtype=np.int64)


def _precedes(alarms: Moments, alarm: int, events: Moments, event: int, horizon: Horizon | None) -> bool:
    rows = int(events.place[event] - alarms.place[alarm])
    if rows <= 0:
        return False
    if isinstance(horizon, timedelta):
        return bool(events.time_ms[event] - alarms.time_ms[alarm] <= horizon / timedelta(milliseconds=1))
    return horizon is None or rows <= horizon
