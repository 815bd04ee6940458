"""Labels in SQL, what is decided of their sources, and verdicts on alerts."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from sqlalchemy import Engine, insert, select

from infra.commands.alerts import alerts
from infra.commands.labels import labels
from infra.labels.judged import SqlVerdicts
from infra.labels.store import LABELS, SqlLabels
from ingest import client
from schemas.alert import Alert, Change, Rung
from schemas.alerting import Severity
from schemas.errors import FencedError, InputError
from schemas.label import Annotation, Fate, Label, LabelStatus
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.observation import Partition
from schemas.tables import VerdictRow
from scorer.ledger import SqlLedger
from scorer.strictness import moved_by_verdicts

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
WARD, TOLD = Partition("vitals", 0), Partition("told", 1)
MONITOR = """\
monitor: pumps
topics: {observations: pumps.raw, labels: pumps.labels}
modalities: [{name: motor, signals: [{name: rpm}]}]
tasks:
  - {name: forecast, kind: forecast}
  - {name: anomaly, kind: anomaly}
  - {name: wear, kind: state, classes: [new, worn, broken], severities: {warning: 0.5}, alert_from: worn}
kafka: {bootstrap_servers: "127.0.0.1:1"}
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'bellwether.db'}"


@pytest.fixture
def store(engine: Engine) -> SqlLabels:
    return SqlLabels(engine, "pumps", lambda: ("c1", "t1"), lambda: NOON)


def said(offset: int, source: str = "anna", value: int = 1, partition: Partition = TOLD) -> Annotation:
    return Annotation(Label(f"p{offset}", "anomaly", 1_000, value, None, source), 1_000, None, partition, offset)


def taught(offset: int, source: str = "anna", value: int = 1, belief: float = 0.9, step: int = 3) -> Fate:
    return Fate(said(offset, source, value), LabelStatus.TAUGHT, step, belief)


def rows(engine: Engine) -> list[tuple[object, ...]]:
    columns = LABELS.c.offset, LABELS.c.status, LABELS.c.step, LABELS.c.belief
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(select(*columns).order_by(LABELS.c.offset))]


def test_who_was_followed_by_another_trainer_writes_no_more_of_labels(engine: Engine) -> None:
    ledger = SqlLedger(engine, "pumps.trainer", "c1", "t", lambda: NOON, timedelta(seconds=9), lambda _: "t2")

    def trainer() -> SqlLabels:
        fence = ledger.fence([WARD], ledger.acquire(WARD).epoch)
        return SqlLabels(engine, "pumps", lambda: ("c1", "t1"), lambda: NOON, fence)

    first, second = trainer(), trainer()
    second.receive([said(0)])
    for write in (
        lambda: first.receive([said(1)]),
        lambda: first.end([taught(0)]),
        lambda: first.unlearn(0),
        lambda: first.decide("anna", excluded=True, author="guard", why=None),
    ):
        with pytest.raises(FencedError, match=r"partitions of pumps.trainer: epoch is 2; expected at most 1"):
            write()
    assert (rows(engine), second.excluded()) == ([(0, "waiting", None, None)], frozenset())
    second.end([taught(0)])
    assert rows(engine) == [(0, "taught", 3, 0.9)]


def test_a_label_read_twice_is_one_row_and_is_told_again_only_while_its_end_is_open(store, engine) -> None:
    first = store.receive([said(0), said(1)])
    store.end([taught(0)])
    again = store.receive([said(0), said(1), said(2)])
    assert (first, again) == ([said(0), said(1)], [said(1), said(2)])
    assert rows(engine) == [(0, "taught", 3, 0.9), (1, "waiting", None, None), (2, "waiting", None, None)]


def test_reading_goes_on_at_the_first_open_label_of_each_partition(store) -> None:
    other = Partition("told", 4)
    store.receive([said(5), said(6), said(7), said(2, partition=other)])
    store.end([taught(5), taught(7), Fate(said(2, partition=other), LabelStatus.UNMATCHED)])
    assert store.position("told") == {TOLD: 6, other: 3}


def test_a_topic_made_anew_starts_afresh(store, engine) -> None:
    store.receive([said(0)])
    store.end([taught(0)])
    anew = SqlLabels(engine, "pumps", lambda: ("c1", "t2"), lambda: NOON)
    assert (anew.position("told"), anew.receive([said(0)])) == ({}, [said(0)])


def test_who_gave_a_label_up_does_not_deny_that_another_taught_it(store, engine) -> None:
    store.receive([said(0), said(1)])
    store.end([taught(0), Fate(said(1), LabelStatus.EXPIRED)])
    store.end([Fate(said(0), LabelStatus.EXPIRED), taught(1)])
    assert [row[1] for row in rows(engine)] == ["taught", "taught"]


def test_what_lost_steps_taught_waits_again(store, engine) -> None:
    store.receive([said(0), said(1)])
    store.end([taught(0, step=3), taught(1, step=4)])
    store.unlearn(after_step=3)
    assert [row[:3] for row in rows(engine)] == [(0, "taught", 3), (1, "waiting", None)]


def test_what_was_taught_is_told_by_its_step_until_it_is_disowned(store) -> None:
    store.receive([said(0), said(1, "ben"), said(2), said(3)])
    store.end([replace(taught(0, step=5), rows_until=40), taught(1, "ben", step=3), taught(2, step=4)])
    found = store.taught(2, 5)
    assert [(each.step, each.rows_until, each.label) for each in found] == [
        (3, None, said(1, "ben").label),
        (4, None, said(2).label),
        (5, 40, said(0).label),
    ]
    assert [each.step for each in store.taught(3, 4)] == [4]
    store.disown(found[:1], LabelStatus.EXCLUDED)
    assert [each.step for each in store.taught(2, 5)] == [4, 5]
    assert store.first_step(frozenset({"ben"})) == 3, "what was disowned may be in weights of then"
    assert store.first_step(frozenset({"nobody"})) is None


def test_beliefs_of_a_source_that_was_included_again_begin_anew(store, engine) -> None:
    store.receive([said(0), said(1, "ben")])
    store.end([taught(0), taught(1, "ben")])
    later = SqlLabels(engine, "pumps", store.origin, lambda: NOON + timedelta(hours=1))
    later.decide("ben", excluded=False, author="anna", why=None)
    later.receive([said(2, "ben", 0)])
    later.end([taught(2, "ben", 0, 0.25)])
    assert store.beliefs() == [("anna", "anomaly", 1, 0.9), ("ben", "anomaly", 0, 0.25)]


def test_of_labels_in_refused_steps_nothing_is_believed(store) -> None:
    store.receive([said(0), said(1)])
    store.end([taught(0), replace(taught(1, belief=0.001), status=LabelStatus.REFUSED)])
    assert store.beliefs() == [("anna", "anomaly", 1, 0.9)]


def judged(engine: Engine) -> dict[str, tuple[int, int]]:
    layout = Layout(Monitor.model_validate(yaml.safe_load(MONITOR)))
    return SqlVerdicts(engine, "pumps", moved_by_verdicts(layout)).judged()


def last(done: Result) -> str:
    """The last line: an unconfigured log goes to standard output too."""
    return done.stdout.splitlines()[-1]


def told(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(labels, [*arguments, "--database", url])


def test_sources_are_listed_excluded_and_included(url: str, store) -> None:
    store.receive([said(0), said(1), said(2, "ben")])
    store.end([taught(0), Fate(said(1), LabelStatus.UNMATCHED)])
    done = last(told(url, "exclude", "anna", "--by", "chief", "--why", "guesses"))
    listed = {each["source"]: each for each in json.loads(told(url, "list", "--json").stdout)}
    names = ("labels", "taught", "waiting", "other", "reliability", "excluded", "author", "why")
    assert done == "pumps: anna excluded"
    assert [listed["anna"][name] for name in names] == [2, 1, 0, {"unmatched": 1}, 0.9, True, "chief", "guesses"]
    assert [listed["ben"][name] for name in names] == [1, 0, 1, {}, 0.9, False, None, None]
    excluded = store.excluded()
    told(url, "include", "anna", "--by", "chief")
    assert (excluded, store.excluded(), "anna" in told(url, "list").stdout) == ({"anna"}, set(), True)


def test_a_source_that_nobody_knows_is_named_with_those_that_are_known(url: str, store) -> None:
    store.receive([said(0)])
    error = told(url, "exclude", "ana", "--by", "chief").exception
    assert isinstance(error, InputError)
    assert str(error) == "source 'ana': unknown; expected one that told labels or gave verdicts: 'anna'"


def test_who_only_judged_alerts_is_listed_and_can_be_excluded(url: str, engine) -> None:
    judge(url, alarm(engine, "anomaly"), "false")
    (listed,) = json.loads(told(url, "list", "--json").stdout)
    assert [listed[name] for name in ("source", "verdicts", "labels", "excluded")] == ["anna", 1, 0, False]
    assert last(told(url, "exclude", "anna", "--by", "chief")) == "pumps: anna excluded"
    assert judged(engine)["anomaly"] == (0, 0)


def test_a_source_of_two_monitors_must_be_chosen(url: str, engine, store) -> None:
    store.receive([said(0)])
    SqlLabels(engine, "valves", store.origin, store.clock).receive([said(0)])
    error = told(url, "exclude", "anna", "--by", "chief").exception
    chosen = last(told(url, "exclude", "anna", "--by", "chief", "--monitor", "valves"))
    assert isinstance(error, InputError)
    assert (str(error).startswith("source 'anna': got monitors pumps, valves"), chosen) == (
        True,
        "valves: anna excluded",
    )


def test_labels_are_listed_without_loading_torch(url: str, store) -> None:
    store.receive([said(0)])
    script = (
        "import sys; from infra.commands.labels import labels\n"
        "labels(['list', '--database', sys.argv[1]], standalone_mode=False); sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script, url], capture_output=True, text=True, check=False)
    assert (done.returncode, "anna" in done.stdout) == (0, True), done.stderr


def raised(task: str, change: Change = Change.OPENED, minutes: int = 0) -> Alert:
    at = NOON + timedelta(minutes=minutes)
    key = ("pumps", "p1", task, "tail", NOON, change, Severity.WARNING, at, NOON)
    return Alert(*key, 3.5 + minutes, 0.9, (), 1, Rung.DETECTOR, WARD, minutes, "rpm")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(client, "_PATIENCE_MS", 50)
    (tmp_path / "pumps.yaml").write_text(MONITOR)
    return str(tmp_path / "pumps.yaml")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """What a broker would have been given."""
    found: list[dict[str, object]] = []
    monkeypatch.setattr("infra.labels.verdict.create_topics", lambda *_: [])
    monkeypatch.setattr(
        "infra.labels.verdict.publish", lambda records, *_: found.extend(json.loads(each[1]) for each in records)
    )
    return found


def alarm(engine: Engine, task: str, **of_alert: object) -> str:
    ledger = SqlLedger(engine, "pumps", "c1", "a", lambda: NOON, timedelta(seconds=15), lambda topic: topic)
    ledger.acquire(WARD)
    for change, minutes in ((Change.OPENED, 0), (Change.ESCALATED, 5), (Change.RESOLVED, 9)):
        ledger.commit([replace(raised(task, change, minutes), **of_alert)], [])
    return replace(raised(task), **of_alert).id


def judge(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(alerts, ["feedback", *arguments, "--by", "anna", "--database", url])


def life(url: str, name: str) -> tuple[list[str], list[tuple[str, str, str | None]]]:
    shown = json.loads(CliRunner().invoke(alerts, ["show", name, "--json", "--database", url]).stdout)
    verdicts = [(each["verdict"], each["author"], each["why"]) for each in shown["verdicts"]]
    return [each["change"] for each in shown["events"]], verdicts


NOON_MS, FIVE_MS = 1_769_860_800_000, 1_769_861_100_000


@pytest.mark.parametrize(
    ("task", "verdict", "change", "label"),
    [
        ("anomaly", "true", "acknowledged", 1),
        ("anomaly", "false", "false-alarm", 0),
        ("wear", "true", "acknowledged", "worn"),
        ("wear", "false", "false-alarm", "new"),
    ],
)
def test_a_verdict_is_kept_with_its_alert_and_sent_for_each_row_at_which_it_grew(
    url: str, engine, config: str, sent, task: str, verdict: str, change: str, label: object
) -> None:
    name = alarm(engine, task)
    said = judge(url, name, verdict, "--why", "seen it", "--config", config, "--json")
    about = {"entity": "p1", "task": task, "label": label, "source": "anna"}
    assert json.loads(last(said))["not_sent"] is None
    assert sent == [about | {"time": NOON_MS}, about | {"time": FIVE_MS}]
    assert life(url, name) == (["opened", "escalated", "resolved", change], [(verdict, "anna", "seen it")])


def test_an_unsure_verdict_is_kept_and_teaches_nothing(url: str, engine, config: str, sent) -> None:
    name = alarm(engine, "anomaly")
    said = judge(url, name, "unsure", "--config", config)
    assert (said.exit_code, sent, "an unsure verdict teaches nothing" in said.stderr) == (0, [], True)
    assert life(url, name) == (["opened", "escalated", "resolved"], [("unsure", "anna", None)])


@pytest.mark.parametrize(
    ("task", "options", "why"),
    [
        ("anomaly", ["--config"], "kafka at 127.0.0.1:1: making topics pumps.labels: got KafkaTimeoutError"),
        ("anomaly", [], "monitor pumps is not a shipped one: give its file with --config"),
        ("tachycardia", ["--config"], "labels teach anomaly, wear, not tachycardia"),
    ],
)
def test_a_verdict_stands_though_nobody_can_learn_from_it(
    url: str, engine, config: str, task: str, options: list[str], why: str
) -> None:
    name = alarm(engine, task)
    said = judge(url, name, "false", *(part for each in options for part in (each, config)))
    assert (said.exit_code, life(url, name)[1]) == (0, [("false", "anna", None)])
    assert said.stderr.startswith(f"the verdict stands in the database; no label was sent: {why}")


@pytest.mark.parametrize(("name", "verdict"), [("nope", "true"), (None, "maybe")])
def test_a_wrong_alert_or_word_records_nothing(url: str, engine, name: str | None, verdict: str) -> None:
    done = judge(url, name or alarm(engine, "anomaly"), verdict)
    with engine.connect() as connection:
        assert (done.exit_code, connection.execute(select(VerdictRow.id)).all()) == (1 if name else 2, [])


def test_whoever_says_the_same_again_is_told_so(url: str, engine) -> None:
    name = alarm(engine, "anomaly")
    said = [judge(url, name[:8], verdict).stdout.splitlines()[-1] for verdict in ("false", "false", "true")]
    again = "recorded: false, by anna (already judged so by anna)"
    assert said == ["recorded: false, by anna", again, "recorded: true, by anna"]
    assert [verdict for verdict, *_ in life(url, name)[1]] == ["false", "false", "true"]


def test_a_monitor_may_be_named_where_its_file_could_be_given(url: str, engine) -> None:
    said = judge(url, alarm(engine, "anomaly"), "false", "--monitor", "pumps")
    assert (said.exit_code, "monitor pumps is not a shipped one: give its file" in said.stderr) == (0, True)


def test_verdicts_are_shown_to_people(url: str, engine) -> None:
    name = alarm(engine, "anomaly")
    judge(url, name, "false", "--why", "a loose cable")
    assert "a loose cable" in CliRunner().invoke(alerts, ["show", name, "--database", url]).stdout


STATE = {"kind": "state", "rung": Rung.NETWORK}
RULE = {"kind": "band", "rung": Rung.RULE}


@pytest.mark.parametrize(
    ("task", "of_alert", "told"),
    [
        ("anomaly", {}, "lately judged: 0 true, 1 false; threshold of the learned score: +0.04"),
        ("wear", STATE, "lately judged: 0 true, 1 false; thresholds of wear: warning 0.54 (configured: 0.5)"),
        ("wear", RULE, "no threshold moves: verdicts change no rule"),
        ("silence", RULE | {"kind": "frozen"}, "no threshold moves: verdicts change nothing of how feeds are watched"),
        ("tear", STATE, "no threshold moves: tear raises no alerts any more"),
    ],
)
def test_whoever_judges_is_told_where_the_threshold_stands(url, engine, config, task, of_alert, told) -> None:
    said = judge(url, alarm(engine, task, **of_alert), "false", "--config", config)
    lines = said.stdout.splitlines()
    assert lines[lines.index("recorded: false, by anna") + 1 :] == [told]


def test_what_a_miss_of_the_learned_score_costs_counts_where_it_is_said_by_name(url, engine, config) -> None:
    Path(config).write_text(MONITOR + "alerts: {costs_of_miss: {anomaly: 1}}\n")
    told = json.loads(last(judge(url, alarm(engine, "anomaly"), "false", "--config", config, "--json")))
    assert (told["lately"], told["strictness"], told["thresholds"], told["unmoved"]) == ([0, 1], 0.07, {}, None)


def test_the_last_word_on_each_alert_of_a_task_counts_but_none_of_an_excluded_author(url, engine, store) -> None:
    ledger = SqlLedger(engine, "pumps", "c1", "a", lambda: NOON, timedelta(seconds=15), lambda topic: topic)
    ledger.acquire(WARD)
    told = [replace(raised("anomaly"), entity=entity) for entity in ("p1", "p2")]
    told += [replace(raised("wear"), **STATE), replace(raised("wear"), **RULE)]
    ledger.commit(told, [])
    first, second, other, rule = (each.id for each in told)
    said = [(first, "true", "anna"), (first, "false", "ben"), (second, "true", "mallory"), (other, "false", "anna")]
    said += [(second, "unsure", "anna"), (rule, "false", "anna"), (rule, "false", "ben")]
    with engine.begin() as connection:
        for alert, verdict, author in said:
            row = {"alert_id": alert, "verdict": verdict, "author": author, "recorded_at": NOON}
            connection.execute(insert(VerdictRow), row)
    heard = judged(engine)
    store.decide("ben", excluded=True, author="chief", why=None)
    assert heard == {"anomaly": (0, 1), "wear": (0, 1)}
    assert judged(engine) == {"anomaly": (1, 0), "wear": (0, 1)}
