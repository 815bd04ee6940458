"""What an entity never seen begins with: the experience of the partition's others, where they are alike.

An empirical prior (Efron and Morris, 1973): of each signal the typical change, the tails of its statistics and how it
goes with the others, pooled over entities. Whose typical changes differ by more than a factor of 4 or so, or whose
statistics run otherwise, are of different kinds, and nothing is passed on: on NAB's files, which have nothing in common
but, scaled alike, their range, that cost 7 points. Levels are not passed on: where a value stands among everybody's is
the network's to learn (`trainer.population`).

The experience is the state of a slot of its own, so that snapshots, moves and shadows need nothing more. It is drawn
up anew each time the partition's admitted rows have grown by a quarter, between two rows: how a stream was cut into
micro-batches changes nothing, and a row costs O(1).

N rows of a batch, E entities, S signals, T tailed statistics, D kinds of deviation.
"""

import math
from collections.abc import Iterator, Mapping
from operator import itemgetter

import numpy as np

from schemas.observation import Batch, Bool, Field, Float64, Int64, Partition
from scorer.detector import AVERAGED, TAIL_ROWS, UNIT, UNIT_ROWS, Detector
from scorer.store import OURS, Store

_NAME = f"{OURS}experience"
_FIRST, _GROWTH = 256, 1.25
"""Admitted rows at which experience is drawn up first, and by how much they grow until it is again."""
_LEAST_ROWS, _LEAST_VALUES = 24, 2
"""Rows that an entity must have shown to be asked, and values to be asked about a signal."""
_LEAST_ENTITIES, _MOST_ENTITIES = 8, 512
"""How many such entities there must be, and how many are asked: the newest."""
_LEAST_POOLED = 100
"""Values of a signal, of all entities together."""
_ALIKE = 2.0
"""Variance between entities of the logarithm of a signal's typical change, up to which they are of one kind."""
_ALIKE_TAILS = 0.2
"""Variance of the means of log statistics between entities, in that within them, up to which they are of one kind."""
_OF_ONE = 0.8
"""Variance of the logarithm of a typical change over one value: of |x|, x between normal and Laplace."""
_REMEMBERED, _ROWS_REMEMBERED = 4000.0, 500.0
"""Values and rows that an entity counts as at most: what its tails, and its correlations, look back."""
_PART = "detector."
_WIDTH = "fast.width"
"""The logarithms of how much wider bands must be than the network says: of all entities, alike or not."""


class Experience:
    """Lends each entity its first state.

    Args:
        detector: whose state it is.
        store: where it lives: fields ``detector.*``, ``fast.width``, ``admission.rows`` (of its slot: the partition's).
    """

    def __init__(self, detector: Detector, store: Store) -> None:
        self._store = store
        self._nothing = detector.initial(1)
        self._fields = [f"{_PART}{name}" for name in self._nothing]
        self._lent = [*self._fields, _WIDTH]

    def stretches(self, batch: Batch, accepted: Bool) -> Iterator[Int64]:
        """Accepted rows in order; between two stretches, the first being scored, experience is drawn up anew."""
        start, rows = 0, np.flatnonzero(accepted)
        for end, partition in sorted(self._marks(batch, rows), key=itemgetter(0)):
            if start < end:
                yield rows[start:end]
            self._draw_up(partition)
            start = end
        if start < len(rows):
            yield rows[start:]

    def begin(self, batch: Batch, first: Int64, slot: Int64) -> None:
        """Lend what there is to the entities whose first rows these are."""
        for place in np.unique(batch.partition[first]).tolist():
            slots = slot[first[batch.partition[first] == place]]
            lent = self._store.gather(self._lent, self._own(batch.partitions[place]))
            self._store.scatter(slots, {name: np.repeat(value, len(slots), axis=0) for name, value in lent.items()})

    def _marks(self, batch: Batch, rows: Int64) -> Iterator[tuple[int, Partition]]:
        """After how many of the accepted rows a partition's experience is due; their counts go on."""
        for place, partition in enumerate(batch.partitions):
            mine = np.flatnonzero(batch.partition[rows] == place)
            own = self._own(partition)
            before = int(self._store.field("admission.rows")[own[0]])
            self._store.scatter(own, {"admission.rows": np.array([before + len(mine)])})
            for mark in _due(before, before + len(mine)):
                yield int(mine[mark - before - 1]) + 1, partition

    def _own(self, partition: Partition) -> Int64:
        """The slot, [1]."""
        return np.array(self._store.slots(partition, [_NAME]))

    def _draw_up(self, partition: Partition) -> None:
        held = self._store.held(partition)
        asked = held[self._store.field(f"{_PART}rows")[held] >= _LEAST_ROWS][-_MOST_ENTITIES:]
        if len(asked) >= _LEAST_ENTITIES:
            state = {name.removeprefix(_PART): value for name, value in self._store.gather(self._fields, asked).items()}
            try:
                drawn = pooled(state, self._nothing)
            except np.linalg.LinAlgError:  # correlations that nothing can be made of: what was lent so far stays
                return
            if all(np.isfinite(value).all() for name, value in drawn.items() if name != "profile"):
                lent = {f"{_PART}{name}": value for name, value in drawn.items()}
                width = self._store.gather([_WIDTH], asked)[_WIDTH].mean(axis=0, keepdims=True)
                self._store.scatter(self._own(partition), lent | {_WIDTH: width})


def _due(before: int, after: int) -> Iterator[int]:
    """Marks in (before, after]: a fixed sequence, so that nothing but the count has to be known."""
    mark = _FIRST
    while mark <= after:
        if mark > before:
            yield mark
        mark = math.ceil(mark * _GROWTH)


def pooled(state: Mapping[str, Field], fresh: Mapping[str, Field]) -> dict[str, Field]:
    """The state to begin with, [1, ...], by that of entities of some age, [E, ...].

    Args:
        state: the detector's.
        fresh: of an entity that nothing is lent to, [1, ...].
    """
    begun = {name: value.copy() for name, value in fresh.items()}
    own_ES = _own_values(state)
    unit_S, alike_S = _units(state["average"][..., UNIT], own_ES)
    alike_S &= _of_one_kind(state, own_ES)
    begun["lent"][0] = UNIT_ROWS * alike_S
    begun["average"][0, :, UNIT] = unit_S * alike_S
    weight_ES = own_ES * alike_S
    mean_ST, variance_ST = _moments(state["tail.mean"], state["tail.variance"], weight_ES[..., None])
    begun["tail.mean"][0], begun["tail.variance"][0] = mean_ST, variance_ST
    begun["tail.excess"][0] = _mean(state["tail.excess"], weight_ES[..., None])
    begun["tail.count"][0] = TAIL_ROWS * alike_S[:, None]
    if "precision" in state:
        begun["square"][0] = _mean(state["square"], weight_ES[:, None])
        begun["precision"][0] = _precision(state["precision"], state["rows"], alike_S)
    return begun


def _own_values(state: Mapping[str, Field]) -> Float64:
    """How many values each entity's tails remember, without those that it was lent, [E, S]."""
    lent_ES = np.where(state["lent"] > 0, TAIL_ROWS, 0.0)
    own_ES: Float64 = np.clip(state["tail.count"][..., 0] - lent_ES, 0.0, _REMEMBERED)
    return own_ES


def _units(unit_ES: Field, own_ES: Float64) -> tuple[Float64, Bool]:
    """The geometric mean of typical changes, and whether entities are alike in them, [S] both.

    A signal that hardly ever moves in anybody is alike too: that it moves is news.
    """
    known_ES = own_ES >= _LEAST_VALUES
    moving_ES = known_ES & (unit_ES > 0)
    weight_ES = own_ES * moving_ES
    log_ES = np.log(np.where(moving_ES, unit_ES, 1.0), dtype=np.float64)
    mean_S, between_S = _mean(log_ES, weight_ES), _between(log_ES, np.full(weight_ES.shape[1], _OF_ONE), weight_ES)
    enough_S = (known_ES.sum(axis=0) >= _LEAST_ENTITIES) & (own_ES.sum(axis=0) >= _LEAST_POOLED)
    return np.exp(mean_S) * moving_ES.any(axis=0), (between_S < _ALIKE) & enough_S


def _of_one_kind(state: Mapping[str, Field], own_ES: Float64) -> Bool:
    """Do entities' statistics run alike? Equal typical changes alone say little of series on one scale, [S].

    What was lent is taken out of a mean again, as if what was lent had been the mean of all. An entity counts as one
    standard deviation off at most: one that is out of order makes strangers of nobody.
    """
    mean_EST = state["tail.mean"]
    weight_ES1 = np.where(own_ES >= _LEAST_VALUES, own_ES, 0.0)[..., None]
    weight_EST = np.broadcast_to(weight_ES1, mean_EST.shape)
    within_ST = _mean(state["tail.variance"], weight_EST)
    middle_ST, reach_ST = _mean(mean_EST, weight_EST), np.sqrt(within_ST)
    borrowed_ES1 = TAIL_ROWS * (state["lent"] > 0)[..., None]
    off_EST = (mean_EST - middle_ST) * (1.0 + borrowed_ES1 / np.maximum(weight_ES1, 1.0))
    clipped_EST = middle_ST + np.clip(off_EST, -reach_ST, reach_ST)
    ratio_ST = _between(clipped_EST, within_ST, weight_EST) / np.maximum(within_ST, 1e-9)
    kind_S: Bool = ratio_ST[:, :AVERAGED].mean(axis=-1) < _ALIKE_TAILS  # a change in typical ones is alike in all
    return kind_S


def _between(mean_EX: Field, within_X: Float64, weight_EX: Float64) -> Float64:
    """How much of the spread of entities' means is between them: by moments (DerSimonian and Laird, 1986, section 2).

    `within_X` is the variance of one value, `weight_EX` how many of them a mean is of.
    """
    whole_X = np.maximum(weight_EX.sum(axis=0), 1.0)
    noise_X = within_X * np.maximum((weight_EX > 0).sum(axis=0) - 1, 0)
    spare_X = np.maximum(whole_X - np.square(weight_EX).sum(axis=0) / whole_X, 1e-9)
    spread_X = (weight_EX * np.square(mean_EX - _mean(mean_EX, weight_EX))).sum(axis=0)
    between_X: Float64 = (spread_X - noise_X) / spare_X
    return between_X


def _mean(value_EX: Field, weight_EX: Float64) -> Float64:
    whole_X = np.maximum(weight_EX.sum(axis=0), 1e-9)
    mean_X: Float64 = (weight_EX * value_EX).sum(axis=0) / whole_X
    return mean_X


def _moments(mean_EX: Field, variance_EX: Field, weight_EX: Float64) -> tuple[Float64, Float64]:
    """Of a value of anybody: the variance within entities and that between them."""
    mean_X = _mean(mean_EX, weight_EX)
    return mean_X, _mean(variance_EX + np.square(mean_EX - mean_X), weight_EX)


def _precision(precision_EDSS: Field, rows_E: Field, alike_S: Bool) -> Float64:
    """The inverse of the mean correlations, [D, S, S]; signals in which entities differ stand alone."""
    weight_E = np.minimum(rows_E.astype(np.float64), _ROWS_REMEMBERED)
    correlations_EDSS = np.linalg.inv(precision_EDSS.astype(np.float64))
    mean_DSS = _mean(correlations_EDSS, weight_E[:, None, None, None])
    shared_DSS = np.where(alike_S[:, None] & alike_S, mean_DSS, np.eye(len(alike_S)))
    precision_DSS: Float64 = np.linalg.inv(shared_DSS)
    return precision_DSS
