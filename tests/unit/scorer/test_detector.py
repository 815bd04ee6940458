"""The detector: batch-invariant, prequential, finite, blind to padding, absent signals and offsets."""

import numpy as np
import pytest

from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.observation import Field
from scorer.detector import Detection, Detector, statistic_names
from scorer.served import Server
from trainer.network import Network
from trainer.rows import pack

MINUTE_MS = 60_000


def layout(n_signals: int = 3, transform: str = "level") -> Layout:
    signals = [{"name": f"s{column}", "transform": transform, "range": [1e-9, 1e12]} for column in range(n_signals)]
    return Layout(
        Monitor.model_validate(
            {
                "monitor": "pumps",
                "topics": {"observations": "pumps"},
                "modalities": [{"name": "motor", "signals": signals}],
                "tasks": [{"name": "forecast", "kind": "forecast"}, {"name": "anomaly", "kind": "anomaly"}],
            }
        )
    )


class Stream:
    """Scores a stream chunk by chunk, with state per entity between chunks."""

    def __init__(self, layout: Layout, n_entities: int) -> None:
        self.layout, self.server, self.detector = layout, Server(layout), Detector(layout)
        fresh = {name: value.numpy() for name, value in Network(layout).initial(1).items()}
        self.network = {name: np.repeat(value, n_entities, axis=0) for name, value in fresh.items()}
        self.state = self.detector.initial(n_entities)

    def scan(self, entity: np.ndarray, values: np.ndarray, time_ms: np.ndarray) -> Detection:
        names, index = np.unique(entity, return_inverse=True)
        rows, order, entity_order = pack(index, values, time_ms, self.layout)
        slots = names[entity_order]
        served = self.server.serve(None, rows, {name: value[slots] for name, value in self.network.items()})
        detection, state = self.detector.scan(served, {name: value[slots] for name, value in self.state.items()})
        self._write(self.network, slots[: len(names)], served.state)
        self._write(self.state, slots[: len(names)], state)
        return Detection(*(getattr(detection, name)[order] for name in Detection.__slots__))

    def chunks(self, entity: np.ndarray, values: np.ndarray, time_ms: np.ndarray, cuts: list[int]) -> np.ndarray:
        """All outputs side by side, [N, 4 + S]."""
        parts = zip(np.split(entity, cuts), np.split(values, cuts), np.split(time_ms, cuts), strict=True)
        found = [self.scan(*part) for part in parts]
        return np.concatenate(
            [np.column_stack([d.score, d.surprise, d.anomaly, d.probability, d.evidence]) for d in found]
        )

    @staticmethod
    def _write(whole: dict[str, Field], slots: np.ndarray, values: dict[str, Field]) -> None:
        for name, value in values.items():
            whole[name][slots] = value[: len(slots)]


def ragged(n: int, n_entities: int, n_signals: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    entity = np.minimum(random.geometric(0.1, size=n) - 1, n_entities - 1)
    values = 100.0 + np.abs(random.normal(size=(n, n_signals))) * 5.0
    values[random.random(values.shape) < 0.3] = np.nan
    return entity, values, np.arange(n) * MINUTE_MS


def steady(n: int, n_signals: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    values = 100.0 + np.random.default_rng(seed).normal(size=(n, n_signals))
    return np.zeros(n, dtype=np.int64), values, np.arange(n) * MINUTE_MS


@pytest.mark.parametrize(
    ("n_signals", "transform"), [(1, "level"), (3, "level"), (3, "difference"), (3, "log-return"), (20, "level")]
)
def test_outputs_do_not_depend_on_how_rows_were_grouped(n_signals: int, transform: str) -> None:
    columns, stream = layout(n_signals, transform), ragged(1_500, 40, n_signals, seed=1)
    whole = Stream(columns, 40).chunks(*stream, [])
    cuts = sorted(np.random.default_rng(2).choice(np.arange(1, 1_500), size=60, replace=False).tolist())
    assert np.array_equal(Stream(columns, 40).chunks(*stream, cuts), whole)


def test_a_spike_of_one_signal_within_the_range_of_its_rhythm_is_the_most_surprising_row() -> None:
    entity, values, time_ms = steady(1_000, 1)
    values = values * 0.1 + np.sin(2 * np.pi * np.arange(1_000) / 40)[:, None]
    values[910, 0] += 1.5  # at the sine's trough: no level is out of the ordinary
    assert abs(values[910, 0] - 10.0) < 1.0
    detection = Stream(layout(1), 1).scan(entity, values, time_ms)
    assert detection.surprise[100:].argmax() == 810
    assert detection.surprise[910] > 2.0
    assert statistic_names(layout(1))[int(detection.statistics[910, 0].argmax())] == "sudden change"


def test_what_comes_later_changes_no_earlier_output() -> None:
    entity, values, time_ms = ragged(800, 10, 3, seed=3)
    other = values.copy()
    other[500:] = 1e9 * np.random.default_rng(4).random(other[500:].shape)
    whole, changed = (Stream(layout(), 10).chunks(entity, each, time_ms, []) for each in (values, other))
    assert np.array_equal(whole[:500], changed[:500])


@pytest.mark.parametrize("transform", ["level", "log-return"])
def test_a_spike_and_a_shift_stand_out(transform: str) -> None:
    entity, values, time_ms = steady(1_500, 2)
    values[1_000, 0] += 12.0
    values[1_250:1_270, 1] += 8.0
    surprise = Stream(layout(2, transform), 1).scan(entity, values, time_ms).surprise
    rest = np.delete(surprise[300:], np.r_[700:720, 950:1_000])
    assert (surprise[1_000] > rest.max(), surprise[1_250:1_270].max() > rest.max()) == (True, True)


def test_evidence_names_the_signal() -> None:
    entity, values, time_ms = steady(800, 3)
    values[600, 2] += 15.0
    assert Stream(layout(), 1).scan(entity, values, time_ms).evidence[600].argmax() == 2


def test_noise_alone_seldom_reaches_an_alert() -> None:
    streams = [steady(2_000, 2, seed) for seed in range(24)]
    entity = np.repeat(np.arange(24), 2_000)
    values, time_ms = (np.concatenate([each[part] for each in streams]) for part in (1, 2))
    surprise = Stream(layout(2), 24).scan(entity, values, time_ms).surprise.reshape(24, 2_000)
    assert (surprise[:, 1_000:] >= 2.0).mean() < 0.001


def test_what_a_signals_partners_do_not_explain_stands_out() -> None:
    random = np.random.default_rng(7)
    common = random.normal(size=1_000).cumsum()
    values = 100.0 + common[:, None] + 0.1 * random.normal(size=(1_000, 3))
    values[750, 1] -= np.diff(common).std()
    found = Stream(layout(), 1).scan(np.zeros(1_000, dtype=np.int64), values, np.arange(1_000) * MINUTE_MS)
    alone = Stream(layout(1), 1).scan(np.zeros(1_000, dtype=np.int64), values[:, 1:2], np.arange(1_000) * MINUTE_MS)
    assert (found.surprise[300:].argmax(), found.surprise[750] - alone.surprise[750] > 1.0) == (450, True)


def test_an_ordinary_value_at_the_wrong_hour_stands_out() -> None:
    hours = np.arange(24 * 70)
    values = 100.0 + 20.0 * (hours % 24 == 9) + np.random.default_rng(8).normal(size=len(hours))
    values[24 * 65 + 15] += 20.0
    surprise = Stream(layout(1), 1).scan(np.zeros_like(hours), values[:, None], hours * 60 * MINUTE_MS).surprise
    assert surprise[24 * 21 :].argmax() == 24 * 44 + 15


def test_the_dense_score_lingers_and_keeps_its_resolution() -> None:
    entity, values, time_ms = steady(1_500, 2)
    values[1_000] += 1e6
    values[1_250] += 2e6
    found = Stream(layout(2), 1).scan(entity, values, time_ms)
    lingers = found.score[1_001:1_009].min() > np.quantile(found.score[500:1_000], 0.9)
    assert (bool(lingers), found.anomaly.max() < 1.0, len(np.unique(found.anomaly[100:])) > 1_390) == (True, True, True)


@pytest.mark.parametrize("n_signals", [1, 8, 12])
def test_the_dense_score_stays_high_over_the_whole_of_a_fault(n_signals: int) -> None:
    entity, values, time_ms = steady(3_400, n_signals)
    values[3_000:3_300, 0] += 40.0 * np.random.default_rng(1).choice([-1.0, 1.0], 300)
    score = Stream(layout(n_signals), 1).scan(entity, values, time_ms).score
    ordinary = score[1_000:3_000]
    assert (score[3_010:3_300] > np.quantile(ordinary, 0.9)).mean() > 0.95
    assert score[3_000] > ordinary.max()


def test_a_level_that_moves_and_stays_is_not_soon_ordinary_among_several_signals() -> None:
    entity, values, time_ms = steady(3_400, 12)
    values[3_000:3_300, :4] += 8.0
    score = Stream(layout(12), 1).scan(entity, values, time_ms).score
    assert (score[3_010:3_300] > np.quantile(score[1_000:3_000], 0.99)).mean() > 0.95


def test_an_observation_without_signals_scores_zero_and_teaches_nothing() -> None:
    entity, values, time_ms = steady(400, 2)
    values[200] = np.nan
    kept = np.arange(400) != 200
    with_gap = Stream(layout(2), 1).chunks(entity, values, time_ms, [])
    without = Stream(layout(2), 1).chunks(entity[kept], values[kept], time_ms[kept], [])
    assert (not with_gap[200].any(), np.array_equal(with_gap[kept], without)) == (True, True)


@pytest.mark.parametrize("value", [1e-9, 1.0, 1e12])
def test_a_frozen_signal_is_finite_and_unremarkable(value: float) -> None:
    found = Stream(layout(1), 1).chunks(*steady(1_000, 1)[:1], np.full((1_000, 1), value), np.arange(1_000) * 1000, [])
    assert (bool(np.isfinite(found).all()), bool(found[:, 1].max() < 2.0)) == (True, True)


def test_absurd_values_never_make_an_output_that_is_not_finite() -> None:
    entity, values, time_ms = steady(1_000, 2)
    values[500] = 1e12
    found = Stream(layout(2), 1).chunks(entity, values, time_ms, [])
    assert (bool(np.isfinite(found).all()), bool(((found[:, 2] >= 0) & (found[:, 2] <= 1)).all())) == (True, True)


def test_the_first_rows_of_an_entity_raise_no_alarm() -> None:
    stream = ragged(3_000, 300, 3, seed=5)
    entity = np.arange(3_000) % 300
    assert Stream(layout(), 300).scan(entity, stream[1], stream[2]).surprise.max() < 2.0


def test_young_entities_of_several_signals_raise_no_more_and_no_weaker_evidence_than_old_ones() -> None:
    entities, rows = 80, 400
    values = np.random.default_rng(1).normal(size=(entities * rows, 4))
    entity, time_ms = np.tile(np.arange(entities), rows), np.repeat(np.arange(rows), entities) * MINUTE_MS
    surprise = Stream(layout(4), entities).scan(entity, values, time_ms).surprise.reshape(rows, entities)
    young, old = (np.quantile(surprise[span], 0.998) for span in (slice(20, 60), slice(300, 400)))
    assert 0.75 < young / old < 1.1


@pytest.mark.parametrize(("n_signals", "most"), [(1, 512), (6, 2_900), (36, 28_000)])
def test_state_costs_at_most(n_signals: int, most: int) -> None:
    assert sum(value.nbytes for value in Detector(layout(n_signals)).initial(1).values()) <= most


@pytest.mark.parametrize("n_signals", [1, 3])
def test_probabilities_are_calibrated_online_to_within_a_factor_of_two(n_signals: int) -> None:
    rng = np.random.default_rng(3)
    entity, time_ms = np.tile(np.arange(24), 1000), np.repeat(np.arange(1000), 24) * MINUTE_MS
    values = rng.normal(100.0, 5.0, (24_000, n_signals))
    probability = Stream(layout(n_signals), 24).scan(entity, values, time_ms).probability[8000:]
    ratio = [float((probability >= level).mean()) / (1.0 - level) for level in (0.5, 0.9, 0.99)]
    assert all(0.5 < each < 2.0 for each in ratio), ratio
