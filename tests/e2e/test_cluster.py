"""Trainers on a Ray cluster of several nodes: they grow with it, and outlive the loss of nodes."""

from typing import Any

import pytest

from infra.assembly import first_version, registry_of
from infra.database import connect, migrate
from schemas.layout import Layout
from tests.e2e.learned import Witness, gaps, last_losses
from tests.e2e.program import Program, monitor_file, wait_for
from tests.e2e.stream import Sending, icu_records, wait_until_accounted
from tests.e2e.trainers import group_of

pytestmark = pytest.mark.service

COUNT = 10_000


def test_trainers_grow_with_the_cluster_and_outlive_the_loss_of_nodes(kafka, topic, tmp_path, shared_data):
    from ray.cluster_utils import Cluster

    url = f"sqlite:///{tmp_path / 'bellwether.db'}"
    training = {"windows_per_step": 16, "checkpoint_every": "PT1S"}
    path, monitor = monitor_file(tmp_path / "ward", kafka, url, topic, training=training)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    migrate(connect(url))
    witness = Witness(monitor)
    program = Program(
        ["run", str(path), "--trainers", "3", "--ray-address", cluster.address, "--json"],
    ).start()
    try:
        sending = Sending.start(icu_records(shared_data, monitor, COUNT), kafka, topic, 125.0)
        wait_for(lambda: ranks(program) == 1, 90, "one trainer, for which there is room")
        nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
        wait_for(lambda: ranks(program) == 3, 90, "three trainers")
        steps = newest(program)["steps"]
        wait_for(lambda: newest(program)["steps"] >= steps + 5, 90, "steps of three")
        for left in (2, 1):
            cluster.remove_node(nodes.pop(), allow_graceful=False)
            wait_for(lambda left=left: ranks(program) == left, 90, f"{left} of the trainers")
        sending.thread.join()
        wait_until_accounted(url, monitor.monitor, COUNT, 90)
        wait_for(lambda: witness.taken == COUNT, 120, "every row to be taken in")
        assert gaps(witness.history()) == []
        assert program.stop() == 0
    finally:
        if program.process is not None and program.process.poll() is None:
            program.kill()
        cluster.shutdown()

    alone, described = monitor_file(
        tmp_path / "alone", kafka, f"sqlite:///{tmp_path / 'alone.db'}", topic, training=training
    )
    engine = connect(described.database.url)
    migrate(engine)
    first_version(Layout(described), registry_of(described, engine))
    witness = Witness(described)
    with group_of(alone) as group:
        group.start(1)
        group.form()
        wait_for(lambda: witness.taken == COUNT, 120, "one trainer to take in the same rows")
    witness.history()
    # The last third of the steps is not the same rows where three stepped at once; knowing nothing would be 1.
    assert last_losses(monitor) == pytest.approx(last_losses(described), rel=0.2)


def ranks(program: Program) -> int:
    """How many trainers learn together, as all of them say."""
    said = {trainer["ranks"] for trainer in trainers(program) if trainer["steps"]}
    return said.pop() if len(said) == 1 else 0


def newest(program: Program) -> dict[str, Any]:
    """What the trainer that is farthest says."""
    return max(trainers(program), key=lambda trainer: trainer["steps"], default={"steps": 0})


def trainers(program: Program) -> list[dict[str, Any]]:
    """Those that have a place."""
    members = program.lines[-1].get("members", []) if program.lines else []
    return [member for member in members if member["name"] == "trainer" and member.get("ranks")]
