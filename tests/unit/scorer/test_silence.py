"""Feeds that fail: rows and a clock in, alerts out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from schemas.alert import Alert, Change
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.observation import Batch
from scorer.scorer import Scorer, state_template
from scorer.silence.watch import Silence
from scorer.stages.pipeline import AlertPipeline
from scorer.store import Store
from tests.laws.ward import TOPIC, batch

MINUTE_MS = 60_000
O, R, W = Change.OPENED, Change.RESOLVED, Change.WITHHELD  # noqa: E741
WARD = {
    "monitor": "ward",
    "topics": {"observations": TOPIC.topic},
    "modalities": [
        {"name": "vitals", "signals": [{"name": "HR", "unit": "/min"}, {"name": "Temp", "unit": "Cel"}]},
    ],
    "tasks": [{"name": "forecast", "kind": "forecast"}, {"name": "anomaly", "kind": "anomaly"}],
}
ALERTS = {"threshold": 12, "critical": 15, "resolve_after": 3}


class Ward:
    """One shard's feeds, and a clock that is moved."""

    def __init__(self, rules: Sequence[object] = (), alerts: Mapping[str, object] = ALERTS, **silence: object) -> None:
        asked = {"rules": rules, "alerts": alerts, "silence": silence}
        self.layout = Layout(Monitor.model_validate(WARD | asked))
        self.now = 0.0
        self.store = Store(state_template(self.layout))
        self.scorer = Scorer(self.layout, self.store, lambda _: None)
        self.pipeline = AlertPipeline(
            self.layout, self.store, silence=Silence(self.layout, self.store, lambda: self.now)
        )

    def see(self, rows: Batch, cuts: Sequence[int] = ()) -> list[Alert]:
        """Alerts of rows that come in batches cut there."""
        found = []
        for part in np.split(np.arange(len(rows)), cuts):
            columns = ("time_ms", "values", "partition", "offset", "status", "masked")
            some = {name: getattr(rows, name)[part] for name in columns}
            if rows.recorded_ms is not None:
                some["recorded_ms"] = rows.recorded_ms[part]
            some = replace(rows, **some, entity=[rows.entity[row] for row in part.tolist()])
            silent, versions = np.zeros(len(part), dtype=np.bool_), np.ones(len(part), dtype=np.int64)
            found += self.pipeline.decide(self.scorer.score(some, silent, versions))
        return found


def rows(minutes: int, entities: int = 3, seed: int = 0) -> Batch:
    """A row of each entity a minute, a second apart."""
    rng = np.random.default_rng(seed)
    entity, minute = np.tile(np.arange(entities), minutes), np.repeat(np.arange(minutes), entities)
    values = rng.normal([80.0, 37.0], [4.0, 0.3], (len(entity), 2))
    return batch(entity, values, minute * MINUTE_MS + entity * 1000)


def without(whole: Batch, gone: np.ndarray) -> Batch:
    kept = np.flatnonzero(~gone)
    columns = ("time_ms", "values", "partition", "status", "masked")
    some = {name: getattr(whole, name)[kept] for name in columns}
    if whole.recorded_ms is not None:
        some["recorded_ms"] = whole.recorded_ms[kept]
    return replace(whole, **some, offset=np.arange(len(kept)), entity=[whole.entity[row] for row in kept.tolist()])


def minutes_of(whole: Batch) -> np.ndarray:
    return whole.time_ms // MINUTE_MS


def told(alerts: list[Alert]) -> list[tuple[str, str, Change, int]]:
    """Entity, kind, change, and the minute it was told."""
    return [(a.entity, a.kind, a.change, int(a.event_time.timestamp()) // 60) for a in alerts]


def of(whole: Batch, entity: str) -> np.ndarray:
    return np.array([name == entity for name in whole.entity])


def test_a_sound_feed_is_not_spoken_of() -> None:
    assert Ward().see(rows(200)) == []


def test_one_that_stops_is_told_by_the_others_within_two_periods_and_resolves_when_it_comes_again() -> None:
    whole = rows(60)
    gone = of(whole, "1") & (minutes_of(whole) >= 30) & (minutes_of(whole) < 45)
    alerts = Ward().see(without(whole, gone))
    assert told(alerts) == [("1", "stopped", O, 31), ("1", "stopped", R, 45)]
    assert [alert.event_time.timestamp() - (29 * 60 + 1) <= 120 for alert in alerts[:1]] == [True]
    assert alerts[1].summary == "stopped (came after 16m): HR, Temp"


def test_a_signal_may_stop_alone() -> None:
    whole = rows(60)
    whole.values[of(whole, "2") & (minutes_of(whole) >= 30), 1] = np.nan
    (alert,) = Ward().see(whole)
    assert (alert.kind, [reason.signal for reason in alert.reasons]) == ("stopped", ["Temp"])


def test_while_no_row_comes_the_clock_tells() -> None:
    ward = Ward()
    ward.see(rows(30, entities=1))
    quiet = []
    for ward.now in (60.0, 113.0, 115.0, 500.0):
        quiet.append(told(ward.pipeline.missed(TOPIC, 29, 1)))
    assert quiet == [[], [], [("0", "stopped", O, 30)], []]
    later = rows(32, entities=1)
    assert told(ward.see(without(later, minutes_of(later) < 31)))[-1] == ("0", "stopped", R, 31)


def test_a_declared_period_needs_no_learning() -> None:
    ward = Ward(periods={"HR": "1m"})
    ward.see(rows(1, entities=1))
    ward.now = 200.0
    assert [reason.signal for alert in ward.pipeline.missed(TOPIC, 0, 1) for reason in alert.reasons] == ["HR"]


def test_a_gap_that_nobody_noticed_is_told_afterwards() -> None:
    whole = rows(60, entities=1)
    gone = (minutes_of(whole) >= 30) & (minutes_of(whole) < 45)
    alerts = Ward().see(without(whole, gone))
    assert told(alerts) == [("0", "gap", O, 45), ("0", "gap", R, 48)]
    assert (alerts[0].severity.value, alerts[0].summary) == (
        "info",
        "gap (nothing for 16m, and nothing was sent later): HR, Temp",
    )


def test_a_value_that_stays_is_frozen_until_it_moves() -> None:
    whole = rows(400, entities=1)
    whole.values[300:320, 0] = 81.0
    alerts = Ward().see(whole)
    assert told(alerts) == [("0", "frozen", O, 303), ("0", "frozen", R, 322)]
    assert alerts[0].summary == "frozen (4 equal values): HR"


def test_while_little_is_known_of_a_signal_it_is_given_more_time() -> None:
    whole = rows(80, entities=1)
    whole.values[40:60, 0] = 81.0
    assert told(Ward().see(whole)) == [("0", "frozen", O, 50), ("0", "frozen", R, 62)]


def test_a_signal_that_never_moved_is_frozen_where_those_of_others_move() -> None:
    whole = rows(60)
    whole.values[of(whole, "1"), 0] = 80.0
    (alert,) = Ward().see(whole)
    assert (told([alert]), alert.summary) == ([("1", "frozen", O, 31)], "frozen (32 equal values): HR")


@pytest.mark.parametrize("constant", [["0"], ["0", "1"], ["0", "1", "2"]])
def test_what_moves_in_few_may_be_constant_in_others(constant: list[str]) -> None:
    whole = rows(90, entities=len(constant) + 1)
    whole.values[np.isin(whole.entity, constant), 0] = 0.0
    assert Ward().see(whole) == []


def test_a_signal_that_others_change_now_and_then_may_be_constant() -> None:
    whole = rows(400)
    whole.values[:, 0] = np.where(of(whole, "1"), 15.0, minutes_of(whole) // 10)
    assert Ward().see(whole) == []


def test_values_that_often_stay_are_not_frozen() -> None:
    whole = rows(400, entities=1)
    whole.values[:, 0] = 80.0 + np.arange(400) // 10
    assert Ward().see(whole) == []


def test_a_block_played_again_is_told() -> None:
    whole = rows(60, entities=1)
    whole.values[40:50] = whole.values[30:40]
    assert told(Ward().see(whole)) == [("0", "repeated", O, 44), ("0", "repeated", R, 52)]


def test_one_whose_rows_never_repeated_is_told_by_the_second_that_does() -> None:
    whole = rows(310, entities=1)
    whole.values[300:305] = whole.values[290:295]
    alerts = Ward().see(whole)
    assert told(alerts) == [("0", "repeated", O, 301), ("0", "repeated", R, 307)]
    assert alerts[0].summary == "repeated (2 rows that were there before): HR, Temp"


def test_coarse_values_are_no_repetition() -> None:
    whole = rows(2_000, entities=1)
    whole.values[:] = np.round(whole.values / [20.0, 1.0])
    assert [alert for alert in Ward(kinds=["repeated"]).see(whole) if alert.change is O][3:] == []


def test_rows_ahead_of_their_record_are_told_at_once() -> None:
    whole = rows(30, entities=1)
    ahead_ms = np.where(minutes_of(whole) >= 20, 1500, 900)
    alerts = Ward().see(replace(whole, recorded_ms=whole.time_ms - ahead_ms))
    assert told(alerts) == [("0", "skew", O, 20)]
    assert alerts[0].summary == "skew (1.5s ahead of the record): HR, Temp"


def recorded(whole: Batch, entity: str, ahead_s: float, since: int = 0) -> Batch:
    """Rows are recorded within half a second; one entity's clock is wrong from a minute on."""
    wrong = of(whole, entity) & (minutes_of(whole) >= since)
    delay_ms = np.random.default_rng(7).integers(0, 500, len(whole))
    return replace(whole, time_ms=whole.time_ms + wrong * int(ahead_s * 1000), recorded_ms=whole.time_ms + delay_ms)


@pytest.mark.parametrize("entities", [2, 3])
def test_one_fast_clock_stops_no_other_feed(entities: int) -> None:
    alerts = Ward().see(recorded(rows(60, entities), "1", 100.0, since=30))
    assert told(alerts) == [("1", "skew", O, 31)]


def test_a_feed_whose_clock_is_fast_may_stop_nonetheless() -> None:
    whole = recorded(rows(60), "1", 100.0)
    alerts = Ward().see(without(whole, of(whole, "1") & (minutes_of(whole) >= 30)))
    assert [(a.entity, a.kind, a.change) for a in alerts] == [("1", "skew", O), ("1", "stopped", O)]


def test_a_clock_that_runs_behind_the_others_is_told_by_its_second_row() -> None:
    (alert,) = Ward().see(recorded(rows(60), "1", -100.0))
    assert (alert.entity, alert.kind, alert.event_time.timestamp()) == ("1", "skew", 1 + 60 - 100)
    assert alert.summary == "skew (1.7m further behind the record than others): HR, Temp"


def test_a_single_clock_that_falls_behind_is_held_against_its_own_past() -> None:
    (alert,) = Ward(kinds=["skew"]).see(recorded(rows(60, entities=1), "0", -100.0, since=30))
    assert (alert.kind, alert.change) == ("skew", O)


def test_what_was_held_back_and_is_sent_at_once_is_no_slow_clock() -> None:
    whole = recorded(rows(60), "none", 0.0)
    assert whole.recorded_ms is not None
    held = of(whole, "1") & (minutes_of(whole) >= 20) & (minutes_of(whole) < 40)
    whole.recorded_ms[held] = 40 * MINUTE_MS
    assert Ward(kinds=["skew"]).see(in_order(whole)) == []


def test_one_row_of_a_slow_feed_that_is_delivered_late_is_no_slow_clock() -> None:
    whole = rows(60)
    whole = replace(whole, time_ms=whole.time_ms * 60)
    late = of(whole, "1") & (np.arange(len(whole)) // 3 == 30)
    assert Ward(kinds=["skew"]).see(replace(whole, recorded_ms=whole.time_ms + 100_000 * late)) == []


@pytest.mark.parametrize("entity", ["0", "2"])
def test_a_slow_clock_is_told_though_rows_are_far_between(entity: str) -> None:
    whole = rows(60)
    whole = replace(whole, time_ms=whole.time_ms * 60)
    late = of(whole, entity) & (np.arange(len(whole)) // 3 >= 30)
    alerts = Ward(kinds=["skew"]).see(replace(whole, recorded_ms=whole.time_ms + 100_000 * late))
    assert told(alerts) == [(entity, "skew", O, 31 * 60 + int(entity))]


def in_order(whole: Batch) -> Batch:
    """As they were recorded."""
    assert whole.recorded_ms is not None
    order = np.argsort(whole.recorded_ms, kind="stable")
    columns = {"time_ms": whole.time_ms[order], "values": whole.values[order], "recorded_ms": whole.recorded_ms[order]}
    return replace(whole, **columns, entity=[whole.entity[row] for row in order.tolist()])


def test_data_that_come_late_for_all_are_no_slow_clock() -> None:
    whole = rows(60)
    assert Ward().see(replace(whole, recorded_ms=whole.time_ms + 86_400_000)) == []


def test_a_declared_signal_that_never_comes_has_stopped() -> None:
    whole = rows(10, entities=1)
    whole.values[:, 0] = np.nan
    (alert,) = Ward(periods={"HR": "1m"}).see(whole)
    assert (told([alert]), alert.summary) == ([("0", "stopped", O, 2)], "stopped (nothing for 2m): HR")


def test_a_unit_that_changes_is_named() -> None:
    whole = rows(60, entities=1)
    whole.values[40:, 1] = whole.values[40:, 1] * 1.8 + 32
    (alert,) = Ward().see(whole)
    assert (told([alert]), alert.summary) == ([("0", "unit", O, 41)], "unit (as if in [degF]): Temp")


def test_a_fever_is_no_unit() -> None:
    whole = rows(60, entities=1)
    whole.values[40:, 1] += 3.0
    assert Ward().see(whole) == []


@pytest.mark.parametrize("seed", range(2))
def test_what_is_told_does_not_depend_on_batches(seed: int) -> None:
    rng = np.random.default_rng(seed)
    whole = rows(120, entities=5, seed=seed)
    whole.values[rng.random(whole.values.shape) < 0.2] = np.nan
    whole.values[:, 0] = np.where(rng.random(len(whole)) < 0.7, np.round(whole.values[:, 0] / 8), whole.values[:, 0])
    gone = rng.random(len(whole)) < 0.3
    gone |= of(whole, "1") & (minutes_of(whole) % 30 > 24) | np.isnan(whole.values).all(axis=1)
    stream = without(whole, gone)
    cuts = np.unique(rng.integers(0, len(stream), 60)).tolist()
    minute = minutes_of(stream)
    stream.values[rng.random(len(stream)) < 0.05, 0] += 80.0
    stream.values[(minute > 75) & (minute < 80), 0] += 200.0
    stream.values[minute >= 80, 0] = np.nan
    stream.values[of(stream, "2"), 1] = 37.0
    delay_ms = np.where(of(stream, "3"), 90_000 * (minute > 40), -100_000 * (of(stream, "4") & (minute > 60)))
    stream = replace(stream, recorded_ms=stream.time_ms + delay_ms + rng.integers(0, 900, len(stream)))

    def alerts(cuts: Sequence[int]) -> list[Alert]:
        return Ward(rules=[BAND], alerts=ALERTS | {"threshold": 0.5, "critical": 3}, after=1.2).see(stream, cuts)

    at_once = alerts(())
    assert {alert.kind for alert in at_once} >= {"stopped", "skew", "frozen", "band", "tail"}
    assert W in {alert.change for alert in at_once}
    assert alerts(cuts) == at_once
    assert alerts(range(1, len(stream))) == at_once


def test_kinds_may_be_chosen() -> None:
    whole = rows(80, entities=1)
    whole.values[40:60, 0] = 81.0
    assert Ward(kinds=["stopped"]).see(whole) == []


BAND = {"name": "tachycardia", "kind": "band", "signal": "HR", "high": 120, "severities": {"warning": 1}}


def fast_heart(minutes: int = 60, entities: int = 3) -> Batch:
    """The heart of entity 1 races from minute 25 to 29."""
    whole = rows(minutes, entities)
    whole.values[of(whole, "1") & (minutes_of(whole) >= 25) & (minutes_of(whole) < 30), 0] += 80.0
    return whole


def ends(alerts: list[Alert], task: str = "tachycardia") -> list[tuple[Change, int]]:
    return [(change, minute) for a in alerts if a.task == task for _, _, change, minute in told([a])]


def test_an_alert_ends_after_sound_rows() -> None:
    assert ends(Ward(rules=[BAND]).see(fast_heart())) == [(O, 25), (R, 32)]


def test_no_all_clear_while_the_signal_it_is_about_has_stopped() -> None:
    whole = fast_heart()
    whole.values[of(whole, "1") & (minutes_of(whole) >= 30) & (minutes_of(whole) < 45), 0] = np.nan
    assert ends(Ward(rules=[BAND]).see(whole)) == [(O, 25), (W, 33), (R, 47)]


def test_no_all_clear_by_values_of_a_signal_that_is_frozen() -> None:
    whole = fast_heart()
    whole.values[of(whole, "1") & (minutes_of(whole) >= 30) & (minutes_of(whole) < 45), 0] = 81.0
    alerts = Ward(rules=[BAND], alerts=ALERTS | {"resolve_after": 16}).see(whole)
    assert ends(alerts) == [(O, 25), (W, 56)]


def test_another_signal_that_stopped_withholds_nothing() -> None:
    whole = fast_heart()
    whole.values[of(whole, "1") & (minutes_of(whole) >= 30), 1] = np.nan
    assert ends(Ward(rules=[BAND]).see(whole)) == [(O, 25), (R, 32)]


def test_the_learned_score_is_about_what_its_alert_named() -> None:
    found = []
    for column in (0, 1):
        whole = rows(90)
        whole.values[of(whole, "1") & (minutes_of(whole) == 60), 0] = 400.0
        whole.values[of(whole, "1") & (minutes_of(whole) > 60) & (minutes_of(whole) < 80), column] = np.nan
        alerts = Ward(alerts={"threshold": 3, "critical": 6, "resolve_after": 3, "warm_up": 20}).see(whole)
        found.append(ends([alert for alert in alerts if alert.entity == "1"], "anomaly"))
    assert found == [[(O, 60), (W, 64), (R, 82)], [(O, 60), (R, 63)]]
