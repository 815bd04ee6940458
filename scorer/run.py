"""How data flows, whole: the loop every shard runs, in Kafka service and in a backtest alike."""

from collections.abc import Iterator
from dataclasses import dataclass

from schemas.alert import Alert
from schemas.prediction import Predictions
from schemas.protocols import Source
from scorer.shard import Shard
from scorer.stages.pipeline import AlertPipeline


@dataclass(frozen=True, slots=True)
class Scored:
    """One committed batch: what was said of it and what was raised."""

    predictions: Predictions
    alerts: list[Alert]


def run(source: Source, shard: Shard, pipeline: AlertPipeline) -> Iterator[Scored | None]:
    """Turn every batch into alerts; whoever iterates learns only after a batch was scored and committed.

    Dead letters are safe before the offsets move, and alerts move with the offsets in one transaction. Yields None
    when the source is idle: then only a clock can tell whose feed has stopped.
    """
    for batch in source.batches(shard):
        shard.note(source.globals())
        if batch is None or not shard.owns(batch):
            shard.miss()
            yield None
        else:
            predictions = shard.score(batch)
            alerts = pipeline.decide(predictions)
            source.dead_letter(shard.refused(predictions))
            shard.commit(alerts, predictions)
            yield Scored(predictions, alerts)
        shard.follow()
