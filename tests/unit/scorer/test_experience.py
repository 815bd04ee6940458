"""Experience: lent between entities that are alike, the same however the stream is cut, and nothing to strangers."""

import numpy as np
import pytest

from schemas.prediction import Predictions
from scorer.experience import _of_one_kind
from scorer.scorer import Scorer, state_template
from scorer.store import Store
from tests.laws.ward import TOPIC, batch, layout

WARD = layout()
MINUTE_MS = 60_000
OLD, LONG = 12, 60
"""Entities of some age, and their rows; one more comes afterwards."""


def stream(scales: np.ndarray, newcomer: int = 8, seed: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of entities in turn, each moving by its own scale; then a newcomer, whose last row leaps."""
    rng = np.random.default_rng(seed)
    entity = np.concatenate([np.tile(np.arange(OLD), LONG), np.full(newcomer, OLD)])
    values = np.full((len(entity), len(WARD.names)), np.nan)
    values[:, :2] = np.array([80.0, 120.0]) + rng.normal(size=(len(entity), 2)) * scales[entity, None]
    values[-1, 0] += 40.0
    return entity, values, np.arange(len(entity), dtype=np.int64) * MINUTE_MS


def scored(entity: np.ndarray, values: np.ndarray, time_ms: np.ndarray, cuts: tuple[int, ...] = ()) -> Predictions:
    """The last batch's."""
    scorer = Scorer(WARD, Store(state_template(WARD)), lambda _: None)
    for part in np.split(np.arange(len(entity)), cuts):
        rows = batch(entity[part], values[part], time_ms[part], int(part[0]))
        found = scorer.score(rows, np.zeros(len(part), dtype=np.bool_), np.zeros(len(part), dtype=np.int64))
    return found


def test_a_newcomers_leap_is_told_by_what_others_do() -> None:
    alike = stream(np.ones(OLD + 1))
    lent, alone = scored(*alike), scored(*(column[OLD * LONG :] for column in alike))
    assert (bool(lent.lent[-1]), bool(alone.lent[-1])) == (True, False)
    assert (lent.surprise[-1] > 2.0, alone.surprise[-1] < 0.5) == (True, True)
    assert lent.surprise[-8:-1].max() < 1.1


def test_a_newcomer_is_told_by_its_fourth_row() -> None:
    found = scored(*stream(np.ones(OLD + 1), newcomer=4))
    assert found.surprise[-1] > 2.0


def test_entities_of_other_kinds_are_no_experience() -> None:
    scales = np.append(10.0 ** np.linspace(-2.0, 1.2, OLD), 1.0)
    strangers = stream(scales)
    found, alone = scored(*strangers), scored(*(column[OLD * LONG :] for column in strangers))
    assert not found.lent.any()
    assert found.surprise[-8:].tolist() == alone.surprise[-8:].tolist()


def test_a_newcomers_bands_begin_as_wide_as_the_others_have_become() -> None:
    entity, values, time_ms = stream(np.ones(OLD + 1), newcomer=1)
    store = Store(state_template(WARD))
    scorer = Scorer(WARD, store, lambda _: None)
    for first, end in ((0, 200), (200, len(entity))):
        rows = batch(entity[first:end], values[first:end], time_ms[first:end], first)
        scorer.score(rows, np.zeros(end - first, dtype=np.bool_), np.zeros(end - first, dtype=np.int64))
        if first == 0:
            held = store.held(TOPIC)
            shape = (len(held), *store.field("fast.width").shape[1:])
            store.scatter(held, {"fast.width": np.full(shape, 0.5, dtype=np.float32)})
    newcomer = store.field("fast.width")[store.held(TOPIC)[-1]]
    assert newcomer.ravel().tolist() == [0.5] * newcomer.size


def tails(
    middles: np.ndarray, own: float, lent: float = 0.0, seed: int = 0
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Of one signal's four statistics what entities' tails hold after `own` values, where 400 of others' were lent."""
    mean = middles[:, None, None] + np.random.default_rng(seed).normal(size=(len(middles), 1, 4)) / np.sqrt(own)
    borrowed = 400.0 * lent
    state = {
        "tail.mean": (mean * own + middles.mean() * borrowed) / (own + borrowed),
        "tail.variance": np.ones_like(mean),
    }
    return state | {"lent": np.full((len(middles), 1), lent)}, np.full((len(middles), 1), own)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("lent", [0.0, 1.0])
def test_entities_whose_statistics_run_otherwise_are_of_other_kinds(seed: int, lent: float) -> None:
    two_kinds = np.tile([-0.8, 0.8], 12)
    assert _of_one_kind(*tails(np.zeros(24), 60.0, lent, seed)).all()
    assert not _of_one_kind(*tails(two_kinds, 60.0, lent, seed)).any()
    assert not _of_one_kind(*tails(two_kinds, 3_000.0, lent, seed)).any()


def test_one_entity_out_of_order_makes_strangers_of_nobody() -> None:
    assert _of_one_kind(*tails(np.append(np.zeros(23), 40.0), 60.0)).all()


def test_too_few_entities_are_no_experience() -> None:
    entity, values, time_ms = stream(np.ones(OLD + 1))
    few = (entity < 7) | (entity == OLD)
    assert not scored(entity[few], values[few], time_ms[few]).lent.any()


@pytest.mark.parametrize("size", [1, 37, 300])
def test_what_is_lent_does_not_depend_on_batches(size: int) -> None:
    columns = stream(np.ones(OLD + 1))
    cuts = (*range(size, OLD * LONG, size), OLD * LONG)
    whole, cut = scored(*columns), scored(*columns, cuts=cuts)
    for name in ("score", "surprise", "evidence", "probability", "lent", "expected"):
        np.testing.assert_array_equal(getattr(whole, name)[-8:], getattr(cut, name)[-8:])


def test_an_absurd_entity_does_not_spoil_what_is_lent() -> None:
    columns = stream(np.ones(OLD + 1))
    columns[1][columns[0] == 0] = np.where(np.isnan(columns[1][columns[0] == 0]), np.nan, 1e300)
    found = scored(*columns)
    assert np.isfinite(found.surprise).all()
    assert found.surprise[-1] > 2.0


def test_correlations_that_have_no_inverse_end_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def singular(matrix: np.ndarray) -> np.ndarray:
        raise np.linalg.LinAlgError

    monkeypatch.setattr(np.linalg, "inv", singular)
    assert not scored(*stream(np.ones(OLD + 1))).lent.any()
