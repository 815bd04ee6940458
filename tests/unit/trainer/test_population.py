import numpy as np
import pytest
import torch

from tests.laws.ward import layout, stream
from trainer.network import Network
from trainer.population import N_PLACED, Population
from trainer.rows import pack, to_model
from trainer.statistics import Statistics
from trainer.weights import load_weights, save_weights

HR, FLOW, AGE = 0, 4, 6


def values(rows: int, seed: int = 0) -> np.ndarray:
    return stream(rows, 10, seed, missing=0.3)[1]


def placed(population: Population) -> torch.Tensor:
    entity, seen, time_ms = stream(200, 10, 1)
    rows, _, _ = pack(np.unique(entity, return_inverse=True)[1], seen, time_ms, layout())
    statistics = Statistics(layout())
    return population(statistics.observe(statistics.initial(rows.waves[0]), rows))


def test_mean_and_deviation_are_those_of_all_values_however_they_came():
    whole, parts = Population(layout()), Population(layout())
    seen = values(900)
    whole.learn(seen)
    for part in np.array_split(seen, 7):
        parts.learn(part)
    model = to_model(seen, layout())
    np.testing.assert_allclose(whole.mean_S, np.nanmean(model, axis=0))
    np.testing.assert_allclose(parts.variance_S, np.nanvar(model, axis=0), rtol=0.05)


def test_before_enough_was_seen_the_declared_range_places_a_value():
    fresh = placed(Population(layout()))
    assert fresh.shape[0] == N_PLACED
    assert fresh[0, :, AGE].abs().max() < 1.0
    assert fresh.isfinite().all()


def test_a_known_population_centres_its_values():
    population = Population(layout())
    population.learn(values(900))
    there = placed(population)[0, :, HR]
    assert there[there != 0].abs().mean() > 0.3


def test_one_absurd_value_squeezes_nobody():
    population = Population(layout())
    population.learn(values(900))
    before = float(population.variance_S[HR])
    absurd = np.full((1, 7), np.nan)
    absurd[0, HR] = 1e30
    population.learn(absurd)
    assert float(population.variance_S[HR]) == pytest.approx(before, rel=0.1)


@pytest.mark.parametrize("absurd", [1e6, 1e12, -1e15])
def test_an_absurd_value_among_the_first_squeezes_nobody_either(absurd):
    population, sound = Population(layout()), Population(layout())
    seen = values(900)
    sound.learn(seen)
    seen[5, FLOW] = absurd
    population.learn(seen)
    assert float(population.variance_S[FLOW]) < 30.0 * float(sound.variance_S[FLOW])


def test_a_signal_that_began_with_one_value_alone_is_placed_once_it_moves():
    population, seen = Population(layout()), values(900)
    still = seen.copy()
    still[:, FLOW] = 97.3
    population.learn(still)
    population.learn(seen)
    assert float(population.variance_S[FLOW]) > 100.0


def test_the_largest_magnitude_that_counts_is_eight_deviations_beyond_the_mean():
    population, seen = Population(layout()), values(900)
    assert population.largest().tolist() == [np.inf] * 7
    population.learn(seen)
    mean, deviation = np.nanmean(seen[:, HR]), np.nanstd(seen[:, HR])
    assert population.largest()[HR] == pytest.approx(mean + 8.0 * deviation)
    assert population.largest()[FLOW] < 100.0


def test_it_travels_with_the_weights():
    network = Network(layout())
    network.population.learn(values(900))
    loaded = load_weights(layout(), save_weights(network))
    torch.testing.assert_close(loaded.population.mean_S, network.population.mean_S, rtol=0, atol=0)
