"""What a running service has done so far: counts for the progress view, plain numbers only."""

from dataclasses import dataclass

import numpy as np

from schemas.observation import Status
from scorer.run import Scored


@dataclass(slots=True)
class Meter:
    """Counts of one shard."""

    events: int = 0
    alerts: int = 0
    dead_letters: int = 0
    duplicates: int = 0
    version: int = 0
    guarded: int = 0

    def add(self, scored: Scored) -> None:
        """Count one committed batch; silent rows were counted before."""
        predictions = scored.predictions
        live = ~predictions.silent
        status = predictions.status[live]
        refused = predictions.batch.dead_letters
        self.events += int(live.sum()) + len({(each.partition, each.offset) for each in refused if not each.signal})
        self.duplicates += int((status == Status.DUPLICATE).sum())
        self.dead_letters += int((status == Status.LATE).sum()) + len(refused)
        self.guarded += sum(predictions.guarded.values())
        self.alerts += len(scored.alerts)
        if len(predictions.version):
            self.version = int(np.max(predictions.version))

    def snapshot(self) -> dict[str, float]:
        """The counts as plain numbers."""
        return {
            "events": self.events,
            "alerts": self.alerts,
            "dead_letters": self.dead_letters,
            "duplicates": self.duplicates,
            "model_version": self.version,
            "guarded": self.guarded,
        }
