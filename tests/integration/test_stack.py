import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import sqlalchemy
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import NewTopic

from infra.stack import compose
from infra.stack.kafka import KafkaBroker, verified
from schemas.errors import StackError

pytestmark = pytest.mark.service


def create(bootstrap: str, topic: str) -> None:
    with KafkaAdminClient(bootstrap_servers=bootstrap) as admin:
        admin.create_topics([NewTopic(topic, 1, 1)])


def send(bootstrap: str, topic: str, value: bytes) -> int:
    with KafkaProducer(bootstrap_servers=bootstrap, max_request_size=9_000_000) as producer:
        return int(producer.send(topic, value).get(timeout=20).offset)


def test_the_broker_takes_a_record_of_several_megabytes(kafka: str, topic: str) -> None:
    create(kafka, topic)
    assert send(kafka, topic, bytes(8_000_000)) == 0


def test_a_killed_broker_comes_back_with_what_it_had_stored(tmp_path: Path, topic: str) -> None:
    with KafkaBroker(tmp_path) as broker:
        create(broker.bootstrap, topic)
        send(broker.bootstrap, topic, b"kept")
        broker.kill()
        broker.start()
        with KafkaConsumer(topic, bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest") as consumer:
            assert next(consumer).value == b"kept"


def test_the_broker_dies_with_a_program_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from infra.stack.kafka import KafkaBroker\n"
        "broker = KafkaBroker(Path(sys.argv[1])); broker.start()\n"
        "print(broker.process.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        broker = psutil.Process(int(program.stdout.readline()))
        os.kill(program.pid, signal.SIGKILL)
    gone, alive = psutil.wait_procs([broker], timeout=10)
    assert (len(gone), alive) == (1, [])


def test_a_broker_on_a_taken_port_is_refused(kafka: str, tmp_path: Path) -> None:
    with pytest.raises(StackError, match="another program listens on"):
        KafkaBroker(tmp_path, int(kafka.partition(":")[2])).start()


def test_a_broker_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "meta.properties").write_text("version=1\ncluster.id=another\nnode.id=7\n")
    with pytest.raises(StackError, match=r"got exit status 1 at start; its log ends:\n(.*\n)*.*node.id"):
        KafkaBroker(tmp_path).start()


def test_a_changed_jar_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kafka_2.13-4.3.1.jar").write_bytes(b"not Kafka")
    with pytest.raises(StackError, match="expected the pinned set"):
        verified(tmp_path.iterdir())


def test_postgres_accepts_a_query(postgres: str) -> None:
    engine = sqlalchemy.create_engine(postgres)
    with engine.connect() as connection:
        assert connection.scalar(sqlalchemy.text("SELECT current_setting('fsync')")) == "on"
    engine.dispose()


def test_each_test_gets_an_empty_database(database_url: str) -> None:
    engine = sqlalchemy.create_engine(database_url)
    assert sqlalchemy.inspect(engine).get_table_names() == []
    engine.dispose()


def test_stack_up_twice_starts_once_and_down_ends_what_it_started(open_folder: Path) -> None:
    folder = open_folder / "stack"
    first = compose.up(folder)
    second = compose.up(folder)
    ended = compose.down(folder)
    left = [(service.name, service.running, service.answering) for service in compose.status(folder)]
    assert (second, {s.answering for s in first}, ended, compose.down(folder)) == (
        first,
        {True},
        ["postgres", "kafka"],
        [],
    )
    assert left == [("kafka", False, False), ("postgres", False, False)]


def test_ray_runs_a_task(ray_session: None) -> None:
    import ray

    assert ray.get(ray.remote(lambda: 7).remote()) == 7


def test_processes_of_a_local_ray_give_way_to_nobody(ray_session: None) -> None:
    import ray

    priority = ray.remote(num_cpus=0)(lambda: os.nice(0))
    assert ray.get(priority.remote(), timeout=60) == os.nice(0)
