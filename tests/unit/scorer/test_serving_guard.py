"""The guard: nothing that leaves contradicts what is known, and what agrees leaves as it came."""

import numpy as np

from schemas.layout import Layout
from schemas.monitor import Monitor
from scorer.guard import Guard

KNOWLEDGE = {
    "bounds": True,
    "orders": [["low", "open", "high"], ["low", "close", "high"]],
    "implications": [{"when": {"signal": "vent", "above": 0.5}, "then": {"signal": "o2", "at_least": 0.21}}],
}
LOW, OPEN, CLOSE, HIGH, VENT, O2 = range(6)


def layout(knowledge: dict[str, object]) -> Layout:
    names = ("low", "open", "close", "high")
    signals = [{"name": name, "range": [1, 100]} for name in names]
    signals += [{"name": "vent", "range": [0, 1]}, {"name": "o2", "range": [0, 1]}]
    return Layout(
        Monitor.model_validate(
            {
                "monitor": "mixed",
                "topics": {"observations": "mixed"},
                "modalities": [{"name": "all", "signals": signals}],
                "tasks": [
                    {"name": "forecast", "kind": "forecast", "horizons": [1, 4]},
                    {"name": "x", "kind": "anomaly"},
                ],
                "knowledge": knowledge,
            }
        )
    )


def contradicting(rows: int = 400) -> np.ndarray:
    chance = np.random.default_rng(3)
    middle = chance.normal(50.0, 40.0, (rows, 6, 2, 1))
    middle[:, VENT:] = chance.normal(0.5, 0.6, (rows, 2, 2, 1))
    quantiles = middle + np.sort(chance.normal(0.0, 10.0, (rows, 6, 2, 3)), axis=-1) * [
        [[0.1]] if s > 3 else [[1]] for s in range(6)
    ]
    quantiles[chance.random((rows, 6)) < 0.2] = np.nan
    return quantiles


def violations(forecast: np.ndarray) -> int:
    pairs = [(LOW, OPEN), (LOW, CLOSE), (LOW, HIGH), (OPEN, HIGH), (CLOSE, HIGH)]
    crossed = sum(int((forecast[:, below] > forecast[:, above]).sum()) for below, above in pairs)
    outside = int(
        (forecast[:, :4] < 1).sum() + (forecast[:, :4] > 100).sum() + (abs(forecast[:, 4:] - 0.5) > 0.5).sum()
    )
    missed = int((forecast[:, O2][forecast[:, VENT, :, 1] > 0.5] < 0.21).sum())
    return crossed + outside + missed + int((np.diff(forecast, axis=-1) < 0).sum())


def test_what_leaves_is_ordered_bounded_and_concluded_and_its_quantiles_do_not_cross():
    said = contradicting()
    guarded = Guard(layout(KNOWLEDGE)).forecasts(said)
    assert violations(said) > 1000
    assert violations(guarded.forecast) == 0
    assert np.array_equal(np.isnan(guarded.forecast), np.isnan(said))


def test_what_agrees_leaves_bit_for_bit_and_is_not_counted():
    once = Guard(layout(KNOWLEDGE)).forecasts(contradicting())
    again = Guard(layout(KNOWLEDGE)).forecasts(once.forecast)
    assert np.array_equal(again.forecast, once.forecast, equal_nan=True)
    assert {kind: int(moved.sum()) for kind, moved in again.moved.items()} == {
        "order": 0,
        "bounds": 0,
        "implication": 0,
    }


def test_a_row_is_guarded_alike_alone_and_among_others():
    said, guard = contradicting(), Guard(layout(KNOWLEDGE))
    alone = np.concatenate([guard.forecasts(row[None]).forecast for row in said])
    assert np.array_equal(alone, guard.forecasts(said).forecast, equal_nan=True)


def test_medians_alone_are_guarded_as_they_are_among_their_quantiles():
    said, guard = contradicting(), Guard(layout(KNOWLEDGE))
    alone = guard.forecasts(said[..., 1:2]).forecast
    assert np.array_equal(alone, guard.forecasts(said).forecast[..., 1:2], equal_nan=True)


def test_without_knowledge_nothing_is_touched():
    said = contradicting()
    assert Guard(layout({})).forecasts(said).forecast is said


def test_at_least_so_bad_is_never_below_its_floor_and_probabilities_stay_probabilities():
    chance = np.random.default_rng(5)
    said = chance.dirichlet([3.0, 1.0, 1.0], 500).astype(np.float32)
    floor = np.float32([1.0, 0.4, 0.1])[None].repeat(500, axis=0)
    served, moved = Guard.state(said, floor)
    np.testing.assert_array_less(floor[:, 1:] - 1e-6, np.stack([served[:, 1:].sum(1), served[:, 2]], 1))
    np.testing.assert_allclose(served.sum(1), 1.0, atol=1e-6)
    assert np.array_equal(served[~moved], said[~moved])
    assert 0 < moved.sum() < 500
