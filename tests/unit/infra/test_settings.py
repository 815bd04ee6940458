from pathlib import Path

import pytest

from infra.settings import load_monitor, shipped
from schemas.components import DatabaseSettings
from schemas.errors import ConfigError

SMALL = """\
monitor: pumps
topics: {observations: pumps}
modalities: [{name: motor, signals: [{name: rpm}]}]
tasks: [{name: forecast, kind: forecast}, {name: anomaly, kind: anomaly}]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "pumps.yaml"


def refusal(file: Path, text: str, environment: dict[str, str] | None = None) -> str:
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_monitor(file, environment or {})
    return str(caught.value).replace(str(file), "FILE")


@pytest.mark.parametrize("name", ["finance", "health", "surveillance"])
def test_a_shipped_monitor_loads_by_its_name(name: str) -> None:
    assert (name in shipped(), load_monitor(name, {}).monitor) == (True, name)


def test_toml_says_the_same_as_yaml(file: Path) -> None:
    file.write_text(SMALL)
    toml = file.with_suffix(".toml")
    toml.write_text(
        'monitor = "pumps"\n'
        'topics = {observations = "pumps"}\n'
        'modalities = [{name = "motor", signals = [{name = "rpm"}]}]\n'
        'tasks = [{name = "forecast", kind = "forecast"}, {name = "anomaly", kind = "anomaly"}]\n'
    )
    assert load_monitor(toml, {}) == load_monitor(file, {})


def test_kafkas_dotted_spelling_is_accepted(file: Path) -> None:
    file.write_text(SMALL + "kafka: {bootstrap.servers: 'broker:9092'}\n")
    assert load_monitor(file, {}).kafka.bootstrap_servers == "broker:9092"


def test_the_environment_overrides_addresses_and_counts(file: Path) -> None:
    file.write_text(SMALL + "ray: {shards: 2}\n")
    environment = {"BELLWETHER_RAY__SHARDS": "4", "BELLWETHER_DATABASE__URL": "sqlite://", "BELLWETHER_SHARED": "x"}
    loaded = load_monitor(file, environment)
    assert (loaded.ray.shards, loaded.database.url) == (4, "sqlite://")


def test_database_url_is_read_as_platforms_spell_it(file: Path) -> None:
    file.write_text(SMALL)
    url = load_monitor(file, {"DATABASE_URL": "postgres://user@host/name"}).database.url
    assert url == "postgresql+psycopg://user@host/name"


HORIZONS = "expected row counts from 1 to 96 or durations such as 15m, up to 366d"
DURATION = "expected a duration such as 90s, 15m, 2h or 1d"


def with_range(text: str) -> str:
    return SMALL.replace("{name: rpm}", f"{{name: rpm, range: {text}}}")


def with_horizons(text: str) -> str:
    return SMALL.replace("kind: forecast", f"kind: forecast, horizons: {text}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            SMALL + "alerts: {cooldwon: 3}\n",
            "alerts.cooldwon: got 3; expected a key that there is (did you mean 'cooldown'?)",
        ),
        (SMALL + "alerts: {cooldown: -1}\n", "alerts.cooldown: got -1; expected greater than or equal to 0"),
        (SMALL + "alerts: {cooldown: many}\n", "alerts.cooldown: got 'many'; expected a whole number"),
        (SMALL + "alerts: 3\n", "alerts: got 3; expected keys and values"),
        (SMALL + "lateness: 5 minutes\n", f"lateness: got '5 minutes'; {DURATION}"),
        (SMALL + "lateness: -5\n", f"lateness: got -5; {DURATION}"),
        (with_horizons("[1, soon]"), f"tasks.0.horizons.1: got 'soon'; {HORIZONS}"),
        (with_horizons("[1, 97]"), f"tasks.0.horizons.1: got 97; {HORIZONS}"),
        (with_horizons("[1, 400d]"), f"tasks.0.horizons.1: got '400d'; {HORIZONS}"),
        (with_horizons("3"), "tasks.0.horizons: got 3; expected a list"),
        (with_range("[100]"), "modalities.0.signals.0.range: got [100]; expected 2 items"),
        (with_range("[1, 2, 3]"), "modalities.0.signals.0.range: got [1, 2, 3]; expected at most 2 items"),
        (
            SMALL.replace("name: motor,", "name: motor, cell: lstm,"),
            "modalities.0.cell: got 'lstm'; expected 'gru', 'mingru', 'ssm', 'retention', 'convolution' or 'trans",
        ),
        (with_range("[1, x]"), "modalities.0.signals.0.range.1: got 'x'; expected a number"),
        (
            SMALL.replace("signals: [{name: rpm}]", "kind: image, frame: {height: 2}"),
            "modalities.0.frame.height: got 2; expected greater than or equal to 4",
        ),
        (
            SMALL.replace("signals: [{name: rpm}]", "kind: picture"),
            "got 'picture'; expected 'signals', 'image' or 'embedding'",
        ),
        (SMALL.replace("monitor: pumps", "monitor: 7 pumps"), "monitor: got '7 pumps'; expected text that matches ^"),
        (SMALL.replace("monitor: pumps\n", ""), "monitor: got None; expected a value: the key is required"),
        ("[]", "(whole file): got a list; expected keys and values"),
        ("", "(whole file): got nothing; expected keys and values"),
        (SMALL + "x: [\n", "(whole file): got '<stream end>' instead of the node content at line 6; expected YAML"),
        (SMALL + "monitor: other\n", "(whole file): got key 'monitor' twice at line 6; expected YAML, each key once"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value_and_what_was_expected(file: Path, text: str, said: str) -> None:
    assert said in refusal(file, text)


def test_a_wrong_item_is_one_problem_and_not_also_its_lists(file: Path) -> None:
    assert refusal(file, with_range("[100]")).count("expected") == 1


def test_toml_that_is_none_is_refused_as_such(file: Path) -> None:
    toml = file.with_suffix(".toml")
    assert refusal(toml, "monitor = ").endswith("expected TOML, each key once")


def test_bytes_that_are_no_text_are_refused(file: Path) -> None:
    file.write_bytes(b"monitor: \xff")
    with pytest.raises(ConfigError, match="got a byte that is not UTF-8 at position 9; expected YAML"):
        load_monitor(file, {})


@pytest.mark.parametrize(("name", "expected"), [("", "a file, not a folder"), ("missing.yaml", "an existing file")])
def test_a_path_without_a_file_is_named(tmp_path: Path, name: str, expected: str) -> None:
    folder = tmp_path / "monitor.yaml"
    folder.mkdir()
    with pytest.raises(ConfigError, match=f"^command line: monitor: got '.*; expected {expected}$"):
        load_monitor(folder / name, {})


def test_every_wrong_setting_is_listed(file: Path) -> None:
    text = SMALL + "ray: {shards: 0}\nalerts: {cooldown: x}\n"
    assert [line.split(": got")[0] for line in refusal(file, text).splitlines()] == [
        "FILE: alerts.cooldown",
        "  also: FILE: ray.shards",
    ]


def test_a_wrong_override_names_the_variable(file: Path) -> None:
    said = refusal(file, SMALL, {"BELLWETHER_RAY__SHARDS": "0"})
    assert said == "environment: BELLWETHER_RAY__SHARDS: got '0'; expected greater than or equal to 1"


def test_an_unknown_name_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="did you mean 'health'"):
        load_monitor("helth", {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            SMALL.replace("pumps}", "pumps, labels: pumps.dlq}"),
            "topics.labels: got 'pumps.dlq' twice; expected a topic of their own",
        ),
        (
            SMALL.replace("pumps}", "pumps, labels: told}") + "entity: source\n",
            "entity: got 'source'; expected a name that is no field of a label",
        ),
    ],
)
def test_a_labels_topic_must_fit_the_rest(file: Path, text: str, said: str) -> None:
    assert said in refusal(file, text)


@pytest.mark.parametrize(
    ("settings", "folder"),
    [
        ({}, ".bellwether"),
        ({"url": "sqlite:///demo/alerts.db"}, "demo"),
        ({"url": "sqlite:///demo/alerts.db", "directory": "weights"}, "weights"),
        ({"url": "postgresql://u@h/d"}, ".bellwether"),
    ],
)
def test_files_lie_beside_an_embedded_database_unless_said_otherwise(settings: dict[str, str], folder: str) -> None:
    assert DatabaseSettings(**settings).folder == Path(folder).resolve()
