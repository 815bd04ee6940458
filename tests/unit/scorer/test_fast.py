"""The fast head: persistence at first, better where there is something to learn, blind to grouping and to padding."""

from dataclasses import dataclass

import numpy as np
import pytest

from schemas.layout import Layout
from schemas.monitor import Monitor
from scorer.detector import Detector
from scorer.fast import FastHead, Forecast
from scorer.served import Server
from trainer.network import Network
from trainer.rows import pack

HOUR_MS = 3_600_000


def layout(*horizons: object) -> Layout:
    forecast = {"name": "forecast", "kind": "forecast", "horizons": list(horizons or (1,))}
    return Layout(
        Monitor.model_validate(
            {
                "monitor": "pumps",
                "topics": {"observations": "pumps"},
                "modalities": [{"name": "motor", "signals": [{"name": "load"}, {"name": "heat"}]}],
                "tasks": [forecast, {"name": "anomaly", "kind": "anomaly"}],
            }
        )
    )


class Stream:
    """Scores a stream chunk by chunk without a network, so that the slow forecast is persistence."""

    def __init__(self, layout: Layout, n_entities: int) -> None:
        self.layout, self.parts = layout, (Server(layout), Detector(layout), FastHead(layout))
        fresh = {name: value.numpy() for name, value in Network(layout).initial(1).items()}
        self.state = [
            {name: np.repeat(value, n_entities, axis=0) for name, value in fresh.items()},
            *(part.initial(n_entities) for part in self.parts[1:]),
        ]

    def scan(self, entity: np.ndarray, values: np.ndarray, time_ms: np.ndarray) -> Forecast:
        server, detector, fast = self.parts
        names, index = np.unique(entity, return_inverse=True)
        rows, order, entity_order = pack(index, values, time_ms, self.layout)
        slots = names[entity_order]
        before = [{name: value[slots] for name, value in each.items()} for each in self.state]
        served = server.serve(None, rows, before[0])
        detection, judged = detector.scan(served, before[1])
        forecast, learned = fast.scan(served, detection.rhythm, before[2])
        for whole, after in zip(self.state, (served.state, judged, learned), strict=True):
            for name, value in after.items():
                whole[name][slots[: len(names)]] = value[: len(names)]
        return Forecast(forecast.quantiles[order], forecast.expected[order])

    def chunks(self, entity: np.ndarray, values: np.ndarray, time_ms: np.ndarray, cuts: list[int]) -> np.ndarray:
        """Quantiles and what was expected, side by side."""
        parts = zip(np.split(entity, cuts), np.split(values, cuts), np.split(time_ms, cuts), strict=True)
        found = [self.scan(*part) for part in parts]
        return np.concatenate([np.column_stack([f.quantiles.reshape(len(f.expected), -1), f.expected]) for f in found])


def waves(n: int, n_entities: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hourly rows of entities in turn: a daily wave with autocorrelated noise, and a random walk; some missing."""
    rng = np.random.default_rng(seed)
    hour = np.arange(n) // n_entities
    noise = np.zeros(n)
    for row in range(n_entities, n):
        noise[row] = 0.5 * noise[row - n_entities] + rng.normal()
    values = np.column_stack([10.0 * np.sin(2 * np.pi * hour / 24) + noise, np.cumsum(rng.normal(size=n))])
    values[rng.random((n, 2)) < 0.1] = np.nan
    return np.arange(n) % n_entities, values, 1_700_000_000_000 + hour * HOUR_MS


def errors(forecast: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Mean absolute error of a one-step median of one entity's signal, and of persistence, where both exist."""
    last = values[:-1]
    judged = np.isfinite(values[1:]) & np.isfinite(last)
    return (
        float(np.abs(values[1:] - forecast[:-1])[judged].mean()),
        float(np.abs(values[1:] - last)[judged].mean()),
    )


@dataclass(frozen=True)
class Scanned:
    """A stream of one entity, [N, 2], and what was said of it."""

    values: np.ndarray
    forecast: Forecast


@pytest.fixture(scope="module")
def scanned() -> tuple[Scanned, Scanned]:
    """A long stream, and the same with one absurd value, side by side: neither sees the other."""
    _, values, time_ms = waves(2400, n_entities=1)
    spoiled = values.copy()
    spoiled[1200] = 1e12
    both = np.stack([values, spoiled], axis=1).reshape(-1, 2)
    found = Stream(layout(1, "6h"), 2).scan(np.tile([0, 1], 2400), both, time_ms.repeat(2))
    parts = (Forecast(found.quantiles[which::2], found.expected[which::2]) for which in (0, 1))
    return Scanned(values, next(parts)), Scanned(spoiled, next(parts))


def test_it_does_not_matter_how_a_stream_is_grouped():
    stream = waves(400)
    whole, parts = (Stream(layout(1, 3), 3).chunks(*stream, cuts) for cuts in ([], [1, 2, 50, 51, 200, 390]))
    assert np.array_equal(whole, parts, equal_nan=True)


def test_it_starts_as_the_slow_forecast_and_leaves_it_by_as_much_as_values_have_come():
    _, values, time_ms = waves(60, n_entities=1)
    stream = Stream(layout(1), 1)
    median = stream.scan(np.zeros(60, dtype=int), values, time_ms).quantiles[:, 0, 0, 1]
    present = np.isfinite(values[:, 0])
    last = np.where(present, values[:, 0], np.nan)[np.maximum.accumulate(np.where(present, np.arange(60), 0))]
    count = np.cumsum(present)
    said = stream.state[2]["said"][0, 0, 0]
    assert median[0] == last[0]
    assert abs(median[59] - last[59]) <= abs(said[0]) * count[59] / (count[59] + 30.0) * 1.001
    assert abs(median[59] - last[59]) > 0


def test_a_rhythm_is_learned_and_a_random_walk_is_left_alone(scanned):
    values, median = scanned[0].values, scanned[0].forecast.quantiles[:, :, 0, 1]
    (rhythm, naive), (walk, naive_walk) = (errors(median[1200:, s], values[1200:, s]) for s in (0, 1))
    assert (rhythm < 0.75 * naive, walk < 1.01 * naive_walk) == (True, True)


def test_what_was_expected_is_what_had_been_forecast(scanned):
    values, forecast = scanned[0].values, scanned[0].forecast
    expected, median = forecast.expected[800:, 0], forecast.quantiles[799:-1, 0, 0, 1]
    judged = np.isfinite(values[800:, 0])
    np.testing.assert_allclose(expected[judged], median[judged], rtol=1e-5, atol=1e-5)


def test_bands_stay_around_the_median():
    quantiles = Stream(layout(1, 3), 3).scan(*waves(1500)).quantiles
    known = np.isfinite(quantiles).all(axis=-1)
    assert (np.diff(quantiles[known], axis=-1) >= 0).all()


def test_replacing_the_future_changes_nothing_before_it():
    entity, values, time_ms = waves(600)
    other = values.copy()
    other[300:] = np.random.default_rng(1).normal(size=other[300:].shape) * 1e6
    seen = [Stream(layout(1, 2), 3).chunks(entity, each, time_ms, [])[:300] for each in (values, other)]
    assert np.array_equal(*seen, equal_nan=True)


def test_one_absurd_value_is_forgotten(scanned):
    values, median = scanned[1].values, scanned[1].forecast.quantiles[:, :, 0, 1]
    ours, naive = errors(median[1300:, 0], values[1300:, 0])
    assert np.isfinite(median[1:]).all()
    assert ours < naive


def test_a_duration_horizon_keeps_the_slow_forecast(scanned):
    values, forecast = scanned[0].values, scanned[0].forecast.quantiles[..., 1]
    last = np.where(np.isfinite(values[:, 0]), values[:, 0], np.nan)
    known = np.isfinite(last)
    assert np.array_equal(forecast[known, 0, 1], last[known])


def test_after_rows_that_made_no_sense_it_is_soon_no_worse_than_persistence():
    """Two signals of unlike size take each other's place in every other row for a while."""
    rng, n, wild = np.random.default_rng(4), 2000, slice(1000, 1500)
    values = np.column_stack([100.0 * np.sin(np.arange(n) / 5.0), np.cumsum(rng.normal(size=n) * 0.05)])
    swapped = np.flatnonzero(rng.random(500) < 0.5) + wild.start
    values[swapped] = values[swapped][:, ::-1]
    median = Stream(layout(1), 1).scan(np.zeros(n, dtype=int), values, waves(n, 1)[2]).quantiles[:, :, 0, 1]
    ours, naive = errors(median[1600:, 1], values[1600:, 1])
    assert ours < 1.1 * naive
