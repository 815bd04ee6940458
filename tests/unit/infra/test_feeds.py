from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.feeds.feed import Feed, Message, feed_of
from infra.feeds.finance import finance, market_of
from infra.feeds.icu import icu
from infra.feeds.physiology import VITALS, EpisodeKind, generate, physiology
from infra.settings import load_monitor
from schemas.errors import InputError
from schemas.layout import Layout
from schemas.modality import Scope
from schemas.topics import Topics

TOPICS = Topics(observations="observations", globals="globals")


def decoded(message: Message) -> dict[str, Any]:
    return msgspec.json.decode(message.value)


@pytest.fixture(scope="module")
def markets() -> list[Message]:
    return list(finance(TOPICS).messages())


@pytest.fixture(scope="module")
def stays() -> list[Message]:
    return list(physiology(TOPICS, patients=20, hours=24).messages())


@pytest.fixture
def icu_file(tmp_path: Path) -> Path:
    rows = [(7, 0, "Age", 54.0), (7, 0, "Height", -1.0), (7, 0, "HR", 73.0), (7, 12, "HR", 80.0), (7, 12, "Temp", 36.6)]
    patient, minute, parameter, value = zip(*rows, strict=True)
    columns = {
        "record_id": pa.array(patient, pa.int32()),
        "minute": pa.array(minute, pa.int16()),
        "parameter": pa.array(parameter).dictionary_encode(),
        "value": pa.array(value, pa.float32()),
    }
    path = tmp_path / "events.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def test_markets_come_in_the_order_in_which_they_became_known(markets: list[Message]) -> None:
    assert all(one.time_ms <= other.time_ms for one, other in pairwise(markets))


def test_the_market_of_a_day_is_known_only_after_its_instruments_bars(markets: list[Message]) -> None:
    market = {m.time_ms for m in markets if m.key == b"market"}
    shares = {m.time_ms + 60_000 for m in markets if m.key in {b"SPX", b"IXIC"}}
    assert market == shares


def test_the_market_moves_by_the_mean_return_and_an_instrument_without_a_bar_stands_still() -> None:
    days = pd.to_datetime(["2020-01-01", "2020-01-02", "2020-01-03"])
    share = pd.DataFrame({"close": [100.0, 110.0, 99.0], "range_percent": [1.0, 2.0, 3.0], "volume": 7.0}, index=days)
    oil = pd.DataFrame({"close": [50.0, 40.0]}, index=days[[0, 2]])
    market = market_of([share, oil])
    np.testing.assert_allclose(market.close, 1000 * np.sqrt([1.0, 1.1, 0.99 * 0.8]), rtol=1e-8)
    assert market[["range_percent", "volume"]].to_numpy().tolist() == [[1.0, 7.0], [2.0, 7.0], [3.0, 7.0]]


def test_the_vix_of_a_day_is_known_only_after_that_days_bars(markets: list[Message]) -> None:
    day = next(m for m in markets if m.key == b"vix")
    bar = max(m.time_ms for m in markets if m.key == b"SPX" and m.time_ms <= day.time_ms)
    assert day.time_ms - bar == 15 * 60_000


def test_macro_figures_are_known_a_month_after_their_quarter(markets: list[Message]) -> None:
    figures = [decoded(m) for m in markets if m.key == b"macro"]
    lags_days = {round((float(f["known"]) - float(f["time"])) / 86_400_000) for f in figures}
    assert (len(figures), lags_days) == (43, {30})


@pytest.mark.parametrize(("monitor", "fixture"), [("finance", "markets"), ("health", "stays")])
def test_the_demo_speaks_of_configured_signals_within_their_ranges(
    monitor: str, fixture: str, request: pytest.FixtureRequest
) -> None:
    layout = Layout(load_monitor(monitor, {}))
    ranges = {signal.name: signal.range for signal in layout.signals}
    wrong = set()
    for message in request.getfixturevalue(fixture):
        signals = {name: value for name, value in decoded(message).items() if name not in {"entity", "time", "known"}}
        wrong |= {name for name, value in signals.items() if not ranges[name][0] <= value <= ranges[name][1]}
    assert wrong == set()


def test_a_message_of_an_entity_is_keyed_by_it(stays: list[Message]) -> None:
    assert all(m.key.decode() == decoded(m)["entity"] and m.time_ms == decoded(m)["time"] for m in stays)


def test_generated_stays_come_in_event_time_order_and_are_counted(stays: list[Message]) -> None:
    ordered = all(one.time_ms <= other.time_ms for one, other in pairwise(stays))
    assert (ordered, len(stays)) == (True, physiology(TOPICS, patients=20, hours=24).rows)


def test_the_same_seed_generates_the_same_stays(stays: list[Message]) -> None:
    assert list(physiology(TOPICS, patients=20, hours=24).messages()) == stays


def test_every_kind_of_episode_is_generated_and_labelled() -> None:
    patients = generate(patients=200, hours=72, seed=0)
    assert {p.episode.kind for p in patients if p.episode} == set(EpisodeKind)


def test_pressure_falls_in_generated_sepsis() -> None:
    systolic = VITALS.index("SysABP")
    falls = []
    for patient in generate(patients=200, hours=72, seed=0):
        if patient.episode and patient.episode.kind is EpisodeKind.SEPSIS:
            height_ms = patient.episode.start_ms + 2 * (patient.episode.end_ms - patient.episode.start_ms) // 3
            at = np.searchsorted(patient.time_ms, height_ms)
            falls.append(
                np.nanmean(patient.values[: at // 2, systolic]) - np.nanmean(patient.values[at - 1 : at + 1, systolic])
            )
    assert 25 < np.mean(falls) < 45


def test_icu_events_of_one_minute_are_one_observation_without_unknowns(icu_file: Path) -> None:
    first, second = map(decoded, icu(TOPICS, icu_file).messages())
    start = first.pop("time")
    assert (first, second) == (
        {"entity": "7", "Age": 54.0, "HR": 73.0},
        {"entity": "7", "time": start + 12 * 60_000, "HR": 80.0, "Temp": 36.6},
    )


def test_the_real_stays_hold_only_configured_signals(shared_data: Path) -> None:
    layout = Layout(load_monitor("health", {}))
    known = {layout.names[c] for c in layout.columns(Scope.ENTITY, Scope.STATIC)} | {"entity", "time"}
    feed = icu(TOPICS, shared_data / "icu2012a" / "events.parquet")
    seen = {name for message in feed.messages() for name in decoded(message)}
    assert (feed.rows, seen) == (292_178, known)


def chosen(environment: dict[str, str]) -> Feed:
    return feed_of("health", TOPICS, environment)


def test_health_streams_real_stays_where_they_are_and_says_so_where_not(icu_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shared" / "icu2012a"
    folder.mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    icu_file.rename(folder / "events.parquet")
    titles = [chosen({"BELLWETHER_SHARED": str(tmp_path / name)}).title for name in ("shared", "empty")]
    assert [title.split()[0] for title in titles] == ["real", "GENERATED"]


def test_a_monitor_without_demo_input_is_told_so() -> None:
    with pytest.raises(InputError, match="produce"):
        feed_of("pumps", TOPICS)
