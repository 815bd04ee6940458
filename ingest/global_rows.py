"""Records of the global topic -> rows that concern every entity."""

from collections.abc import Mapping, Sequence

from ingest.clock import Clock, epoch_ms
from ingest.fault import Fault
from ingest.judge import Judge, Verdict, dead_letter, refused
from ingest.record import Record
from schemas.layout import Layout
from schemas.modality import Scope
from schemas.observation import DeadLetter, GlobalRow, Partition

KNOWN = "known"
"""When a value became public; without it, its `time` counts."""


class GlobalDecoder:
    """Reads ``{"time": ..., "known": ..., "<global signal>": number}``; there is no entity and no key."""

    def __init__(self, layout: Layout, clock: Clock) -> None:
        self._judge = Judge(layout, Scope.GLOBAL)
        self._clock = clock
        self._max_ahead = layout.monitor.max_ahead

    def decode(self, records: Mapping[Partition, Sequence[Record]]) -> tuple[list[GlobalRow], list[DeadLetter]]:
        """One row a signal, in order within each partition, and what was refused."""
        latest_ms = epoch_ms(self._clock() + self._max_ahead)
        rows: list[GlobalRow] = []
        letters: list[DeadLetter] = []
        for partition, found in records.items():
            for record in found:
                verdict = self._judged(record, latest_ms)
                rows += [GlobalRow(verdict.time_ms, signal, value) for signal, value in (verdict.values or {}).items()]
                letters += [dead_letter(partition, record, fault) for fault in verdict.faults]
        return rows, letters

    def _judged(self, record: Record, latest_ms: int) -> Verdict:
        document = self._judge.document(record)
        if isinstance(document, Fault):
            return refused(document)
        name = self._judge.monitor.time
        time_ms = self._judge.time(document, name, latest_ms)
        if isinstance(time_ms, Fault):
            return refused(time_ms)
        known_ms = self._judge.time(document, KNOWN, latest_ms) if document.get(KNOWN) is not None else time_ms
        if isinstance(known_ms, Fault):
            return refused(known_ms)
        return self._judge.signals(document, "", max(known_ms, time_ms), frozenset({name, KNOWN}))
