"""A local Ray, quiet and small, or a connection to a cluster."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from schemas.errors import StackError

log = structlog.get_logger(__name__)

OBJECT_STORE_BYTES = 256 * 2**20
"""A batch is under 1 MB and weights under 2 MB: the store holds a few of each. Ray's default is 30 % of memory."""


def start_ray(address: str = "", cpus: int | None = None, *, log_to_driver: bool = True) -> None:
    """Connect to the cluster at `address`, or start a local one when it is empty.

    Args:
        address: as Ray's own (``host:6379``, ``ray://host:10001``, ``auto``).
        cpus: logical CPUs of a local Ray; None = as many as there are. Actors here mostly wait, so more is fine.
        log_to_driver: show what its processes print.

    Raises:
        StackError: Ray cannot be started or reached.
    """
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
