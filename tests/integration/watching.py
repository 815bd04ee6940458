"""A topic scored by one version, and its alerts put where `bellwether alerts` looks for them."""

from collections.abc import Sequence

import numpy as np
from sqlalchemy import Engine, insert

from infra.assembly import utc_now
from ingest.kafka import KafkaSource
from schemas.alert import Alert
from schemas.layout import Layout
from schemas.observation import Partition
from schemas.statements import ALERTS, EVENTS, alert_row, event_row
from scorer.scorer import Scorer, state_template
from scorer.stages.pipeline import AlertPipeline
from scorer.store import Store
from trainer.network import Network


class Everything:
    """A shard that owns all there is, from the beginning."""

    def adopt(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        return dict.fromkeys(partitions, 0)

    def release(self, partitions: Sequence[Partition]) -> None:
        pass


def watched(layout: Layout, network: Network, version: int, end: int) -> list[Alert]:
    """What the topic's only partition raises up to an offset."""
    store = Store(state_template(layout))
    scorer, pipeline = Scorer(layout, store, lambda _: network), AlertPipeline(layout, store)
    source = KafkaSource(layout, utc_now, assign=[Partition(layout.monitor.topics.observations, 0)])
    raised: list[Alert] = []
    try:
        for batch in source.batches(Everything()):
            if batch is not None:
                nowhere_N, version_N = np.zeros(len(batch), dtype=np.bool_), np.full(len(batch), version)
                raised += pipeline.decide(scorer.score(batch, nowhere_N, version_N))
                if batch.next_offsets[0] == end:
                    return raised
    finally:
        source.close()
    raise AssertionError("the source ended")


def keep(engine: Engine, raised: Sequence[Alert]) -> None:
    """Rows of alerts and of their transitions."""
    with engine.begin() as connection:
        for alert in raised:
            connection.execute(insert(ALERTS), alert_row(alert.id, alert, alert.event_time))
            connection.execute(insert(EVENTS), event_row(alert.id, alert, alert.event_time))
