"""What tells one cluster and one topic from a later one of the same name: Kafka's own ids."""

from collections.abc import Mapping
from dataclasses import dataclass

from kafka.errors import KafkaError

from ingest import client
from schemas.errors import StackError


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster's id and its topics' ids (empty where the broker is too old to have them)."""

    id: str
    topics: Mapping[str, str]

    def topic_id(self, topic: str) -> str:
        """The id of a topic; empty when unknown."""
        return self.topics.get(topic, "")

    def origin(self, topic: str) -> str:
        """Which topic of which cluster it is, in one word: a topic made anew has another one."""
        return f"{self.id}/{self.topic_id(topic)}"


def cluster_of(bootstrap: str) -> Cluster:
    """Ask the brokers. Raises StackError when none answers."""
    try:
        admin = client.admin(bootstrap)
        try:
            described = admin.describe_cluster()
            topics = {topic["name"]: str(topic.get("topic_id", "")) for topic in admin.describe_topics()}
        finally:
            admin.close()
    except KafkaError as error:
        raise StackError(f"kafka at {bootstrap}: got {type(error).__name__}; expected a broker that answers") from error
    return Cluster(str(described.get("cluster_id", "")), topics)
