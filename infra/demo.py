"""The demo: a real broker, two monitors, real data, from an empty folder to alerts a person reads."""

import json
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
import psutil
from rich.console import Console
from sqlalchemy import Engine

from infra.database import connect
from infra.deployment import LOCAL_CPUS, Deployment
from infra.feeds.feed import Feed, feed_of
from infra.interrupt import interruptible
from infra.settings import load_monitor
from infra.stack.kafka import KafkaBroker
from infra.stack.ray import start_ray, stop_ray
from infra.summary import accounted, first_alert_after, print_summary
from infra.watch import Watched, follow
from ingest.producer import create_topics, publish
from schemas.errors import InputError
from schemas.monitor import Monitor

PARTITIONS = 4
_MARK = "bellwether-demo"
_RATES = {"health": 600.0, "finance": 120.0}
"""Messages a second: slow enough to watch, and to learn from, on two cores."""


@dataclass(slots=True)
class FeedRun:
    """One monitor's input on its way to Kafka."""

    feed: Feed
    monitor: Monitor
    rate: float
    sent: int = 0
    done: bool = False
    failure: Exception | None = None

    def run(self, bootstrap: str, stopping: threading.Event) -> None:
        """Send all messages: global ones first (they carry when they were known), observations at the rate."""
        try:
            topics = self.monitor.topics
            for topic, rate in ((topics.globals, None), (topics.observations, self.rate)):
                if topic is not None:
                    publish(self._records(topic), bootstrap, topic, rate=rate, stopping=stopping)
        except Exception as error:  # noqa: BLE001 - shown by the thread that watches
            self.failure = error
        finally:
            self.done = True

    def _records(self, topic: str) -> Iterator[tuple[bytes, bytes, int | None]]:
        for message in self.feed.messages():
            if message.topic == topic:
                self.sent += topic == self.monitor.topics.observations
                yield message.key, message.value, None


def demo(names: Sequence[str], directory: Path, seconds: float | None, *, as_json: bool, verbose: bool) -> None:
    """Run the demo in `directory`, which it empties first if an earlier demo made it.

    Raises:
        ConfigError: there is no such monitor, or the environment overrides it wrongly. Nothing was started then.
        InputError: the folder has other contents, or a monitor no demo input.
    """
    monitors = [_kept_in(directory.resolve(), load_monitor(name)) for name in dict.fromkeys(names)]
    console = Console(stderr=as_json)
    begun = datetime.fromtimestamp(psutil.Process().create_time(), UTC)
    _prepare(directory)
    deployments = [Deployment(monitor, verbose=verbose) for monitor in monitors]
    with interruptible() as stopping, ThreadPoolExecutor(2) as pool:
        broker = KafkaBroker(directory / "kafka", say=console.print)
        try:
            console.print(f"starting Kafka, Ray and {len(monitors)} monitors in {directory}")
            warming = pool.submit(_warm_up, deployments)
            starting = pool.submit(broker.start)
            runs = _runs(monitors)
            bootstrap = starting.result()
            warming.result()
            for deployment, run in zip(deployments, runs, strict=True):
                deployment.monitor = run.monitor = _at(run.monitor, bootstrap)
            ended = _watch(deployments, runs, console, stopping, seconds)
        finally:
            stop_ray()
            broker.stop()
    url = monitors[0].database.url
    if not as_json:
        print_summary(console, url, directory)
        return
    totals = ended.totals() | {"first_alert_seconds": first_alert_after(url, begun), "database": url}
    click.echo(json.dumps(totals))


def _warm_up(deployments: Sequence[Deployment]) -> None:
    """What takes longest first: the processes of the shards import torch while the broker starts and data load."""
    start_ray("", LOCAL_CPUS)
    for deployment in deployments:
        deployment.warm_up()


def _runs(monitors: Sequence[Monitor]) -> list[FeedRun]:
    """Databases that stand, and what is to be streamed."""
    for monitor in monitors:
        Deployment(monitor).prepare()
    return [FeedRun(feed_of(each.monitor, each.topics), each, _RATES[each.monitor]) for each in monitors]


def _watch(
    deployments: Sequence[Deployment],
    runs: Sequence[FeedRun],
    console: Console,
    stopping: threading.Event,
    seconds: float | None,
) -> Watched:
    bootstrap = runs[0].monitor.kafka.bootstrap_servers
    threads: list[threading.Thread] = []
    engine = connect(runs[0].monitor.database.url)
    deadline = None if seconds is None else time.monotonic() + seconds
    try:
        for deployment, run in zip(deployments, runs, strict=True) if not stopping.is_set() else ():
            _make_topics(run.monitor, bootstrap)
            deployment.start()
            console.print(f"{run.monitor.monitor}: {run.feed.title}")
            threads.append(threading.Thread(target=run.run, args=(bootstrap, stopping), daemon=True))
            threads[-1].start()
        return follow(deployments, console, lambda: _over(runs, engine, stopping, deadline), lambda _: None)
    finally:
        stopping.set()
        for thread in threads:
            thread.join(timeout=5)
        for deployment in deployments:
            deployment.wind_down()
        for deployment in deployments:
            deployment.stop()


def _over(runs: Sequence[FeedRun], engine: Engine, stopping: threading.Event, deadline: float | None) -> bool:
    if stopping.is_set() or (deadline is not None and time.monotonic() >= deadline):
        return True
    for run in runs:
        if run.failure is not None:
            raise run.failure
    return all(run.done and accounted(engine, run.monitor.monitor) >= run.sent for run in runs)


def _make_topics(monitor: Monitor, bootstrap: str) -> None:
    topics = {monitor.topics.observations: PARTITIONS, monitor.topics.dlq: 1}
    create_topics(bootstrap, topics | ({monitor.topics.globals: 1} if monitor.topics.globals else {}))


def _kept_in(directory: Path, monitor: Monitor) -> Monitor:
    database = {"url": f"sqlite:///{directory / 'bellwether.db'}", "directory": str(directory)}
    return monitor.model_copy(update={"database": monitor.database.model_copy(update=database)})


def _at(monitor: Monitor, bootstrap: str) -> Monitor:
    return monitor.model_copy(update={"kafka": monitor.kafka.model_copy(update={"bootstrap_servers": bootstrap})})


def _prepare(directory: Path) -> None:
    if directory.exists() and any(directory.iterdir()):
        if not (directory / _MARK).exists():
            raise InputError(
                f"{directory}: got a folder with other contents; expected an empty one or an earlier demo's"
            )
        shutil.rmtree(directory)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / _MARK).touch()
