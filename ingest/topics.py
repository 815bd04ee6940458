"""A monitor's topics before it runs: those it reads are waited for, the dead-letter topic is made."""

import threading
import time
from collections.abc import Callable

from kafka.errors import KafkaError, RetriableError

from ingest import client
from ingest.producer import create_topics
from schemas.errors import StackError
from schemas.topics import Topics

_LOOK_SECONDS = 1.0
_SAY_EVERY_SECONDS = 5.0


def await_topics(bootstrap: str, topics: Topics, stopping: threading.Event, say: Callable[[str], None]) -> bool:
    """Wait for the topics that are read, then make the dead-letter topic where there is none.

    It gets as many partitions as the observations have: letters go by the same key, so those of one entity stay in
    order, and a flood of them meets as many brokers. Topics that are read are not made: whoever writes to them knows
    how many partitions they need. A program that began without them would account for their records under no topic id.

    Args:
        bootstrap: brokers, host:port.
        topics: the monitor's.
        stopping: set it to end early.
        say: told in words what is waited for and what was made.

    Returns:
        Do they stand? False when told to stop before.

    Raises:
        StackError: the broker refuses for good, for instance because nobody but an administrator may make topics.
    """
    said = float("-inf")
    while client.wait_for_broker(bootstrap, stopping):
        try:
            missing = _prepare(bootstrap, topics, say)
        except StackError as error:
            if not isinstance(error.__cause__, RetriableError):
                raise
            missing = [str(error)]
        if not missing:
            return True
        if time.monotonic() - said > _SAY_EVERY_SECONDS:
            said = time.monotonic()
            say(f"kafka at {bootstrap}: waiting for {', '.join(missing)} (make it, or let `bellwether produce` do so)")
        stopping.wait(_LOOK_SECONDS)
    return False


def partitions_of(bootstrap: str) -> dict[str, int]:
    """Existing topics, and how many partitions each has."""
    try:
        admin = client.admin(bootstrap)
        try:
            return {topic["name"]: len(topic["partitions"]) for topic in admin.describe_topics()}
        finally:
            admin.close()
    except KafkaError as error:
        raise client.failure(bootstrap, "topics", error, "a list of them") from error


def _prepare(bootstrap: str, topics: Topics, say: Callable[[str], None]) -> list[str]:
    """Make the dead-letter topic if those that are read exist; return the ones that do not."""
    partitions = partitions_of(bootstrap)
    missing = [f"topic {name}" for name in (topics.observations, topics.globals) if name and name not in partitions]
    if not missing and topics.dlq not in partitions:
        count = partitions[topics.observations]
        create_topics(bootstrap, {topics.dlq: count})
        say(f"kafka at {bootstrap}: made dead-letter topic {topics.dlq} with {count} partitions")
    return missing
