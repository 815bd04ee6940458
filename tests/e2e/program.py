"""The program as a user starts it: a process of its own, with all its children, killable at any moment."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from infra.settings import load_monitor
from schemas.monitor import Monitor

BELLWETHER = Path(sys.executable).parent / "bellwether"


def monitor_file(directory: Path, bootstrap: str, url: str, topic: str, **changes: Any) -> tuple[Path, Monitor]:
    """The shipped health monitor, pointed at test services; `changes` override top-level keys."""
    described = load_monitor("health", {}).model_dump(mode="json")
    described["topics"]["observations"] = topic
    described["kafka"] |= {"bootstrap_servers": bootstrap, "group_id": directory.name}
    described["database"] |= {"url": url, "directory": str(directory / "files"), "snapshot_every": "PT2S"}
    for key, value in changes.items():
        described[key] = (described[key] or {}) | value if isinstance(value, dict) else value
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "monitor.yaml"
    path.write_text(yaml.safe_dump(described))
    return path, Monitor.model_validate(described)


@dataclass(slots=True)
class Program:
    """`bellwether run`, whose JSON lines are read as they come."""

    arguments: list[str]
    process: subprocess.Popen[str] | None = None
    lines: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=50))

    def start(self) -> "Program":
        """Start it."""
        self.process = subprocess.Popen(
            [BELLWETHER, *self.arguments],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=_heed_ctrl_c,  # noqa: PLW1509 - one call that takes no lock
        )
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def member_pid(self, name: str, within: float = 60.0) -> int:
        """The process of one of its actors, as it says itself."""
        found: list[int] = []

        def said() -> bool:
            found[:] = [
                m["pid"] for line in list(self.lines)[-1:] for m in line["members"] if m["name"] == name and "pid" in m
            ]
            return bool(found) and psutil.pid_exists(found[0])

        wait_for(said, within, f"a {name} that says its pid")
        return found[0]

    def kill(self) -> None:
        """kill -9 of the program and of everything it started, at once."""
        assert self.process is not None
        root = psutil.Process(self.process.pid)
        for each in [root, *root.children(recursive=True)]:
            try:
                each.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        self.process.wait()

    def stop(self) -> int:
        """Ctrl-C; its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=60)

    def _read(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                self.lines.append(json.loads(line))
            except ValueError:
                continue


def group_of(leader: int) -> list[int]:
    """Processes of the program's session."""
    return [each.pid for each in psutil.process_iter() if _session(each.pid) == leader]


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return -1


def _heed_ctrl_c() -> None:
    """Tests that run in a script's background inherit an ignored SIGINT; a user's terminal has none."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Poll until it holds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"expected {what} within {seconds:g} s")
