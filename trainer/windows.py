"""Windows of one entity's rows, complete once everything that they are judged by has been observed: no peeking.

L rows of a window, A rows ahead of it (the longest horizon or outlook), S signals, R rules, n accepted rows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import torch

from schemas.layout import Layout, no_vectors
from schemas.observation import Batch, Bool, Field, Float64, Int64, Partition, Status
from trainer.rows import pack
from trainer.rule_inputs import known_of
from trainer.rules import Rules
from trainer.slots import LEAST_ENTITIES, Slots
from trainer.statistics import Statistics

_NEVER = np.iinfo(np.int64).min
_VECTOR = "vector."


@dataclass(frozen=True, slots=True)
class Window:
    """L rows to learn from, followed by the A rows that came next.

    Attributes:
        slot: where the entity's state is kept.
        values: raw units, [L + A, S].
        time_ms: [L + A].
        rules: each rule's score, NaN where unknown, [L + A, R].
        partition: where the rows came from.
        offsets: first offset and the one after the last of the L rows.
        vectors: modality -> frames or embeddings, [L + A, ...].
    """

    slot: int
    values: Float64
    time_ms: Int64
    rules: Float64
    partition: Partition
    offsets: tuple[int, int]
    vectors: Mapping[str, Field] = field(default_factory=dict)


def window_template(layout: Layout) -> dict[str, Field]:
    """What is kept of an entity never seen, leading axis 1."""
    span, rules = _span(layout), len(layout.monitor.rules)
    return {
        "values": np.full((1, span, len(layout.signals)), np.nan),
        "time_ms": np.zeros((1, span), dtype=np.int64),
        "offset": np.zeros((1, span), dtype=np.int64),
        "rules": np.full((1, span, rules), np.nan),
        "filled": np.zeros(1, dtype=np.int64),
        "refused": np.zeros(1, dtype=np.int64),
        "newest_ms": np.full(1, _NEVER, dtype=np.int64),
        "ahead": Statistics(layout).initial(1).numpy(),
        **{f"{_VECTOR}{name}": vector[None] for name, vector in no_vectors(layout, span).items()},
    }


class WindowBuffer:
    """Keeps each entity's last rows until they make a window.

    A row counts if it is valid and newer than the entity's newest: duplicates and late rows are skipped.

    Args:
        layout: order of signals and tasks.
        slots: where rows are kept; its template must hold `window_template(layout)`.
    """

    def __init__(self, layout: Layout, slots: Slots) -> None:
        self._layout, self._slots = layout, slots
        self._length = layout.monitor.training.window
        self._span = _span(layout)
        self._rules = Rules(layout)
        self._statistics = Statistics(layout)

    def add(self, batch: Batch) -> Iterator[tuple[list[Window], list[int]]]:
        """Windows that a batch completes, in order, and the slots that changed hands before them."""
        rows = np.flatnonzero(batch.status == Status.OK)
        for part in np.split(rows, range(LEAST_ENTITIES, len(rows), LEAST_ENTITIES)):
            if len(part):
                yield self._add(batch, part)

    def _add(self, batch: Batch, rows: Int64) -> tuple[list[Window], list[int]]:
        keys = [(batch.partitions[batch.partition[row]], batch.entity[row]) for row in rows]
        distinct = dict.fromkeys(keys)
        slots, evicted = self._slots.take(distinct)
        slot_of = dict(zip(distinct, slots, strict=True))
        slot = np.array([slot_of[key] for key in keys], dtype=np.int64)
        partition_of = {slot_of[key]: key[0] for key in distinct}
        newer = self._newer(slot, batch.time_ms[rows])
        rows, slot = rows[newer], slot[newer]
        windows: list[Window] = []
        if len(rows):
            incoming = {
                "values": batch.values[rows],
                "time_ms": batch.time_ms[rows],
                "offset": batch.offset[rows],
                "rules": self._judge(slot, batch.values[rows], batch.time_ms[rows]),
                **{f"{_VECTOR}{name}": vector[rows] for name, vector in batch.vectors.items()},
            }
            windows = self._fill(slot, incoming, partition_of)
        return windows, evicted

    def _newer(self, slot: Int64, time_ms: Int64) -> Bool:
        """Rows newer than everything their entity showed before."""
        entities, entity = np.unique(slot, return_inverse=True)
        newest = self._slots.gather(["newest_ms"], entities)["newest_ms"]
        times, rank = np.unique(np.concatenate([newest, time_ms]), return_inverse=True)
        order = np.argsort(np.concatenate([np.arange(len(entities)), entity]), kind="stable")
        owner = np.concatenate([np.arange(len(entities)), entity])[order]
        # Ranks of one entity lie above those of the entity before, so that one running maximum serves all.
        seen = np.maximum.accumulate(owner * len(times) + rank[order])
        fresh = np.ones(len(order), dtype=np.bool_)
        fresh[1:] = seen[1:] > seen[:-1]
        newer = np.empty(len(order), dtype=np.bool_)
        newer[order] = fresh
        last = np.append(np.flatnonzero(owner[1:] != owner[:-1]), len(owner) - 1)
        self._slots.scatter(entities, {"newest_ms": times[seen[last] - np.arange(len(entities)) * len(times)]})
        return newer[len(entities) :]

    def _judge(self, slot: Int64, values: Float64, time_ms: Int64) -> Float64:
        """Rule scores of the rows as they arrive, [n, R]."""
        if not self._layout.states:
            return np.full((len(slot), len(self._layout.monitor.rules)), np.nan)
        entities, entity = np.unique(slot, return_inverse=True)
        packed, order, entity_order = pack(entity, values, time_ms, self._layout)
        ahead = torch.from_numpy(self._slots.gather(["ahead"], entities[entity_order])["ahead"])
        observed = self._statistics.observe(ahead, packed)
        after = observed.statistics_EFS[: len(entities)].numpy()
        self._slots.scatter(entities[entity_order][: len(entities)], {"ahead": after})
        return self._rules.score(known_of(packed, observed, self._layout))[order]

    def _fill(self, slot: Int64, incoming: dict[str, Field], partition_of: dict[int, Partition]) -> list[Window]:
        """Append rows to their entities; as often as an entity is full, take its window and keep what is ahead."""
        windows: list[Window] = []
        while len(slot):
            entities, first, entity, counts = np.unique(
                slot, return_index=True, return_inverse=True, return_counts=True
            )
            order = np.argsort(entity, kind="stable")
            place = np.empty_like(order)
            place[order] = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
            held = self._slots.gather([*incoming, "filled"], entities)
            place += held["filled"][entity]
            fits = place < self._span
            for name, value in incoming.items():
                held[name][entity[fits], place[fits]] = value[fits]
            held["filled"] = np.minimum(held["filled"] + counts, self._span)
            held["refused"] = np.zeros_like(held["filled"])
            full = np.flatnonzero(held["filled"] == self._span)
            full = full[np.argsort(first[full])]  # as their rows came: another rank may hold them in other slots
            windows += [self._window(int(entities[e]), held, int(e), partition_of) for e in full]
            for name in incoming:
                held[name][full, : self._span - self._length] = held[name][full, self._length :]
            held["filled"][full] = self._span - self._length
            self._slots.scatter(entities, held)
            slot = slot[~fits]
            incoming = {name: value[~fits] for name, value in incoming.items()}
        return windows

    def _window(self, slot: int, held: dict[str, Field], e: int, partition_of: dict[int, Partition]) -> Window:
        offsets = held["offset"][e, : self._length]
        return Window(
            slot=slot,
            values=held["values"][e].copy(),
            time_ms=held["time_ms"][e].copy(),
            rules=held["rules"][e].copy(),
            vectors={name: held[f"{_VECTOR}{name}"][e].copy() for name in self._layout.vectors},
            partition=partition_of[slot],
            offsets=(int(offsets.min()), int(offsets.max()) + 1),
        )


def rows_ahead(layout: Layout) -> int:
    """A: how many rows after a row it takes to judge all that is said of it."""
    outlooks = tuple(task.target.within for task in layout.states if task.target)
    settings, horizons = layout.monitor.training, layout.forecast.horizons
    ahead = [settings.rows_ahead if isinstance(horizon, timedelta) else horizon for horizon in horizons]
    return max([*ahead, *outlooks])


def _span(layout: Layout) -> int:
    return layout.monitor.training.window + rows_ahead(layout)
