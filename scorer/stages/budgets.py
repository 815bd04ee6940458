"""The budget of a partition: what an alarm costs each entity now, and who pays for one that was raised.

Everybody who has a budget is an account in the store, so that accounts are snapshot, move and are copied with the
partition: all its entities together, each group, the total, and each entity for itself. What is said in total or for a
group is shared out evenly among the partitions, over which entities are spread by hash.

N rows.
"""

from dataclasses import dataclass

import numpy as np

from schemas.budget import Achieved, Budget, Rate, Span
from schemas.layout import Layout
from schemas.observation import Bool, Float64, Int64, Partition, Status
from schemas.prediction import Predictions
from scorer.stages.account import ACCOUNT_FIELDS, NEVER, Account, own_prices, own_raised
from scorer.store import OURS, Store

_ACCOUNT = f"{OURS}account "
_ENTITY, _TOTAL, _GROUP = f"{_ACCOUNT}entity", f"{_ACCOUNT}total", f"{_ACCOUNT}group "


@dataclass(frozen=True, slots=True)
class _Payers:
    """One account and the batch's rows that it is asked for.

    Attributes:
        name: of its slot.
        rate: allowed alarms a millisecond or row.
        rows_N: whose alarms it pays for.
        now_N: how far its count stands at each row.
        account: read from the store.
    """

    name: str
    partition: Partition
    rate: float
    rows_N: Bool
    now_N: Int64
    account: Account


class Books:
    """The accounts of one batch: open until `close`."""

    def __init__(self, store: Store, predictions: Predictions, payers: list[_Payers], own: Rate | None) -> None:
        self._store, self._slot, self._payers, self._own = store, predictions.slot, payers, own
        self._mine_N = _count(own, predictions)

    def prices(self) -> Float64:
        """What an alarm costs at each row if none is raised before it from now on, [N]: it costs no less then."""
        none = -np.inf
        shared_N = np.full(len(self._slot), none)
        for each in self._payers:
            asked_N = each.account.prices(each.rate, each.now_N)
            shared_N = np.where(each.rows_N, np.maximum(shared_N, asked_N), shared_N)
        price_N: Float64 = np.where(shared_N == none, 0.0, shared_N) + self._own_prices()
        return price_N

    def pay(self, row: int, *, own: bool = True, always: bool = False) -> None:
        """An alarm was raised at a row; `own`: of the row's entity; `always`: it would have been at any price."""
        for each in self._payers:
            if each.rows_N[row]:
                each.account.pay(each.rate, int(each.now_N[row]), always=always)
        if self._own is not None and own:
            price, at, slot = *self._cells(), self._slot[row]
            price[slot] = own_raised(price[slot], at[slot], self._own.per_unit, int(self._mine_N[row]))
            at[slot] = self._mine_N[row]

    def close(self) -> None:
        """Write the accounts back."""
        for each in self._payers:
            if len(each.now_N):
                each.account.now = int(each.now_N[-1])
            slot = self._store.slots(each.partition, [each.name])
            values = {f"budget.{name}": np.array([getattr(each.account, name)]) for name in ACCOUNT_FIELDS}
            self._store.scatter(np.array(slot), values)

    def _own_prices(self) -> Float64:
        if self._own is None:
            return np.zeros(len(self._slot))
        price_N, at_N = (cell[self._slot] for cell in self._cells())
        return own_prices(price_N, at_N, self._own.per_unit, self._mine_N)

    def _cells(self) -> tuple[Float64, Int64]:
        return self._store.field("budget.price"), self._store.field("budget.at")


class Budgets:
    """Opens the books of each batch.

    Args:
        layout: of the monitor.
        store: where accounts live (fields ``budget.*``).
        budget: to be kept.
        partitions: among how many what is said in total and for groups is shared out.
    """

    def __init__(self, layout: Layout, store: Store, budget: Budget, partitions: int) -> None:
        self._store, self._budget = store, budget
        self._share = 1.0 / partitions
        self._warm_up = layout.monitor.alerts.warm_up
        self._names: dict[Partition, set[str]] = {}
        self._by = None if budget.by is None else layout.index[budget.by]

    def open(self, predictions: Predictions) -> Books:
        """Count the batch's time, and look up who pays for each of its rows."""
        watched_N = self._watched(predictions)
        payers = []
        for place, partition in enumerate(predictions.batch.partitions):
            mine_N = (predictions.batch.partition == place) & (predictions.status == Status.OK)
            if mine_N.any():
                payers += self._payers(partition, mine_N, watched_N, predictions)
        return Books(self._store, predictions, payers, self._budget.entity)

    def achieved(self, partition: Partition) -> dict[str, Achieved]:
        """What became of a partition's budgets so far: of its entities, of each group (`group 3`), in total."""
        found = {}
        for name in sorted(self._names_of(partition)):
            account, asked = self._account(partition, name), self._asked(name)
            if asked is not None and account.since != NEVER:
                spans = (account.now - account.since) / asked.span.size
                found[name.removeprefix(_ACCOUNT)] = Achieved(asked, account.alarms, spans, account.always)
        return found

    def forget(self, partition: Partition) -> None:
        """Its accounts may be others when it is held again."""
        self._names.pop(partition, None)

    def _names_of(self, partition: Partition) -> set[str]:
        """Of its accounts; looked for once among the entities, of which there are many."""
        if partition not in self._names:
            self._names[partition] = {name for name in self._store.names(partition) if name.startswith(_ACCOUNT)}
        return self._names[partition]

    def _asked(self, name: str) -> Rate | None:
        """None: an account of another configuration."""
        budget = self._budget
        return {_ENTITY: budget.entity, _TOTAL: budget.total}.get(name, budget.group)

    def _account(self, partition: Partition, name: str) -> Account:
        slot = self._store.slots(partition, [name])[0]
        return Account(*(self._store.field(f"budget.{each}")[slot].item() for each in ACCOUNT_FIELDS))

    def _payers(self, partition: Partition, mine_N: Bool, watched_N: Int64, predictions: Predictions) -> list[_Payers]:
        budget, found = self._budget, []
        clock_N = np.maximum.accumulate(np.where(mine_N, predictions.batch.time_ms, NEVER))
        if budget.entity is not None:
            counted_N = np.cumsum(np.where(mine_N, watched_N, 0))
            found.append(self._payer(_ENTITY, partition, budget.entity.per_unit, mine_N, counted_N, relative=True))
        if budget.total is not None:
            found.append(self._payer(_TOTAL, partition, budget.total.per_unit * self._share, mine_N, clock_N))
        if budget.group is not None and self._by is not None:
            said_N = np.round(predictions.last[:, self._by])
            for group in np.unique(said_N[mine_N & ~np.isnan(said_N)]).tolist():
                name, theirs_N = f"{_GROUP}{group:g}", mine_N & (said_N == group)
                found.append(self._payer(name, partition, budget.group.per_unit * self._share, theirs_N, clock_N))
        return found

    def _payer(
        self, name: str, partition: Partition, rate: float, rows_N: Bool, now_N: Int64, *, relative: bool = False
    ) -> _Payers:
        account = self._account(partition, name)
        self._names_of(partition).add(name)
        account.begin(0 if relative else int(now_N[rows_N][0]))
        now_N = now_N + account.now if relative else np.maximum(now_N, account.now)
        return _Payers(name, partition, rate, rows_N, now_N, account)

    def _watched(self, predictions: Predictions) -> Int64:
        """How much longer each row's entity has been watched than at its row before, in its budget's unit, [N].

        While an entity is warming up nothing counts; the first row after it brings what has waited.
        """
        added_N = np.zeros(len(predictions.slot), dtype=np.int64)
        if self._budget.entity is None:
            return added_N
        now_N, since = _count(self._budget.entity, predictions), self._store.field("budget.since")
        new_N = since[predictions.slot] == NEVER
        rows = np.flatnonzero(predictions.status == Status.OK)
        rows = rows[np.argsort(predictions.slot[rows], kind="stable")]
        first_n = np.diff(predictions.slot[rows], prepend=-1) != 0
        rows = rows[(predictions.rows_seen[rows] >= self._warm_up) | (first_n & new_N[rows])]
        slot_n, now_n = predictions.slot[rows], now_N[rows]
        first_n = np.diff(slot_n, prepend=-1) != 0
        counted = self._store.field("budget.now")
        before_n = np.where(first_n, np.where(new_N[rows], now_n, counted[slot_n]), np.roll(now_n, 1))
        added_N[rows] = now_n - before_n
        counted[slot_n] = now_n
        begun = slot_n[first_n & new_N[rows]]
        since[begun] = now_n[first_n & new_N[rows]]
        self._store.field("budget.at")[begun] = since[begun]
        return added_N


def _count(rate: Rate | None, predictions: Predictions) -> Int64:
    """What an entity's budget counts: its event time, or its rows, [N]."""
    by_rows = rate is not None and rate.span is Span.ROWS
    return predictions.rows_seen if by_rows else predictions.batch.time_ms
