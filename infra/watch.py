"""Runs monitors on Ray in the foreground: start, show, heal, stop. `run` and `demo` share it."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import click
from rich.console import Console

from infra.deployment import LOCAL_CPUS, Deployment
from infra.interrupt import interruptible
from infra.progress import Progress, Seen
from infra.stack.ray import start_ray, stop_ray
from schemas.monitor import Monitor

_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Watched:
    """How a watch ended."""

    rows: list[Seen]
    seconds: float

    def totals(self) -> dict[str, Any]:
        """The machine-readable last line."""
        return {
            "events": sum(row.events for row in self.rows),
            "alerts": sum(row.alerts for row in self.rows),
            "dead_letters": sum(row.dead_letters for row in self.rows),
            "seconds": round(self.seconds, 1),
            "model_version": max((row.version for row in self.rows), default=0),
            "monitors": {
                row.name: {
                    "events": row.events,
                    "alerts": row.alerts,
                    "dead_letters": row.dead_letters,
                    "model_version": row.version,
                    "steps": row.steps,
                    "losses": dict(row.losses),
                }
                for row in self.rows
            },
        }


def watch(monitors: Sequence[Monitor], *, learn: bool, seconds: float | None, as_json: bool, verbose: bool) -> Watched:
    """Start Ray and the monitors, show them until the time is over or a signal comes, stop them."""
    console = Console(stderr=as_json)
    deployments = [Deployment(monitor, learn=learn, verbose=verbose) for monitor in monitors]
    deadline = None if seconds is None else time.monotonic() + seconds
    with interruptible() as stopping, _ray(monitors[0].ray.address, stopping):
        try:
            for deployment in deployments:
                deployment.warm_up()
                deployment.await_topics(stopping, partial(console.print, markup=False, soft_wrap=True))
            if not stopping.is_set():
                for deployment in deployments:
                    deployment.prepare()
            done = _line_by_line if as_json else _nothing
            ended = follow(deployments, console, lambda: _over(stopping, deadline), done)
            if not stopping.is_set():
                for line in unread(ended.rows):
                    console.print(line, markup=False, soft_wrap=True)
        finally:
            stopping.set()
            for deployment in deployments:
                deployment.wind_down()
            for deployment in deployments:
                deployment.stop()
        if as_json:  # before Ray lets go, which takes a second: a stopped job is killed after three
            click.echo(json.dumps(ended.totals()))
    return ended


def follow(
    deployments: Sequence[Deployment],
    console: Console,
    over: Callable[[], bool],
    on_look: Callable[[Sequence[Seen]], None],
) -> Watched:
    """Show the deployments, replacing members that die, until `over` says so."""
    rows = [Seen(deployment.monitor.monitor) for deployment in deployments]
    started = looked = time.monotonic()
    with Progress(console) as progress:
        while True:
            ending = over()
            now = time.monotonic()
            for row, deployment in zip(rows, deployments, strict=True):
                if not ending:
                    deployment.heal()
                row.take(deployment.status(), now - looked)
            looked = now
            progress.show(rows)
            on_look(rows)
            if ending:
                return Watched(rows, time.monotonic() - started)
            time.sleep(_LOOK_SECONDS)


def unread(rows: Sequence[Seen]) -> list[str]:
    """A line for each monitor that read nothing until its time was over."""
    why = "nothing was read in that time: --seconds counts from when the command began, starting included"
    return [f"{row.name}: {why}" for row in rows if not row.events]


@contextmanager
def _ray(address: str, stopping: threading.Event) -> Iterator[None]:
    """Ray, which takes SIGTERM for itself when it starts: it is taken back."""
    start_ray(address, LOCAL_CPUS)
    try:
        with interruptible(stopping):
            yield
    finally:
        stop_ray()


def _over(stopping: threading.Event, deadline: float | None) -> bool:
    return stopping.is_set() or (deadline is not None and time.monotonic() >= deadline)


def _line_by_line(rows: Sequence[Seen]) -> None:
    members = [{"monitor": row.name, **member} for row in rows for member in row.members]
    click.echo(json.dumps({"members": members}))


def _nothing(rows: Sequence[Seen]) -> None:
    """A person watches the table."""
