"""What commands print for a newcomer, and how they name what they could not reach."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from infra.commands.check import check
from infra.commands.deadletters import deadletters
from infra.commands.produce import produce
from infra.commands.run import _database
from infra.stack.compose import ServiceStatus, environment
from infra.typed import exports, typed
from ingest import client
from schemas.errors import BellwetherError

NOBODY = "127.0.0.1:1"
VARIABLE = "BELLWETHER_KAFKA__BOOTSTRAP_SERVERS"
MONITOR = """\
monitor: pumps
topics: {observations: pumps.raw}
modalities: [{name: motor, signals: [{name: rpm}]}]
tasks: [{name: forecast, kind: forecast}, {name: anomaly, kind: anomaly}]
"""


@pytest.fixture
def monitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A monitor's file, and the environment of somebody whose broker is away."""
    monkeypatch.setenv(VARIABLE, NOBODY)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setattr(client, "_PATIENCE_MS", 50)
    monkeypatch.setattr("sys.argv", ["./bellwether"])
    (tmp_path / "pumps.csv").write_text("entity,time,rpm\np1,2026-01-01T00:00:00Z,3\n")
    (tmp_path / "pumps.yaml").write_text(MONITOR)
    return str(tmp_path / "pumps.yaml")


def test_check_says_what_to_type_next(monitor: str) -> None:
    said = CliRunner().invoke(check, [monitor]).stdout.splitlines()
    assert said[-5:] == [
        f"  kafka: {NOBODY}",
        "  database: sqlite:///.bellwether/bellwether.db",
        "next:",
        "  ./bellwether produce FILE --topic pumps.raw",
        f"  ./bellwether run {monitor}",
    ]


def test_check_says_which_setting_nothing_will_ask_for(monitor: str) -> None:
    Path(monitor).write_text(MONITOR + "training: {drift: {adapt_every: 500}}\n")
    said = CliRunner().invoke(check, [monitor]).stdout
    assert "  idle: training.drift.adapt_every 500 counts labels, and there is no topics.labels\n" in said


def test_check_says_what_a_fit_will_refuse(monitor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    Path(monitor).write_text(MONITOR + "fitting: {only: [nosuch], trackers: [wandb]}\n")
    said = CliRunner().invoke(check, [monitor]).stdout
    assert "  missing: fitting.only nosuch: no task, unless --outcomes brings it; there are " in said
    assert "  missing: fitting.trackers wandb: its package is not installed; pip install -e '.[wandb]'\n" in said


def test_check_tells_a_program_the_same(monitor: str) -> None:
    said = json.loads(CliRunner().invoke(check, [monitor, "--json"]).stdout)
    assert (said["ok"], said["topics"]["dead_letters"], said["kafka"]) == (True, "pumps.raw.dlq", NOBODY)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "rules: [{name: ward, kind: news2, inputs: {pulse: rpm}, severities: {warning: 5}}]\n",
            "pumps.yaml: rules.0.inputs.pulse: got 'pulse'; expected a vital (respiratory_rate, ",
        ),
        (
            "database: {url: 'mysql://h/d'}\n",
            "database: url: got 'mysql://h/d'; expected sqlite:///PATH or postgresql:",
        ),
    ],
)
def test_check_finds_what_would_fail_later(monitor: str, text: str, said: str) -> None:
    Path(monitor).write_text(MONITOR + text)
    assert said in str(CliRunner().invoke(check, [monitor]).exception)


@pytest.mark.parametrize("arguments", [["list"], ["replay"]])
def test_dead_letters_name_the_broker_that_does_not_answer(monitor: str, arguments: list[str]) -> None:
    error = CliRunner().invoke(deadletters, [*arguments, monitor]).exception
    assert isinstance(error, BellwetherError)
    assert str(error) == (
        f"kafka at {NOBODY}: dead-letter topic pumps.raw.dlq: got KafkaTimeoutError; expected a broker that answers"
    )


def test_produce_reads_the_brokers_address_from_the_environment_and_names_it(monitor: str) -> None:
    file = Path(monitor).with_suffix(".csv")
    error = CliRunner().invoke(produce, [str(file), "--topic", "pumps.raw"]).exception
    assert isinstance(error, BellwetherError)
    assert str(error).startswith(
        f"kafka at {NOBODY}: making topics pumps.raw: got KafkaTimeoutError; expected a broker"
    )


def test_services_that_answer_are_reached_through_the_environment() -> None:
    services = [
        ServiceStatus("kafka", "127.0.0.1:9092", 1, running=True, answering=True),
        ServiceStatus("postgres", "postgresql://b@127.0.0.1/b", 2, running=True, answering=False),
    ]
    assert environment(services) == {VARIABLE: "127.0.0.1:9092"}


def test_lines_to_type_are_quoted_for_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", [".venv/bin/bellwether"])
    assert (typed("run", "my monitor.yaml"), exports({"DATABASE_URL": "a&b"})) == (
        ".venv/bin/bellwether run 'my monitor.yaml'",
        ["export DATABASE_URL='a&b'"],
    )


def test_a_program_on_the_path_is_called_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bellwether"
    program.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.argv", [str(program)])
    assert typed("demo") == "bellwether demo"


@pytest.mark.parametrize(
    ("url", "option"),
    [
        ("sqlite:///.bellwether/bellwether.db", ()),
        ("postgresql+psycopg://me@db/risk", ("--database", "postgresql+psycopg://me@db/risk")),
        ("postgresql+psycopg://me:secret@db/risk", ("--database", "URL")),
    ],
)
def test_what_to_type_next_finds_the_database_and_shows_no_password(monkeypatch, url, option):
    monkeypatch.delenv("DATABASE_URL", raising=False)

    assert _database(url) == option


@pytest.mark.parametrize("name", ["pumps raw", "..", "", "a" * 250])
def test_a_topic_that_no_broker_takes_is_refused_before_one_is_asked(monitor: str, name: str) -> None:
    error = CliRunner().invoke(produce, [str(Path(monitor).with_suffix(".csv")), "--topic", name]).exception
    assert isinstance(error, BellwetherError)
    assert str(error).startswith("command line: --topic: got ")


def test_dead_letters_of_a_reason_that_does_not_exist_are_refused_with_those_that_do(monitor: str) -> None:
    said = CliRunner().invoke(deadletters, ["replay", monitor, "--reason", "absurd"])
    assert (said.exit_code, "'implausible'" in said.output) == (2, True)


@pytest.mark.parametrize("arguments", [["list"], ["replay"]])
def test_dead_letters_of_labels_need_a_monitor_that_reads_them(monitor: str, arguments: list[str]) -> None:
    none = CliRunner().invoke(deadletters, [*arguments, monitor, "--labels"]).exception
    Path(monitor).write_text(MONITOR.replace("pumps.raw}", "pumps.raw, labels: told}"))
    some = CliRunner().invoke(deadletters, [*arguments, monitor, "--labels"]).exception
    assert str(none) == "command line: --labels: got None; expected a monitor that has topics.labels"
    assert str(some).startswith(f"kafka at {NOBODY}: dead-letter topic told.dlq: got KafkaTimeoutError")
