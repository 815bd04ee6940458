"""How often chance alone brings so much evidence."""

import numpy as np
import pytest

from scorer.stages.chance import BLOCK, NEVER, SHARE, Chance


def learned(evidence_N: np.ndarray, weight_N: np.ndarray, apart: int = 1000) -> Chance:
    """Of one entity, whose rows are so far apart that each is an episode of its own."""
    chance, last_row, peak = Chance(), NEVER, 0.0
    for number, (evidence, weight) in enumerate(zip(evidence_N.tolist(), weight_N.tolist(), strict=True), start=1):
        chance.new_rows += weight > 0
        if evidence > chance.edge:
            peak = chance.exceed(evidence, number * apart, weight, last_row, peak)
            last_row = number * apart
        if number % BLOCK == 0:
            chance.turn()
    return chance


def uniform(blocks: int, seed: int = 0) -> np.ndarray:
    """-log10 of uniform draws."""
    return -np.log10(np.random.default_rng(seed).random(blocks * BLOCK))


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_evidence_on_any_scale_becomes_the_share_of_rows_that_reach_it(scale: float) -> None:
    evidence_N = uniform(300)
    chance = learned(scale * evidence_N, np.ones(len(evidence_N)))
    assert chance.rarity(scale * np.array([3.0, 4.0, 5.0])) == pytest.approx(np.array([3.0, 4.0, 5.0]), abs=0.35)


def test_a_run_of_rows_is_one_episode_that_counts_by_its_peak() -> None:
    chance = Chance()
    peak = chance.exceed(2.5, 10, 1.0, NEVER, 0.0)
    peak = chance.exceed(3.5, 12, 1.0, 10, peak)
    peak = chance.exceed(3.0, 20, 1.0, 12, peak)
    assert (chance.new_episodes, chance.new_excess) == (1.0, pytest.approx(3.5 - chance.edge))


def test_one_absurd_row_does_not_blind_it() -> None:
    evidence_N = uniform(20)
    seen = [learned(np.append(evidence_N, np.full(BLOCK, odd)), np.ones(21 * BLOCK), 1) for odd in (0.0, 300.0)]
    assert seen[1].excess < 1.1 * seen[0].excess


def test_what_no_weight_is_given_to_changes_nothing() -> None:
    evidence_N = uniform(50)
    faulty_N = np.random.default_rng(1).random(len(evidence_N)) < 0.01
    told = learned(np.where(faulty_N, 9.0, evidence_N), np.where(faulty_N, 0.0, 1.0))
    plain = learned(np.where(faulty_N, 9.0, evidence_N), np.ones(len(evidence_N)))
    assert (float(told.rarity(np.array(4.0))) > 3.5, float(plain.rarity(np.array(4.0))) < 3.0) == (True, True)


def test_it_begins_as_if_evidence_were_what_it_is_called() -> None:
    assert Chance().rarity(np.array([-np.log10(SHARE), 5.0])) == pytest.approx(np.array([-np.log10(SHARE), 5.0]))
