"""The learned score's alerts as discoveries: at what evidence they are, so that a given share of them is false at most.

Hypotheses are rows: "nothing is wrong with this entity now". Rows of entities that warm up are none, and those in the
silence after an alert are not tested; they are counted all the same, which errs on the safe side. An alert that opens
is a discovery, and an escalation is no second one.

Each partition controls its own rate, in blocks of rows counted in its own order: the level and the tail that a row is
judged by stand from the first row of its block, so that neither micro-batches nor other partitions matter. They are
fields of a slot of the partition's own, as accounts are: snapshot, moved and copied with it.

N rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.alerting import AlertSettings, Severity
from schemas.discovered import DISCOVERIES, Discovered
from schemas.observation import Field, Float64, Int64, Partition, Status
from schemas.prediction import Predictions
from scorer.stages.chance import BLOCK, NEVER, Chance
from scorer.stages.warm_up import rows_needed
from scorer.stages.wealth import Wealth
from scorer.store import OURS, Store

_NAME = f"{OURS}discoveries"
_PREFIX = "discovery."
_CHANCE, _WEALTH = tuple(Chance.__dataclass_fields__), tuple(Wealth.__dataclass_fields__)


@dataclass(slots=True)
class _Part:
    """One partition and its rows in the batch.

    Attributes:
        place: among the batch's partitions.
        rows_n: those that may be tested, ascending.
        seen: such rows of the block so far.
        alarms: discoveries so far.
    """

    partition: Partition
    place: int
    rows_n: Int64
    chance: Chance
    wealth: Wealth
    seen: int
    alarms: int

    def ends(self) -> list[int]:
        """Where blocks end: the rows after their last ones."""
        ends: list[int] = (self.rows_n[BLOCK - self.seen - 1 :: BLOCK] + 1).tolist()
        return ends

    def within(self, rows: slice) -> Int64:
        """Its rows of a stretch."""
        first, end = np.searchsorted(self.rows_n, (rows.start, rows.stop))
        return self.rows_n[first:end]


class Trials:
    """The tests of one batch: open until `close`."""

    def __init__(
        self,
        store: Store,
        predictions: Predictions,
        parts: list[_Part],
        settings: AlertSettings,
        strictness_N: Float64,
    ) -> None:
        self._store, self._predictions, self._parts, self._settings = store, predictions, parts, settings
        self._rate = settings.false_discovery_rate or 0.0
        self._strictness_N = strictness_N
        self._quiet_N, self._alarm_N = np.zeros((2, len(predictions.slot)), dtype=np.bool_)

    def stretches(self) -> Iterator[slice]:
        """Rows in order; between two stretches, the first being judged, a block of a partition ends."""
        start = 0
        for end in sorted({len(self._quiet_N)}.union(*(part.ends() for part in self._parts))):
            rows = slice(start, end)
            until_N = self._store.field("alert.quiet_until")[self._predictions.slot[rows], 0]
            self._quiet_N[rows] = self._predictions.rows_seen[rows] < until_N
            yield rows
            for part in self._parts:
                self._learn(part, part.within(rows))
            start = end

    def ranks(self, rows: slice) -> NDArray[np.int8]:
        """The severity that the learned scores of a stretch reach; 0 none."""
        rank_N = np.zeros(rows.stop - rows.start, dtype=np.int8)
        for part in self._parts:
            rows_n = part.within(rows)
            rarity_n = part.chance.rarity(self._predictions.surprise[rows_n]) - self._strictness_N[rows_n]
            needed = -float(np.log10(part.wealth.level(self._rate)))
            critical = needed + max(self._settings.critical - self._settings.threshold, 0.0)
            rank_n = np.where(rarity_n >= needed, Severity.WARNING.rank, 0)
            rank_N[rows_n - rows.start] = np.where(rarity_n >= critical, Severity.CRITICAL.rank, rank_n)
        return rank_N

    def alarmed(self, row: int, *, opened: bool) -> None:
        """An alert of the learned score opened or escalated at a row: its entity is silent from here on."""
        slot, number = self._predictions.slot, self._predictions.rows_seen
        later_N = (slot == slot[row]) & (np.arange(len(slot)) > row)
        self._quiet_N |= later_N & (number < number[row] + self._settings.cooldown)
        self._alarm_N[row] = True
        part = next(each for each in self._parts if each.place == self._predictions.batch.partition[row])
        part.wealth.now += opened
        part.alarms += opened

    def close(self) -> None:
        """Write the procedures back."""
        for part in self._parts:
            told = {name: getattr(part.chance, name) for name in _CHANCE}
            told |= {name: getattr(part.wealth, name) for name in _WEALTH} | {"seen": part.seen, "alarms": part.alarms}
            values: dict[str, Field] = {f"{_PREFIX}{name}": np.array([value]) for name, value in told.items()}
            self._store.scatter(np.array(self._store.slots(part.partition, [_NAME])), values)

    def _learn(self, part: _Part, rows_n: Int64) -> None:
        part.chance.new_rows += float((~self._quiet_N[rows_n]).sum())
        for row in rows_n[self._predictions.surprise[rows_n] > part.chance.edge].tolist():
            self._exceed(part.chance, row)
        part.seen += len(rows_n)
        if part.seen == BLOCK:
            part.chance.turn()
            part.wealth.turn()
            part.seen = 0

    def _exceed(self, chance: Chance, row: int) -> None:
        weight = 0.0 if self._quiet_N[row] else self._rate if self._alarm_N[row] else 1.0
        slot, number = int(self._predictions.slot[row]), int(self._predictions.rows_seen[row])
        last_row, peak = (self._store.field(f"{_PREFIX}{name}") for name in ("last_row", "peak"))
        evidence = float(self._predictions.surprise[row])
        peak[slot] = chance.exceed(evidence, number, weight, int(last_row[slot]), float(peak[slot]))
        last_row[slot] = number


class Discoveries:
    """Opens the tests of each batch.

    Args:
        settings: whose `false_discovery_rate` is controlled.
        store: where procedures live (fields ``discovery.*``).
    """

    def __init__(self, settings: AlertSettings, store: Store) -> None:
        self._settings, self._store = settings, store

    def open(self, predictions: Predictions, strictness_N: Float64) -> Trials:
        """Find out which of the batch's rows may be tested, and where their partitions' procedures stand.

        `strictness_N` is how much stronger the learned score must be.
        """
        needed_N = rows_needed(self._settings.warm_up, predictions.lent)
        may_N = (predictions.status == Status.OK) & (predictions.rows_seen >= needed_N)
        parts = []
        for place, partition in enumerate(predictions.batch.partitions):
            rows_n = np.flatnonzero(may_N & (predictions.batch.partition == place))
            if len(rows_n):
                parts.append(self._part(partition, place, rows_n))
        return Trials(self._store, predictions, parts, self._settings, strictness_N)

    def achieved(self, partition: Partition) -> dict[str, Discovered]:
        """What was discovered in a partition so far."""
        alarms = int(self._read(partition, ["alarms"])["alarms"])
        return {DISCOVERIES: Discovered(self._settings.false_discovery_rate or 0.0, alarms)}

    def _part(self, partition: Partition, place: int, rows_n: Int64) -> _Part:
        chance, wealth = Chance(**self._read(partition, _CHANCE)), Wealth(**self._read(partition, _WEALTH))
        seen, alarms = self._read(partition, ["seen", "alarms"]).values()
        return _Part(partition, place, rows_n, chance, wealth, int(seen), int(alarms))

    def _read(self, partition: Partition, names: Sequence[str]) -> dict[str, float]:
        slot = self._store.slots(partition, [_NAME])[0]
        return {name: self._store.field(f"{_PREFIX}{name}")[slot].item() for name in names}


def initial_discoveries() -> dict[str, Field]:
    """State of an entity never seen, and of a partition's slot: field ``discovery.<name>``, [1]."""
    chance, wealth = Chance(), Wealth()
    floats = {name: getattr(chance, name) for name in _CHANCE} | {name: getattr(wealth, name) for name in _WEALTH}
    whole = {"seen": 0, "alarms": 0, "last_row": NEVER}
    return {
        **{f"{_PREFIX}{name}": np.array([value], dtype=np.float64) for name, value in (floats | {"peak": 0.0}).items()},
        **{f"{_PREFIX}{name}": np.array([value], dtype=np.int64) for name, value in whole.items()},
    }
