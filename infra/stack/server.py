"""A server program beside us: started in its own session, awaited, ended with us or left running."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import structlog

from schemas.errors import StackError

log = structlog.get_logger(__name__)

LOOPBACK = "127.0.0.1"
_CLOCK_TICK_SECONDS = 0.02
_TAIL_LINES = 15


@dataclass(frozen=True, slots=True)
class Launch:
    """How a server is started and ended.

    Attributes:
        name: shown in messages.
        command: program and arguments.
        log: file its output is appended to.
        detached: it outlives us; otherwise it ends when we do, even when we are killed.
        user: account to run as; None = ours.
        end_with: the signal that asks it to end in order.
    """

    name: str
    command: Sequence[str]
    log: Path
    detached: bool = False
    user: str | None = None
    end_with: signal.Signals = signal.SIGTERM


def start(launch: Launch) -> psutil.Popen:
    """Start the server in a session of its own, so that Ctrl-C in our terminal does not end it before us.

    An attached server is tied to the thread that calls this: the kernel ends it when that thread ends
    (prctl(2), PR_SET_PDEATHSIG), so call it from a thread that lives as long as the server should.
    """
    launch.log.parent.mkdir(parents=True, exist_ok=True)
    command = [*launch.command] if launch.detached else [*_tie(), *launch.command]
    with launch.log.open("ab") as output:
        try:
            return psutil.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **_account(launch.user),
            )
        except OSError as error:
            raise StackError(f"{launch.name}: got {error.strerror} from {command[0]}; expected a program") from error


def await_answer(launch: Launch, server: psutil.Popen, answers: Callable[[], bool], patience_seconds: float) -> None:
    """Return once the server answers. Raises StackError, with the end of its log, when it ends or stays silent."""
    deadline = time.monotonic() + patience_seconds
    while not answers():
        status = server.poll()
        if status is not None:
            raise StackError(f"{launch.name}: got exit status {status} at start; its log ends:\n{tail(launch.log)}")
        if time.monotonic() > deadline:
            end(server, launch.end_with)
            raise StackError(
                f"{launch.name}: got no answer; expected one within {patience_seconds:g} s; "
                f"its log ends:\n{tail(launch.log)}"
            )
        time.sleep(_CLOCK_TICK_SECONDS)


def end(server: psutil.Process, ask: signal.Signals = signal.SIGTERM, patience_seconds: float = 15.0) -> None:
    """Ask the server to end, then make it. Returns once it is gone; a server that is gone already is fine."""
    try:
        server.send_signal(ask)
        server.wait(patience_seconds)
    except psutil.NoSuchProcess:
        return
    except psutil.TimeoutExpired:
        log.warning("server_killed", pid=server.pid, after_seconds=patience_seconds)
        server.kill()
        server.wait()


def run(name: str, command: Sequence[str], user: str | None = None) -> None:
    """Run a server's own set-up program. Raises StackError with its last words when it fails."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            **_account(user),
        )
    except OSError as error:
        raise StackError(f"{name}: got {error.strerror} from {command[0]}; expected a program") from error
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip()[-2000:]
        raise StackError(f"{name}: got exit status {done.returncode} from {Path(command[0]).name}: {words}")


def free_port(preferred: int | None = None) -> int:
    """A TCP port of the loopback interface that nobody listens on: the preferred one where it is free."""
    for port in (preferred, 0):
        if port is None:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise StackError(f"no free port on {LOOPBACK}")


def claim_port(name: str, port: int | None) -> int:
    """The port asked for, or a free one. Raises StackError when another program listens on it.

    Without this a second broker on a taken port would seem to start: the first one answers for it.
    """
    claimed = free_port(port)
    if port is not None and claimed != port:
        raise StackError(f"{name}: got port {port}, which another program listens on; expected a free one")
    return claimed


def tail(path: Path) -> str:
    """The last lines of a log."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    return "\n".join(lines[-_TAIL_LINES:])


def _tie() -> list[str]:
    """Prefix that makes the kernel end a program with its parent (util-linux's setpriv; Linux alone has this)."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        log.warning("server_not_tied", reason="no setpriv on PATH", effect="kill -9 of this program leaves servers")
        return []
    return [setpriv, "--pdeathsig", "KILL", "--"]


def _account(user: str | None) -> dict[str, Any]:
    """Arguments of subprocess that switch to another account; from "/", since it may not enter our folder."""
    return {} if user is None else {"user": user, "group": _group(user), "extra_groups": [], "cwd": "/"}


def _group(user: str) -> int:
    import pwd

    return pwd.getpwnam(user).pw_gid
