"""A camera's alert explained from the frames that its topic holds, and alike from the recording."""

import json
from importlib import resources
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from infra.assembly import registry_of
from infra.commands.alerts import alerts
from infra.database import connect, migrate
from infra.feeds.scenes import record, shots
from infra.settings import load_monitor
from ingest.producer import create_topics, publish
from ingest.recording import frame_messages
from schemas.layout import Layout
from tests.integration.watching import keep, watched
from tests.laws.ward import awake
from trainer.network import Network
from trainer.weights import save_weights

pytestmark = pytest.mark.service
REPLAYED = 12


def test_an_alert_of_a_camera_says_which_frame_and_what_part_of_it(kafka: str, topic: str, tmp_path: Path) -> None:
    url, recording = f"sqlite:///{tmp_path / 'bellwether.db'}", tmp_path / "recording"
    record(shots(cameras=2, seconds=120, seed=10), recording)
    settings = yaml.safe_load((resources.files("infra") / "monitors" / "surveillance.yaml").read_text()) | {
        "kafka": {"bootstrap_servers": kafka},
        "database": {"url": url, "directory": str(tmp_path)},
    }
    settings["topics"]["observations"] = topic
    (tmp_path / "cameras.yaml").write_text(yaml.safe_dump(settings))
    layout = Layout(load_monitor(tmp_path / "cameras.yaml"))
    create_topics(kafka, {topic: 1})
    sent = publish(frame_messages(recording), kafka, topic).records
    engine = connect(url)
    migrate(engine)
    network = awake(Network(layout))
    version = registry_of(layout.monitor, engine).publish(save_weights(network), None, {}).version
    raised = [each for each in watched(layout, network, version, sent) if each.task == layout.anomaly.name]
    keep(engine, raised[:1])
    engine.dispose()
    called = ["explain", raised[0].id, "--config", str(tmp_path / "cameras.yaml"), "--database", url]
    called += ["--rows", str(REPLAYED)]

    told = CliRunner().invoke(alerts, [*called, "--json"], catch_exceptions=False).stdout

    network_said = json.loads(told)["network"]
    question = network_said["questions"][0]
    assert (network_said["rows"], question["task"]) == (REPLAYED, layout.anomaly.name)
    assert question["integrated_gradients"]["complete"]
    assert question["integrated_gradients"]["vectors"]["camera (frame)"] != 0.0
    frames = [cell for cell in question["cells"] if cell["signal"] == "camera (frame)"]
    assert sorted(cell["lag"] for cell in frames) == list(range(REPLAYED))
    assert frames[0]["ablation"] != 0.0
    assert [len(row) for row in question["ablation"]["regions"]["camera"]] == [4] * 4
    from_files = CliRunner().invoke(alerts, [*called, "--json", "--input", str(recording)], catch_exceptions=False)
    assert json.loads(from_files.stdout) == json.loads(told)
    said = CliRunner().invoke(alerts, called, catch_exceptions=False).stdout
    assert "camera: what the answer loses where a part of the frame is grey, of 4 x 4" in said
    assert "integrated gradients of camera (frame), over all rows:" in said
