"""20,000 real ICU observations, a real broker, a real PostgreSQL, a real Ray: every row accounted for."""

import json
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

from infra.assembly import registry_of
from infra.database import connect
from infra.rescoring.alerts import rescore
from infra.rescoring.versions import score_both
from schemas.errors import ModelError
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.statements import EVENTS
from schemas.tables import AlertRow, ModelRow
from scorer.alerts import reading
from tests.e2e.program import Program, monitor_file
from tests.e2e.stream import Sending, icu_records, tallies, wait_until_accounted
from trainer.network import Network
from trainer.weights import save_weights

COUNT = 20_000
URL_NAME = "main"


@pytest.mark.service
def test_twenty_thousand_icu_observations_are_accounted_for_and_raise_alerts(
    kafka: str, fresh_postgres: str, topic: str, shared_data: Path, tmp_path: Path
) -> None:
    path, monitor = monitor_file(tmp_path / "main", kafka, fresh_postgres, topic)
    records = icu_records(shared_data, monitor, COUNT)
    Sending.start(records, kafka, topic, rate=None).thread.join()
    program = Program(["run", str(path), "--json"]).start()
    try:
        wait_until_accounted(fresh_postgres, "health", COUNT, 240)
    finally:
        code = program.stop()
    counted = tallies(fresh_postgres, "health")
    with reading(fresh_postgres) as connection:
        alerts = connection.execute(select(AlertRow.__table__)).mappings().all()
        versions = set(connection.execute(select(ModelRow.version)).scalars())
    assert (code, sum(counted.values())) == (0, COUNT), json.dumps(counted)
    assert alerts, "expected alerts"
    assert {row["model_version"] for row in alerts} <= versions
    observed = [reason for row in alerts for reason in row["reasons"] if reason["observed"] is not None]
    assert any(reason["expected"] is not None for reason in observed)
    assert rescore(monitor).all_same
    assert_alerts_of_two_versions_are_told_apart(monitor, max(versions))
    with connect(fresh_postgres).begin() as connection:
        first, second = connection.execute(select(EVENTS.c.id).order_by(EVENTS.c.id).limit(2)).scalars()
        connection.execute(update(EVENTS).where(EVENTS.c.id == first).values(score=EVENTS.c.score + 1.0))
        connection.execute(delete(EVENTS).where(EVENTS.c.id == second))
    found = rescore(monitor)
    assert [step["id"] for each in (found.others, found.missing, found.added) for step in each] == [first, second]
    for weights in tmp_path.rglob("*.safetensors"):
        weights.unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        rescore(monitor)


def assert_alerts_of_two_versions_are_told_apart(monitor: Monitor, trained: int) -> None:
    """A version that has learned nothing would have raised the rules' alerts and the detector's alike."""
    blank = registry_of(monitor).publish(save_weights(Network(Layout(monitor))), trained, {}).version
    both = score_both(monitor, trained, blank)
    asked = {task.name for task in Layout(monitor).choices}  # what the network answers may warn, or not
    mine, others = (
        Counter((each.task, each.kind) for each in alerts if each.task not in asked) for alerts in both.alerts
    )
    assert mine == others != Counter(), (mine, others)
    assert both.rows > 0.9 * COUNT
    assert {name.rpartition(".")[0] for name in both.sums} >= {"forecast.h1", "deterioration"}
