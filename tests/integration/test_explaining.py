"""An alert explained from the topic it came from: a real broker, the version's file, the alert's row in SQL."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result

from infra.assembly import registry_of
from infra.commands.alerts import alerts
from infra.database import connect, migrate
from infra.settings import load_monitor
from ingest.producer import create_topics, publish
from schemas.alert import Alert
from schemas.errors import InputError, ModelError
from schemas.layout import Layout
from tests.integration.watching import keep, watched
from tests.laws.ward import awake
from trainer.network import Network
from trainer.weights import save_weights

pytestmark = pytest.mark.service
ROWS, BEDS = 80, 3


@dataclass(frozen=True, slots=True)
class Ward:
    """A monitor whose patients were watched, with the alerts that raised."""

    config: str
    url: str
    table: str
    models: Path
    alerts: Mapping[str, Alert]

    def explain(self, task: str, *arguments: str) -> Result:
        called = ["explain", self.alerts[task].id, "--config", self.config, "--database", self.url, *arguments]
        return CliRunner().invoke(alerts, called, catch_exceptions=True)

    def told(self, task: str, *arguments: str) -> dict:  # type: ignore[type-arg]
        result = self.explain(task, "--json", *arguments)
        assert result.exception is None, result.exception
        return dict(json.loads(result.stdout))


def rows() -> list[dict[str, float | str]]:
    """Calm patients of several beds, interleaved; the heart rate of one leaps in the last row."""
    rng = np.random.default_rng(0)
    drawn = rng.normal((80.0, 120.0, 16.0), 1.0, (ROWS, BEDS, 3)).round(3)
    drawn[-1, -1, 0] = 180.0
    return [
        {"entity": f"bed {bed}", "time": 60_000 * row, "hr": hr, "sbp": sbp, "rr": rr}
        for row in range(ROWS)
        for bed, (hr, sbp, rr) in enumerate(drawn[row].tolist())
    ]


@pytest.fixture
def ward(kafka: str, topic: str, tmp_path: Path, request: pytest.FixtureRequest) -> Ward:
    """`request.param`: for each task, is it answered by its private path?"""
    url = f"sqlite:///{tmp_path / 'bellwether.db'}"
    settings = {
        "monitor": "ward",
        "topics": {"observations": topic},
        "modalities": [
            {"name": "heart", "signals": [{"name": "hr", "range": [0, 300]}, {"name": "sbp", "range": [0, 300]}]},
            {"name": "breath", "signals": [{"name": "rr", "range": [0, 100]}]},
        ],
        "tasks": [{"name": "forecast", "kind": "forecast"}, {"name": "anomaly", "kind": "anomaly"}],
        "rules": [{"name": "jump", "kind": "move", "signal": "hr", "severities": {"warning": 20.0}}],
        "kafka": {"bootstrap_servers": kafka},
        "database": {"url": url, "directory": str(tmp_path)},
    }
    (tmp_path / "ward.yaml").write_text(yaml.safe_dump(settings))
    made = rows()
    lines = [",".join(made[0]), *(",".join(str(cell) for cell in row.values()) for row in made)]
    (tmp_path / "ward.csv").write_text("\n".join(lines))
    layout = Layout(load_monitor(tmp_path / "ward.yaml"))
    create_topics(kafka, {topic: 1})
    publish(((str(row["entity"]).encode(), json.dumps(row).encode(), None) for row in made), kafka, topic)
    engine = connect(url)
    migrate(engine)
    network = awake(Network(layout))
    assert network.private is not None
    network.private.detach_tasks(getattr(request, "param", (False, False)))
    record = registry_of(layout.monitor, engine).publish(save_weights(network), None, {})
    raised = watched(layout, network, record.version, ROWS * BEDS)
    keep(engine, raised)
    engine.dispose()
    found = {alert.task: alert for alert in raised if alert.offset == ROWS * BEDS - 1}
    return Ward(str(tmp_path / "ward.yaml"), url, str(tmp_path / "ward.csv"), Path(record.path), found)


def test_an_alert_is_explained_from_its_topic_and_alike_from_files(ward: Ward) -> None:
    told = ward.told("anomaly", "--rows", "16")
    network = told["network"]
    assert (network["rows"], [each["task"] for each in network["questions"]]) == (16, ["anomaly", "forecast"])
    assert network["came_and_expected"][0]["came"] == 180.0
    for question in network["questions"]:
        assert question["integrated_gradients"]["complete"]
        assert len(question["cells"]) == 16 * 3
    assert told["stored"]["task"] == "anomaly"
    assert ward.told("anomaly", "--rows", "16", "--input", ward.table) == told


def test_the_short_form_says_whether_attention_can_be_trusted(ward: Ward) -> None:
    said = ward.explain("anomaly").stdout
    assert "decided by the tail statistics" in said
    assert "integrated gradients complete" in said
    assert "attention cannot be compared with ablation here: too few modalities were seen" in said


@pytest.mark.parametrize("ward", [(False, True)], indirect=True)
def test_attention_has_no_part_in_what_a_private_path_answers(ward: Ward) -> None:
    anomaly, forecast = ward.told("anomaly")["network"]["questions"]
    assert (anomaly["private"], forecast["private"]) == (True, False)
    assert "answered by the task's private path, from running statistics" in ward.explain("anomaly").stdout


def test_an_alert_of_a_rule_says_what_the_rule_took(ward: Ward) -> None:
    told = ward.told("jump")
    assert (told["network"], told["alert"]["reasons"][0]["used"]) == (None, 180.0)
    assert told["why_not"] == "rule jump decides by itself: no task of the network follows from it"


def test_a_version_whose_file_is_gone_is_named(ward: Ward) -> None:
    ward.models.unlink()
    error = ward.explain("anomaly").exception
    assert isinstance(error, ModelError)
    assert str(error).startswith("model version 1: ")


def test_rows_that_the_topic_no_longer_holds_are_asked_for_in_files(ward: Ward, kafka: str, topic: str) -> None:
    from kafka import KafkaAdminClient, TopicPartition

    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.delete_records({TopicPartition(topic, 0): ROWS * BEDS})
    admin.close()
    error = ward.explain("anomaly").exception
    assert isinstance(error, InputError)
    assert "offset 239 is not in the topic, which holds none" in str(error)
