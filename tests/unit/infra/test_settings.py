from pathlib import Path

import pytest

from infra.settings import load_monitor, shipped
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


@pytest.mark.parametrize("name", ["finance", "health"])
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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            SMALL + "alerts: {cooldwon: 3}\n",
            "FILE: alerts.cooldwon: got 3; expected no such key (did you mean 'cooldown'?)",
        ),
        (SMALL + "alerts: {cooldown: -1}\n", "FILE: alerts.cooldown: got -1; expected greater than or equal to 0"),
        (
            SMALL.replace("kind: forecast", "kind: forecast, horizons: [2, 3]"),
            "FILE: tasks.0: got (2, 3); expected ascending horizons that start with 1, durations last",
        ),
        (SMALL.replace("monitor: pumps\n", ""), "FILE: monitor: got None; expected a value: the key is required"),
        ("[]", "FILE: (whole file): got 'list'; expected keys and values"),
    ],
    ids=["a typo", "a value out of bounds", "a check over several keys", "a missing key", "not a table"],
)
def test_a_wrong_setting_is_named_with_its_value_and_what_was_expected(file: Path, text: str, said: str) -> None:
    assert refusal(file, text) == said


def test_every_wrong_setting_is_listed(file: Path) -> None:
    text = SMALL + "ray: {shards: 0}\nalerts: {cooldown: x}\n"
    assert [line.split(": got")[0] for line in refusal(file, text).splitlines()] == [
        "FILE: alerts.cooldown",
        "  also: FILE: ray.shards",
    ]


def test_a_wrong_override_names_the_variable(file: Path) -> None:
    said = refusal(file, SMALL, {"BELLWETHER_RAY__SHARDS": "0"})
    assert said == "environment: BELLWETHER_RAY__SHARDS: got '0'; expected greater than or equal to 1"


def test_a_key_given_twice_is_refused(file: Path) -> None:
    assert "key 'monitor' twice" in refusal(file, SMALL + "monitor: other\n")


def test_an_unknown_name_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="did you mean 'health'"):
        load_monitor("helth", {})
