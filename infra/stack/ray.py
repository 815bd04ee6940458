"""A local Ray, quiet and small, or a connection to a cluster."""

import logging
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from schemas.errors import StackError

log = structlog.get_logger(__name__)

OBJECT_STORE_BYTES = 256 * 2**20
"""A batch is under 1 MB and weights under 2 MB: the store holds a few of each. Ray's default is 30 % of memory."""

_PATIENCE_SECONDS = 10.0
"""How long a cluster may take to answer: a head that is just started does within seconds."""
_HOST_AND_PORT = re.compile(r"(?:ray://)?\[?([^/\]]+?)\]?:(\d+)")


def start_ray(address: str = "", cpus: int | None = None, *, log_to_driver: bool = True) -> None:
    """Connect to the cluster at `address`, or start a local one when it is empty.

    Args:
        address: as Ray's own (``host:6379``, ``ray://host:10001``, ``auto``).
        cpus: logical CPUs of a local Ray; None = as many as there are. Actors here mostly wait, so more is fine.
        log_to_driver: show what its processes print.

    Raises:
        StackError: Ray cannot be started or reached.
    """
    if found := _HOST_AND_PORT.fullmatch(address):
        _await_answer(address, found[1], int(found[2]))
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's 15 lets whatever else runs here go before the shards
    import ray

    local = not address
    try:
        ray.init(
            address=address or "local",
            num_cpus=cpus if local else None,
            object_store_memory=OBJECT_STORE_BYTES if local else None,
            include_dashboard=False if local else None,
            _node_ip_address="127.0.0.1" if local else None,
            logging_level=logging.ERROR,
            log_to_driver=log_to_driver,
            namespace="bellwether",
            ignore_reinit_error=True,
        )
    except Exception as error:  # a node that does not come up in time is a bare Exception
        raise StackError(f"ray: got {error}; expected a cluster at {address or 'this machine'}") from error


def _await_answer(address: str, host: str, port: int) -> None:
    """Ray itself takes two minutes to say that nothing answers. Raises StackError."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            socket.create_connection((host, port), timeout=_PATIENCE_SECONDS).close()
        except (OSError, OverflowError) as error:  # a port may be no port
            if time.monotonic() >= deadline:
                got = getattr(error, "strerror", None) or error
                raise StackError(f"ray at {address}: got {got}; expected a cluster that answers there") from error
            time.sleep(0.5)
        else:
            return


def stop_ray() -> None:
    """Disconnect; a local Ray's processes end. Nothing happens when none was started."""
    import ray

    ray.shutdown()


@contextmanager
def ray_session(address: str = "", cpus: int | None = None, *, log_to_driver: bool = True) -> Iterator[None]:
    """Ray for the length of a block."""
    start_ray(address, cpus, log_to_driver=log_to_driver)
    try:
        yield
    finally:
        stop_ray()
