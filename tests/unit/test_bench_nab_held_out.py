"""Choosing on some files and judging on others, by hand; and alerts decided anew are the pipeline's."""

from pathlib import Path

import numpy as np
import pytest

from infra.metrics.nab import Profile
from schemas.alert import ALARMS
from schemas.alerting import AlertSettings
from scorer import tail
from tests.bench.alarms import collect, raised, written
from tests.bench.nab_held_out.choice import chosen, draws, earned, halves
from tests.bench.nab_held_out.figures import better_in_both, figures, names, with_spread
from tests.bench.nab_held_out.grid import CONSTANTS, replaced, settings
from tests.bench.nab_held_out.replay import alarms, judged
from tests.bench.nab_held_out.systems import System

RAW_VF = np.array(
    [
        [1.0, 1.0, 1.0, 1.0],
        [4.0, -2.0, 3.0, -1.0],
        [-3.0, 2.0, 0.0, 2.0],
    ]
)
"""Three variants, four files: sums 4, 4 and 1."""
FILES = np.arange(4)
WINDOWS_F = np.array([2, 1, 1, 4])
FOLDS = {"leave one file out": FILES}
SYSTEM = System("made up", ("first", "second", "third"), dict.fromkeys(Profile, RAW_VF))


def test_each_file_is_judged_under_the_variant_that_is_best_on_all_others() -> None:
    # Sums without file 0: 3, 0, 4; without 1: 3, 6, -1; without 2: 3, 1, 1; without 3: 3, 5, -1.
    found = chosen(RAW_VF, FILES)
    assert (found.tolist(), earned(RAW_VF, found).tolist()) == ([2, 1, 0, 1], [-3.0, -2.0, 1.0, -1.0])


def test_halves_choose_for_each_other() -> None:
    # Files 0 and 2: sums 2, 7, -3, so files 1 and 3 are judged under variant 1; those choose variant 2.
    found = chosen(RAW_VF, halves(4))
    assert (found.tolist(), earned(RAW_VF, found).tolist()) == ([2, 1, 2, 1], [-3.0, -2.0, 0.0, -1.0])


def test_a_file_that_was_drawn_twice_counts_twice_and_is_held_out_whole() -> None:
    # Weights 1, 2, 0, 1. Sums without 0: 3, -5, 6; without 1: 2, 3, -1; without 3: 3, 0, 1.
    assert chosen(RAW_VF, FILES, np.array([1.0, 2.0, 0.0, 1.0]))[[0, 1, 3]].tolist() == [2, 1, 0]


def test_what_a_file_earns_does_not_move_its_own_choice() -> None:
    other_VF = RAW_VF.copy()
    other_VF[:, 0] = [0.0, 0.0, 1e6]
    assert chosen(other_VF, FILES)[0] == chosen(RAW_VF, FILES)[0]


def test_of_equals_the_first_is_chosen_whatever_the_last_bits_say() -> None:
    thrice_VF = np.array([[0.1, 0.2, 0.3], [0.3, 0.2, 0.1 + 1e-16], [0.2, 0.2, 0.2]])
    assert chosen(thrice_VF, np.array([0, 1, 1]))[0] == 0


def test_one_fold_leaves_nothing_to_choose_on() -> None:
    with pytest.raises(ValueError, match="at least two folds, got one"):
        chosen(RAW_VF, np.zeros(4, dtype=np.int64))


def test_figures_are_normalised_over_the_files_judged() -> None:
    # Standard: 100 (raw + windows) / (2 windows); 8 windows in all, 3 on even files, 5 on odd ones.
    found = figures(SYSTEM, WINDOWS_F, FOLDS, Profile.STANDARD, np.ones(4))
    expected = {
        "default": 100 * 12 / 16,
        "best in hindsight": 100 * 12 / 16,
        "median of the grid": 100 * 12 / 16,
        "leave one file out": 100 * 3 / 16,
        "even files, default": 100 * 5 / 6,
        "even files, chosen on the others": 100 * 0 / 6,
        "odd files, default": 100 * 7 / 10,
        "odd files, chosen on the others": 100 * 2 / 10,
    }
    assert dict(zip(names(FOLDS), found.tolist(), strict=True)) == pytest.approx(expected)


def test_a_miss_costs_twice_where_low_misses_are_wanted() -> None:
    found = figures(SYSTEM, WINDOWS_F, FOLDS, Profile.LOW_FN, np.ones(4))
    assert found[0] == pytest.approx(100 * (4 + 16) / 24)


def test_draws_of_the_same_files_have_no_spread() -> None:
    _, spread = with_spread(SYSTEM, WINDOWS_F, FOLDS, Profile.STANDARD, np.ones((5, 4)))
    assert spread.tolist() == [0.0] * len(names(FOLDS))


def test_the_spread_is_the_deviation_over_draws() -> None:
    draws_DF = np.array([[1.0, 1.0, 1.0, 1.0], [2.0, 1.0, 0.0, 1.0], [2.0, 2.0, 0.0, 0.0]])
    at = [100 * (4 + 8) / 16, 100 * (4 + 9) / 18, 100 * (4 + 6) / 12]
    _, spread = with_spread(SYSTEM, WINDOWS_F, {}, Profile.STANDARD, draws_DF)
    assert spread[0] == pytest.approx(np.std(at, ddof=1))


def test_draws_take_as_many_files_of_each_half() -> None:
    drawn = draws(halves(57), 20, 3)
    by_half = [drawn[:, halves(57) == half].sum(axis=1).tolist() for half in (0, 1)]
    assert (by_half, len(np.unique(drawn, axis=0))) == ([[29.0] * 20, [28.0] * 20], 20)


def test_better_on_both_halves_is_told_by_the_smaller_gain() -> None:
    raw_VF = np.array([[0.0, 0.0, 0.0, 0.0], [9.0, -1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0], [1.0, 2.0, 2.0, 1.0]])
    system = System("made up", ("default", "one half", "both", "more"), {Profile.STANDARD: raw_VF})
    found = list(better_in_both(system, np.array([1, 1, 1, 1]), Profile.STANDARD, np.ones((2, 4))))
    assert found == [("more", [75.0, 75.0], 0.0), ("both", [25.0, 25.0], 0.0)]


def test_the_grid_begins_with_the_default() -> None:
    told, first = settings()[0]
    assert (told, first, next(iter(CONSTANTS.values()))) == ("", AlertSettings(), ())


def test_every_constant_of_the_grid_is_another_one_for_as_long() -> None:
    for name, constants in CONSTANTS.items():
        before = [{key: getattr(module, key) for key in values} for module, values in constants]
        with replaced(constants):
            within = [{key: getattr(module, key) for key in values} for module, values in constants]
        after = [{key: getattr(module, key) for key in values} for module, values in constants]
        assert (within, after) == ([dict(values) for _, values in constants], before), name
        assert not constants or within != before, name


def test_a_replaced_constant_moves_scores() -> None:
    seen = tail.Tail.initial((1,))
    for value in (0.0, 0.5, 1.0):
        tail.update(seen, np.array([value], dtype=np.float32), np.array([True]))
    at = np.array([3.0], dtype=np.float32)
    with replaced(CONSTANTS["tails believed after 15 values"]):
        sooner = tail.surprise(seen, at)
    assert sooner[0] == pytest.approx(tail.surprise(seen, at)[0] * (3 + 30) / (3 + 15), rel=1e-5)


CHANGED = (
    {},
    {"threshold": 1.5, "budget": 2.0},
    {"steering": 0.5, "cooldown": 10},
    {"escalation": 1.1, "cooldown": 40, "persistence": 2, "resolve_after": 3},
)


def test_alerts_decided_anew_are_those_of_the_pipeline(tmp_path: Path) -> None:
    random = np.random.default_rng(8)
    values_DE2 = random.standard_t(3, (900, 3, 2))
    for row in (200, 500, 700, 705):
        values_DE2[row : row + 4] += 15.0
    values_DE2[300:303, 1] = np.nan
    scored = collect(written(values_DE2, tmp_path / "made.parquet"))
    by_entity = judged(scored.batches)
    place = {}
    for batch in scored.batches:
        for entity, offset in zip(batch.batch.entity, batch.batch.offset.tolist(), strict=True):
            place[offset] = (entity, sum(each == entity for each, _ in place.values()))
    for changed in CHANGED:
        theirs = {place[alert.offset] for alert in raised(scored, changed, scored.batches) if alert.change in ALARMS}
        asked = AlertSettings.model_validate(changed)
        ours = {(entity, row) for entity, each in by_entity.items() for row in alarms(each, asked).tolist()}
        assert ours, changed
        assert ours == theirs, changed
