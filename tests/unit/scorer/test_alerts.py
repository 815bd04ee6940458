"""The user's view of the alerts: one DataFrame, honest times, no database made by looking."""

import io
import json
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from rich.console import Console
from sqlalchemy import Engine, text

import infra
from infra.commands.alerts import alerts as command
from infra.database import connect, migrate
from schemas.alert import Alert, Change, Rung, SignalReason, Taken
from schemas.alerting import Severity
from schemas.budget import Achieved, Rate, Span
from schemas.errors import InputError, StackError
from schemas.observation import Partition
from schemas.protocols import Advance, Tally
from scorer.alerts import alert, alerts, events, watch
from scorer.ledger import SqlLedger

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
WARD = Partition("vitals", 0)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'bellwether.db'}"


@pytest.fixture
def ledger(url: str) -> Iterator[SqlLedger]:
    engine: Engine = connect(url)
    migrate(engine)
    known = iter(NOON + timedelta(minutes=minute) for minute in range(100))
    ledger = SqlLedger(engine, "health", "c1", "a", lambda: next(known), timedelta(seconds=15), lambda topic: topic)
    ledger.acquire(WARD)
    ledger.commit(
        [raised("bed 1", 1, Severity.INFO), raised("bed 2", 2), raised("bed [red]", 3, Severity.CRITICAL)], []
    )
    ledger.commit([raised("bed 1", 1, change=Change.RESOLVED)], [])
    yield ledger
    engine.dispose()


def raised(
    entity: str,
    hour: int,
    severity: Severity = Severity.WARNING,
    change: Change = Change.OPENED,
    monitor: str = "health",
) -> Alert:
    started = NOON + timedelta(hours=hour)
    later = started + timedelta(minutes=30) if change is Change.RESOLVED else started
    reasons = (SignalReason("HR", 131.0, 80.25, 4.5),)
    return Alert(
        monitor,
        entity,
        "anomaly",
        "tail",
        started,
        change,
        severity,
        later,
        started,
        3.5,
        0.9,
        reasons,
        1,
        Rung.DETECTOR,
        WARD,
        hour,
        "HR",
    )


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(
    ("chosen", "entities"),
    [
        ({}, ["bed [red]", "bed 2", "bed 1"]),
        ({"limit": 1}, ["bed [red]"]),
        ({"entity": "bed 2"}, ["bed 2"]),
        ({"monitor": "finance"}, []),
        ({"severity": "warning"}, ["bed [red]", "bed 2", "bed 1"]),
        ({"severity": "critical"}, ["bed [red]"]),
        ({"phase": "resolved"}, ["bed 1"]),
        ({"since": "2026-01-31T14:00"}, ["bed [red]", "bed 2"]),
        ({"since": "2026-01-31T16:00+02:00"}, ["bed [red]", "bed 2"]),
        ({"until": NOON + timedelta(hours=2)}, ["bed 1"]),
        ({"since": pd.Timestamp("2026-01-31T15:00Z")}, ["bed [red]"]),
    ],
)
def test_alerts_are_chosen_by(url: str, chosen: dict[str, object], entities: list[str]) -> None:
    assert list(alerts(**chosen, url=url)["entity"]) == entities  # type: ignore[arg-type]


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize("entity", ["bed 1", "nobody"])
def test_every_time_is_utc_even_where_there_is_none(url: str, entity: str) -> None:
    frame = alerts(entity=entity, url=url)
    times = ["started_at", "peak_at", "ended_at", "event_time", "known_at"]
    assert [str(frame[name].dtype) for name in times] == ["datetime64[us, UTC]"] * 5


@pytest.mark.parametrize(
    "chosen",
    [{"severity": "worst"}, {"phase": "open"}, {"since": "noon"}, {"until": datetime(2026, 1, 1)}],  # noqa: DTZ001
)
def test_an_argument_that_means_nothing_is_named(url: str, chosen: dict[str, object]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(chosen))}: got .*; expected "):
        alerts(**chosen, url=url)  # type: ignore[arg-type]


def test_looking_makes_no_database(url: str, tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"no database at /.*bellwether.db; expected one made by `bellwether run`"):
        alerts(url=url)
    assert list(tmp_path.iterdir()) == []


def test_a_database_without_alerts_says_so(url: str, tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "bellwether.db").execute("CREATE TABLE unrelated (x)").connection.close()
    with pytest.raises(StackError, match=r"no such table: alerts; expected .* `bellwether run` or `train`"):
        alerts(url=url)


@pytest.mark.usefixtures("ledger")
def test_the_environment_names_the_database(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    assert len(alerts()) == 3


@pytest.mark.usefixtures("ledger")
def test_one_alert_has_its_reasons_and_its_life(url: str) -> None:
    name = alerts(entity="bed 1", url=url)["id"][0]
    reasons, life = alert(name, url)["reasons"], list(events(name, url)["change"])
    assert (reasons, life) == (
        [{"signal": "HR", "observed": 131.0, "expected": 80.25, "evidence": 4.5}],
        ["opened", "resolved"],
    )


@pytest.mark.usefixtures("ledger")
def test_an_unknown_alert_is_an_input_error(url: str) -> None:
    with pytest.raises(InputError, match="alert nope: unknown"):
        alert("nope", url)


@pytest.mark.usefixtures("ledger")
def test_the_beginning_of_an_id_is_enough_where_no_other_begins_so(url: str) -> None:
    name = alerts(entity="bed 1", url=url)["id"][0]
    shown = json.loads(invoke(url, "show", name[:8], "--json").stdout)
    assert (shown["id"], [step["change"] for step in shown["events"]]) == (name, ["opened", "resolved"])
    assert alert(name[:8], url)["id"] == name


def test_the_beginning_of_several_ids_is_not_enough(url: str, ledger: SqlLedger) -> None:
    ledger.commit([raised(f"bed {number}", number) for number in range(20, 40)], [])
    first = next(letter for letter, count in Counter(name[0] for name in alerts(url=url)["id"]).items() if count > 1)
    with pytest.raises(InputError, match=f"alert {first}: got [0-9]+ whose id begins so; expected more of it"):
        alert(first, url)


def test_a_watcher_sees_each_new_alert_once(url: str, ledger: SqlLedger) -> None:
    arrivals = iter([[raised("bed 4", 4)], [raised("bed 4", 4, change=Change.RESOLVED)], [raised("bed 5", 5)]])
    stream = watch(url=url, wait=lambda _: ledger.commit(next(arrivals), []))
    assert [list(next(stream)["entity"]) for _ in range(2)] == [["bed 4"], ["bed 5"]]


def test_a_watcher_may_begin_in_the_past(url: str, ledger: SqlLedger) -> None:
    stream = watch(since="2026-01-31T14:00Z", url=url, wait=lambda _: ledger.commit([raised("bed 6", 6)], []))
    assert [list(next(stream)["entity"]) for _ in range(2)] == [["bed 2", "bed [red]"], ["bed 6"]]


def invoke(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(command, [*arguments, "--database", url])


@pytest.mark.usefixtures("ledger")
def test_the_command_lists_json(url: str) -> None:
    listed = json.loads(invoke(url, "list", "--severity", "critical", "--json").stdout)
    assert [(one["entity"], one["event_time"], one["ended_at"]) for one in listed] == [
        ("bed [red]", "2026-01-31T15:00:00.000Z", None)
    ]


@pytest.mark.usefixtures("ledger")
def test_the_command_lists_a_table_and_shows_names_as_they_are(url: str) -> None:
    assert "bed [red]" in invoke(url, "list").stdout


@pytest.mark.usefixtures("ledger")
def test_in_a_pipe_an_alert_is_one_line_that_says_who_raised_it_and_from_when_to_when(url: str) -> None:
    heading, *lines = invoke(url, "list").stdout.splitlines()
    assert heading.split("  ")[0] == "onset"
    assert [line.split("  ")[:3] for line in lines] == [
        ["2026-01-31 15:00:00", "2026-01-31 15:00:00", "-"],
        ["2026-01-31 14:00:00", "2026-01-31 14:00:00", "-"],
        ["2026-01-31 13:00:00", "2026-01-31 13:00:00", "2026-01-31 13:30:00"],
    ]
    assert all("  detector  " in line for line in lines)


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(("width", "told"), [(120, set()), (240, {"onset", "peak", "end", "raised by"})])
def test_a_wide_terminal_shows_when_and_by_whom_too(url: str, width: int, told: set[str], monkeypatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr("infra.terminal.console", lambda: Console(width=width, force_terminal=True, file=shown))
    invoke(url, "list")
    assert {heading for heading in ("onset", "peak", "end", "raised by") if heading in shown.getvalue()} == told


@pytest.mark.usefixtures("ledger")
def test_alerts_of_older_programs_keep_the_word_they_have(url: str) -> None:
    engine = connect(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alerts SET rung = 'model'"))
    engine.dispose()
    assert invoke(url, "list").stdout.count("  model  ") == 3


@pytest.mark.usefixtures("ledger")
def test_the_command_answers_without_pandas(url: str) -> None:
    script = (
        "import sys; from infra.commands.alerts import alerts\n"
        "alerts(['list', '--database', sys.argv[1]], standalone_mode=False); sys.exit('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script, url], capture_output=True, text=True, check=False)
    assert (done.returncode, "bed 1" in done.stdout) == (0, True), done.stderr


@pytest.mark.usefixtures("ledger")
def test_an_age_is_taken_from_now(url: str) -> None:
    assert invoke(url, "list", "--since", "1s").stdout == "no alerts\n"


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize("since", ["yesterday", "5x", "9999999999d", "3 d 4"])
def test_a_time_that_is_none_is_answered_with_both_that_are(url: str, since: str) -> None:
    expected = "expected ISO 8601, as 2026-01-31T08:00Z, or an age such as 2h or 3d"
    assert str(invoke(url, "list", "--since", since).exception) == f"--since: got {since!r}; {expected}"


def test_a_budget_that_is_out_of_reach_is_named_beneath_the_table(url: str, ledger: SqlLedger) -> None:
    asked, late = Rate(alarms=5, span=Span.DAY), Rate(alarms=20, span=Span.DAY)
    achieved = {"entity": Achieved(asked, 900, 10.0, 880), "total": Achieved(late, 90, 10.0, 3)}
    ledger.commit([], [Advance(WARD, 0, 1, Tally(accepted=1), 1, achieved=achieved)])
    *table, said = invoke(url, "budget").stdout.splitlines()
    assert said.startswith("health: entity: 880 of 900 alarms, more than asked for, are always told")
    assert (any("5 per entity-day" in line for line in table), any("20 per day" in line for line in table)) == (
        True,
    ) * 2


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize("command", ["list", "budget", "watch"])
def test_an_unknown_monitor_is_answered_with_those_that_are_known(url: str, command: str) -> None:
    error = invoke(url, command, "--monitor", "nope").exception
    assert (type(error), str(error)) == (InputError, "monitor nope: unknown; expected one of health")


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize("name", ["health", "FILE"])
def test_a_monitor_is_named_by_itself_or_by_its_file(url: str, tmp_path: Path, name: str) -> None:
    path = tmp_path / "ward.yaml"
    path.write_text((Path(infra.__file__).parent / "monitors" / "health.yaml").read_text())
    listed = invoke(url, "list", "--json", "--monitor", str(path) if name == "FILE" else name)
    assert len(json.loads(listed.stdout)) == 3


@pytest.mark.usefixtures("ledger")
def test_the_command_shows_what_was_expected_and_what_came(url: str) -> None:
    name = alerts(entity="bed 1", url=url)["id"][0]
    shown = json.loads(invoke(url, "show", name, "--json").stdout)
    table = invoke(url, "show", name).stdout
    assert (shown["reasons"][0]["expected"], [step["change"] for step in shown["events"]]) == (
        80.25,
        ["opened", "resolved"],
    )
    assert "80.25" in table


def test_the_command_says_why_an_all_clear_is_withheld(url: str, ledger: SqlLedger) -> None:
    high = raised("bed 9", 9)
    feed = replace(high, task="silence", kind="stopped", offset=10, summary="stopped (nothing for 3m): HR")
    other = replace(feed, kind="frozen", summary="frozen", reasons=(SignalReason("Temp", None, None, 0.0),))
    ledger.commit([high, feed, other, replace(high, change=Change.WITHHELD, offset=12)], [])
    shown = json.loads(invoke(url, "show", high.id, "--json").stdout)
    assert shown["all_clear"] == "withheld: stopped (nothing for 3m): HR"
    assert {each["kind"] for each in shown["feed"]} == {"stopped", "frozen"}
    assert "all clear  withheld: stopped (nothing for 3m): HR" in invoke(url, "show", high.id).stdout
    ledger.commit([replace(feed, change=Change.RESOLVED, offset=20)], [])
    assert "all_clear" in json.loads(invoke(url, "show", high.id, "--json").stdout)
    ledger.commit([replace(other, change=Change.RESOLVED, offset=20)], [])
    assert "all_clear" not in json.loads(invoke(url, "show", high.id, "--json").stdout)


def test_the_command_shows_what_a_rule_took(url: str, ledger: SqlLedger) -> None:
    taken = (
        SignalReason("RespRate", 31.0, 20.5, 1.0, Taken(31.0, 0.0, 3.0)),
        SignalReason("GCS", None, 15.0, 0.0, Taken(8.0, 5400.0, 3.0)),
        SignalReason("Temp", None, None, 0.0, Taken(None, None)),
    )
    ward = replace(raised("bed 9", 9), task="news2", kind="news2", reasons=taken)
    ledger.commit([ward], [])
    shown = json.loads(invoke(url, "show", ward.id, "--json").stdout)["reasons"]
    table = invoke(url, "show", ward.id).stdout
    assert shown[1:] == [
        {"signal": "GCS", "observed": None, "expected": 15.0, "evidence": 0.0}
        | {"used": 8.0, "age_seconds": 5400.0, "points": 3.0},
        {"signal": "Temp", "observed": None, "expected": None, "evidence": 0.0}
        | {"used": None, "age_seconds": None, "points": None},
    ]
    assert [line.split()[1::2] for line in table.splitlines() if "GCS" in line] == [
        ["GCS", "-", "15", "0", "8", "1.5h", "3"]
    ]


@pytest.mark.usefixtures("ledger")
def test_the_command_raises_an_input_error_for_an_unknown_alert(url: str) -> None:
    error = invoke(url, "show", "nope").exception
    assert isinstance(error, InputError)
    assert error.exit_code == 3
