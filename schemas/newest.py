"""How new rows are, in event time and in the time their records were written: replays are old in one of them only."""

from typing import NamedTuple

from schemas.observation import Batch


class Newest(NamedTuple):
    """Of rows the latest event time, and the latest time that a record was written, epoch milliseconds; 0: unknown."""

    event_ms: int = 0
    written_ms: int = 0

    def with_rows(self, batch: Batch) -> "Newest":
        """Of these rows too."""
        written_ms = 0 if batch.recorded_ms is None else int(batch.recorded_ms.max(initial=0))
        return self.later(Newest(int(batch.time_ms.max(initial=0)), written_ms))

    def later(self, other: "Newest") -> "Newest":
        """Of both together."""
        return Newest(max(self.event_ms, other.event_ms), max(self.written_ms, other.written_ms))


UNKNOWN = Newest()
"""Nothing is known of any row."""
