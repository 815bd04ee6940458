"""What rules remember between rows: rates by time, lives, halts and volatility, against plain counting."""

import numpy as np
import pytest

from schemas.layout import Layout
from schemas.monitor import Monitor
from scorer.scorer import Scorer, state_template
from scorer.store import Store
from tests.laws.ward import REMEMBERING, WARD, batch, different, stream
from trainer.history import pieces_of, streams_of
from trainer.rows import pack
from trainer.rule_inputs import known_of
from trainer.rules import Rules
from trainer.slots import Slots
from trainer.statistics import Statistics
from trainer.windows import WindowBuffer, window_template

MINUTE = 60.0
NONE = np.nan
SIGNALS = [
    {"name": "MAP", "range": [0, 300]},
    {"name": "SaO2", "range": [0, 100]},
    {"name": "close", "range": [1e-6, 1e9], "transform": "log-return"},
    {"name": "volume", "range": [0, 1e12]},
]
MAP, SAO2, CLOSE, VOLUME = range(4)
FALLING = {"name": "falling-map", "kind": "rate", "signal": "MAP", "low": -20, "per": "10m"}
SWING = {"name": "swing", "kind": "rate", "signal": "close", "low": -3, "high": 3, "per": "10m"}
NO_SPO2 = {"name": "no-spo2", "kind": "missing", "signal": "SaO2", "for": "30m"}
HALT = {"name": "halt", "kind": "frozen", "inputs": {"price": "close", "volume": "volume"}, "for": "5m"}
WILD = {"name": "wild", "kind": "volatility", "signal": "close", "low": 0.3, "high": 2}
ALL = (FALLING, SWING, NO_SPO2, HALT, WILD)


def layout(*rules) -> Layout:
    monitor = {
        "monitor": "mixed",
        "topics": {"observations": "mixed"},
        "modalities": [{"name": "all", "signals": SIGNALS}],
        "tasks": [{"name": "forecast", "kind": "forecast"}, {"name": "anomaly", "kind": "anomaly"}],
        "rules": [{"severities": {"warning": 1}} | rule for rule in rules],
    }
    return Layout(Monitor.model_validate(monitor))


def scores(rules, minutes, values, cuts=(), entity=None):
    """Scores of rows in arrival order, [N, R], the stream cut into batches, and the state after them."""
    of = layout(*rules)
    statistics, judge = Statistics(of), Rules(of)
    time_ms = np.round(np.asarray(minutes) * MINUTE * 1000).astype(np.int64)
    entity = np.zeros(len(time_ms), dtype=np.int64) if entity is None else entity
    state, found = statistics.initial(int(entity.max()) + 1), []
    for part in np.split(np.arange(len(time_ms)), cuts):
        names, local = np.unique(entity[part], return_inverse=True)
        rows, order, entity_order = pack(local, np.asarray(values)[part], time_ms[part], of)
        observed = statistics.observe(state[names[entity_order]], rows)
        state[names[entity_order[: len(names)]]] = observed.statistics_EFS[: len(names)]
        found.append(judge.score(known_of(rows, observed, of))[order])
    return np.concatenate(found), state.numpy()


def one(rule, minutes, series, column) -> list[float]:
    values = np.full((len(series), 4), NONE)
    values[:, column] = series
    values[:, VOLUME if column != VOLUME else MAP] = np.arange(len(series)) + 1.0  # the entity's rows go on
    return scores([rule], minutes, values)[0][:, 0].round(6).tolist()


def change(minutes, series, per):
    """Of each value that over the last `per` minutes, a path of straight lines."""
    return [
        value - np.interp(max(at - per, minutes[0]), minutes[: n + 1], series[: n + 1])
        for n, (at, value) in enumerate(zip(minutes, series, strict=True))
    ]


@pytest.mark.parametrize("seed", range(3))
def test_a_rate_is_the_change_over_its_time_however_irregularly_values_come(seed: int) -> None:
    rng = np.random.default_rng(seed)
    minutes = np.round(np.cumsum(rng.exponential(6.0, 80) + 1.26), 3)  # a step of eight in ten minutes, and more
    series = np.round(80 + rng.normal(0, 12, 80).cumsum(), 2)
    outside = np.maximum(-20 - np.array(change(minutes, series, 10.0)), 0.0)
    assert (outside > 0).any()
    np.testing.assert_allclose(one(FALLING, minutes, series, MAP), outside, atol=1e-5)


def test_a_rate_counts_time_and_not_rows() -> None:
    falls = np.linspace(0, -30, 11)  # 30 in ten minutes, a row a minute, or ten rows a minute
    coarse = one(FALLING, np.arange(11.0), 90 + falls, MAP)
    fine = one(FALLING, np.linspace(0, 10, 101), 90 + np.linspace(0, -30, 101), MAP)
    assert coarse[-1] == fine[-1] == pytest.approx(10.0)
    assert [coarse[6], coarse[7]] == pytest.approx([0.0, 1.0])


def test_a_dense_feed_is_judged_to_an_eighth_of_the_time() -> None:
    seconds = np.arange(3600)
    series = np.where(seconds < 1800, 90.0, 60.0)
    found = np.array(one(FALLING, seconds / 60, series, MAP))
    assert (found[:1800] == 0).all()
    assert (found[1800 : 1800 + 525] == 10.0).all()
    assert (found[1800 + 675 :] == 0).all()


def test_a_fall_over_a_pause_counts_by_its_pace() -> None:
    assert one(FALLING, [0, 12], [90, 54], MAP) == pytest.approx([0.0, 10.0])  # 3 a minute
    assert one(FALLING, [0, 240], [90, 54], MAP) == [0.0, 0.0]


def test_of_a_price_a_rate_is_in_percent_both_ways() -> None:
    assert one(SWING, [0, 5, 10], [100.0, 95.0, 104.0], CLOSE) == pytest.approx([0.0, 2.0, 1.0])


def test_a_signal_is_missing_by_the_entitys_own_rows() -> None:
    minutes, values = [0, 15, 45, 60], np.full((4, 4), NONE)
    values[:, MAP] = 80.0
    values[1, SAO2] = 97.0
    assert scores([NO_SPO2], minutes, values)[0][:, 0].tolist() == [0.0, 0.0, 1.0, 1.5]


def test_a_signal_that_never_came_is_missing_since_the_entitys_first_row() -> None:
    values = np.full((3, 4), NONE)
    values[:, MAP] = 80.0
    found, _ = scores([NO_SPO2], [100, 130, 190], values)
    assert found[:, 0].tolist() == [0.0, 1.0, 3.0]


def test_a_halt_is_price_and_volume_that_stand_still_or_stop_while_time_goes_on() -> None:
    values = np.full((6, 4), NONE)
    values[:, CLOSE] = [100.0, 101.0, 101.0, NONE, 101.0, 102.0]
    values[:, VOLUME] = [7.0, 5.0, 5.0, 5.0, NONE, 9.0]
    values[:, MAP] = 80.0
    assert scores([HALT], [0, 1, 3.5, 6, 11, 12], values)[0][:, 0].tolist() == [0.0, 0.0, 0.5, 1.0, 2.0, 0.0]


def test_a_halt_of_what_was_never_seen_is_unknown() -> None:
    assert np.isnan(one(HALT | {"inputs": {"price": "close"}}, [0, 9], [NONE, NONE], CLOSE)).all()


def test_a_gap_is_a_jump_after_a_pause_however_long_the_rows_between_lacked_the_signal() -> None:
    gap = {"name": "gap-up", "kind": "rise", "signal": "close", "after": "1h"}
    minutes, series = [0, 5, 40, 70, 75], [100.0, 104.0, NONE, 106.08, 110.0]
    found = one(gap, minutes, series, CLOSE)
    assert np.isnan(found[2])
    assert np.delete(found, 2) == pytest.approx([0.0, 0.0, 2.0, 0.0])


def test_volatility_is_held_against_the_signals_own() -> None:
    rng = np.random.default_rng(0)
    sizes = np.concatenate([np.full(400, 0.01), np.full(40, 0.05)])
    series = 100 * np.exp((rng.choice([-1, 1], 440) * sizes).cumsum())
    found = np.array(one(WILD, np.arange(440.0), series, CLOSE))
    assert (found[:400] == 0).all()
    recent, usual = 0.0, 0.0
    for n, moved in enumerate(np.diff(np.log(series))[:420], start=1):
        recent += max(1 / n, 0.06) * (moved**2 - recent)
        usual += max(1 / n, 0.001) * (moved**2 - usual)
    assert found[420] == pytest.approx(np.sqrt(recent / usual) - 2, abs=1e-5)
    assert found[420] > 0
    multiple = one({key: WILD[key] for key in ("name", "kind", "signal")}, np.arange(440.0), series, CLOSE)
    assert multiple[420] == pytest.approx(found[420] + 2)
    assert multiple[0] == 1


def test_volatility_that_collapses_is_outside_too_and_what_never_moved_is_not() -> None:
    series = 100 * np.exp((np.tile([1, -1], 100) * np.repeat([0.02, 0.001], 100)).cumsum())
    found = one(WILD, np.arange(200.0), series, CLOSE)
    assert found[99] == 0
    assert found[-1] > 0
    assert one(WILD, np.arange(5.0), np.full(5, 100.0), CLOSE) == [0.0] * 5


def mixed(n: int, seed: int):
    rng = np.random.default_rng(seed)
    calm_then_wild = np.where(np.arange(n) < 0.85 * n, 0.01, 0.3)[:, None]
    values = np.array([80.0, 97.0, 50.0, 9.0]) * np.exp(rng.normal(0, 1, (n, 4)) * calm_then_wild)
    values[rng.random((n, 4)) < 0.5] = NONE
    return np.cumsum(rng.exponential(1.0, n)), values, rng.integers(0, 5, n)


def test_neither_scores_nor_what_is_remembered_depend_on_how_the_stream_is_cut() -> None:
    minutes, values, entity = mixed(900, 1)
    whole, parts = (scores(ALL, minutes, values, cuts, entity) for cuts in ([], [3, 40, 41, 560, 800]))
    assert different(dict(enumerate(whole)), dict(enumerate(parts))) == []
    assert (np.nan_to_num(whole[0]) > 0).any(axis=0).all()  # each of them had something to say


def test_an_entity_is_remembered_by_its_own_rows_alone() -> None:
    minutes, values, entity = mixed(900, 2)
    mine = entity == 4
    together, alone = scores(ALL, minutes, values, (), entity)[0], scores(ALL, minutes[mine], values[mine])[0]
    assert np.array_equal(together[mine], alone, equal_nan=True)


def test_what_is_remembered_is_bounded_and_nothing_where_no_rule_does() -> None:
    plain = Statistics(layout({"name": "jump", "kind": "move", "signal": "MAP"})).initial(1)
    assert plain.shape[-1] == len(SIGNALS)
    assert Statistics(layout(*ALL)).initial(1).nbytes - plain.nbytes <= 8 * (2 * 34 + 1 + 1 + 2 + plain.shape[1])


def test_learner_and_fitting_judge_rows_as_serving_does() -> None:
    training = {"window": 8, "inject_rate": 0.0}
    of = Layout(Monitor.model_validate(WARD | {"rules": WARD["rules"] + REMEMBERING, "training": training}))
    n = 400
    _, values, time_ms = stream(n, 1, 3)
    values[n - 20 :, :4] += np.random.default_rng(0).normal(0, 40, (20, 4))
    rows = batch(np.zeros(n, dtype=np.int64), values, time_ms // 10)
    silent, version = np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.int64)
    served = Scorer(of, Store(state_template(of)), lambda _: None).score(rows, silent, version).rules
    slots = Slots(window_template(of))
    learned = [window for windows, _ in WindowBuffer(of, slots).add(rows) for window in windows]
    fitted = pieces_of([streams_of([rows], of, {}, [])["0"]], of)[0].rules
    assert (np.nan_to_num(served) > 0).any(axis=0).all()
    np.testing.assert_allclose(fitted, served, atol=1e-4)
    np.testing.assert_allclose(
        np.concatenate([each.rules[:8] for each in learned]), served[: 8 * len(learned)], atol=1e-4
    )
