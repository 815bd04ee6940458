"""Before a monitor runs: its topics are waited for, and its dead-letter topic is made, through a real broker."""

import threading
from collections.abc import Callable

import pytest

from ingest.producer import create_topics
from ingest.replay import read_dead_letters
from ingest.topics import await_topics, partitions_of
from schemas.topics import Topics

pytestmark = pytest.mark.service


class Listener:
    """Keeps what it is told; answers the first word with an action of the test's."""

    def __init__(self, answer: Callable[[], object]) -> None:
        self.heard: list[str] = []
        self._answer = answer

    def __call__(self, text: str) -> None:
        if not self.heard:
            self._answer()
        self.heard.append(text)


def test_a_missing_dead_letter_topic_gets_as_many_partitions_as_the_observations(kafka: str, topic: str) -> None:
    create_topics(kafka, {topic: 3})
    listener = Listener(lambda: None)
    stand = await_topics(kafka, Topics(observations=topic), threading.Event(), listener)
    assert (stand, partitions_of(kafka)[f"{topic}.dlq"], listener.heard, read_dead_letters(kafka, f"{topic}.dlq")) == (
        True,
        3,
        [f"kafka at {kafka}: made dead-letter topic {topic}.dlq with 3 partitions"],
        [],
    )


def test_existing_topics_are_left_as_they_are(kafka: str, topic: str) -> None:
    create_topics(kafka, {topic: 3, f"{topic}.dlq": 1})
    listener = Listener(lambda: None)
    assert await_topics(kafka, Topics(observations=topic), threading.Event(), listener)
    assert (partitions_of(kafka)[f"{topic}.dlq"], listener.heard) == (1, [])


def test_topics_that_are_read_are_waited_for_by_name(kafka: str, topic: str) -> None:
    topics = Topics(observations=topic, globals=f"{topic}.globals")
    listener = Listener(lambda: create_topics(kafka, {topic: 1, f"{topic}.globals": 1}))
    assert await_topics(kafka, topics, threading.Event(), listener)
    assert f"waiting for topic {topic}, topic {topic}.globals" in listener.heard[0]


def test_waiting_ends_when_told_to_stop_and_nothing_is_made(kafka: str, topic: str) -> None:
    stopping = threading.Event()
    stand = await_topics(kafka, Topics(observations=topic), stopping, Listener(stopping.set))
    assert (stand, f"{topic}.dlq" in partitions_of(kafka)) == (False, False)
