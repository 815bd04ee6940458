"""Alarms against events: what was foretold, how long before, and what a baseline would have raised."""

from datetime import timedelta

import numpy as np
import pytest

from infra.backtest.alarms import Alarms
from infra.metrics.warning import Moments, lead_times, match, onsets
from schemas.alerting import AlertSettings

HOUR_MS = 3_600_000


def moments(*each: tuple[int, int]) -> Moments:
    """(entity, row): rows are an hour apart."""
    entity, place = np.array(each, dtype=np.int64).reshape(-1, 2).T
    return Moments(entity, place, place * HOUR_MS)


def test_an_onset_needs_a_calm_before_it_of_the_same_entity() -> None:
    worst = np.array([0, 1, 0, 0, 0, 1, 1, 0, 1, 0], dtype=np.bool_)
    entity = np.array([0, 1, 0, 1, 0, 0, 0, 1, 1, 0])
    assert onsets(worst, entity, 2).tolist() == [5, 8]


def test_an_alarm_foretells_the_event_within_its_horizon_and_not_before_or_after() -> None:
    alarms, events = moments((0, 1), (0, 4), (0, 5), (1, 4), (2, 0)), moments((0, 5), (1, 9), (3, 7))
    warned = match(alarms, events, 3)
    assert (warned.first.tolist(), warned.followed.tolist()) == ([1, -1, -1], [False, True, False, False, False])


def test_the_lead_is_that_of_the_first_alarm() -> None:
    alarms, events = moments((0, 1), (0, 4), (1, 8)), moments((0, 5), (1, 9))
    assert lead_times(alarms, events, match(alarms, events, None)) == ([4.0, 1.0], [4.0, 1.0])


@pytest.mark.parametrize(("hours", "caught"), [(3, -1), (4, 0)])
def test_a_horizon_may_be_a_duration(hours: int, caught: int) -> None:
    assert match(moments((0, 1)), moments((0, 5)), timedelta(hours=hours)).first.tolist() == [caught]


def test_nothing_to_foretell_and_no_alarm_are_no_error() -> None:
    warned = match(moments(), moments(), 3)
    assert (len(warned.first), len(warned.followed), lead_times(moments(), moments(), warned)) == (0, 0, ([], []))


def raising(rows: int, **settings: int) -> Alarms:
    return Alarms(AlertSettings(**settings), np.zeros(rows, dtype=np.int64), np.arange(rows))


def test_a_baseline_opens_and_resolves_through_the_same_stages() -> None:
    score = np.array([0.9, 0.9, 0.1, 0.1, 0.9, np.nan, 0.1])
    assert raising(7, resolve_after=2, cooldown=0).opened(score, 0.5).tolist() == [0, 4]


def test_a_baseline_raises_as_many_alarms_as_it_is_asked_for() -> None:
    score = np.random.default_rng(0).random(1000)
    found = raising(1000, resolve_after=1, cooldown=0).as_many(score, 40)
    assert (len(found), score[found].min() > 0.9) == (40, True)


def test_a_baseline_that_knows_nothing_raises_nothing() -> None:
    assert raising(3).as_many(np.full(3, np.nan), 5).tolist() == []
