"""Records of the labels topic -> annotations: what turned out to be true of an entity, and who says so."""

from collections.abc import Mapping, Sequence

from ingest.clock import EARLIEST_MS, Clock, epoch_ms
from ingest.fault import Fault
from ingest.judge import Judge, dead_letter, storable
from ingest.record import Record
from schemas.label import FIELDS, LABEL, OCCURRED, REVEALED, SOURCE, TASK, Annotation, Label
from schemas.layout import Layout
from schemas.observation import DeadLetter, Partition
from schemas.reasons import Reason

LONGEST_SOURCE = 128
_Times = tuple[int | None, int | None, int | None]


class LabelDecoder:
    """Reads ``{"entity": ..., "task": ..., "label": 0 or 1 or a class}`` and what else `schemas.label.FIELDS` name.

    With the monitor's time field it is about that one row; without, about the entity as a whole, which only an event
    task can be. A label is taken whole or refused whole.
    """

    def __init__(self, layout: Layout, clock: Clock) -> None:
        self._judge, self._clock = Judge(layout), clock
        self._layout, self._monitor = layout, layout.monitor
        self._events = {task.name for task in layout.events}

    def decode(self, records: Mapping[Partition, Sequence[Record]]) -> tuple[list[Annotation], list[DeadLetter]]:
        """One annotation a record, in order within each partition, and what was refused."""
        latest_ms = epoch_ms(self._clock() + self._monitor.max_ahead)
        found: list[Annotation] = []
        letters: list[DeadLetter] = []
        for partition, each in records.items():
            for record in each:
                read = self._annotation(partition, record, latest_ms)
                if isinstance(read, Fault):
                    letters.append(dead_letter(partition, record, read))
                else:
                    found.append(read)
        return found, letters

    def _annotation(self, partition: Partition, record: Record, latest_ms: int) -> Annotation | Fault:
        document = self._judge.document(record)
        if isinstance(document, Fault):
            return document
        entity = self._judge.entity(document, record.key)
        if isinstance(entity, Fault):
            return entity
        label = self._label(document, entity, latest_ms, record.timestamp)
        if isinstance(label, Fault):
            return label
        said, times = label
        given = [each for each in times if each is not None]
        due_ms = max(given) if given else max(record.timestamp, EARLIEST_MS)
        return Annotation(said, due_ms, times[2], partition, record.offset)

    def _label(
        self, document: Mapping[str, object], entity: str, latest_ms: int, sent_ms: int
    ) -> tuple[Label, _Times] | Fault:
        if not document.keys() <= {*FIELDS, *self._keys}:
            return Fault(Reason.UNKNOWN_FIELD, f"expected fields out of {', '.join((*self._keys, *FIELDS))}")
        task, source = self._task(document), _source(document)
        if isinstance(task, Fault):
            return task
        value = self._value(task, document.get(LABEL))
        if isinstance(value, Fault):
            return value
        if isinstance(source, Fault):
            return source
        times = self._times(document, task, latest_ms)
        if isinstance(times, Fault):
            return times
        time_ms, occurred_ms, revealed_ms = times
        known_ms = next((each for each in (occurred_ms, revealed_ms) if each is not None), sent_ms)
        until_ms = known_ms if time_ms is None else None
        return Label(entity, task, time_ms, value, until_ms, source), times

    @property
    def _keys(self) -> tuple[str, str]:
        return self._monitor.entity, self._monitor.time

    def _task(self, document: Mapping[str, object]) -> str | Fault:
        task = document.get(TASK)
        if not isinstance(task, str) or task not in self._layout.labelled:
            return Fault(Reason.UNKNOWN_TASK, f"expected {TASK} as one of {', '.join(self._layout.labelled)}")
        return task

    def _value(self, task: str, said: object) -> int | Fault:
        classes = self._layout.labelled[task]
        if isinstance(said, str) and said in classes:
            return classes.index(said)
        if len(classes) == 2 and isinstance(said, int | float) and said in {0, 1}:
            return int(said)
        numbers = "0, 1 or " if len(classes) == 2 else ""
        return Fault(Reason.WRONG_LABEL, f"expected {LABEL} as {numbers}one of {', '.join(classes)}")

    def _times(self, document: Mapping[str, object], task: str, latest_ms: int) -> _Times | Fault:
        """Of the row, of what happened, and of when that became known."""
        found: list[int | None] = []
        for name in (self._monitor.time, OCCURRED, REVEALED):
            time_ms = None if document.get(name) is None else self._judge.time(document, name, latest_ms)
            if isinstance(time_ms, Fault):
                return time_ms
            found.append(time_ms)
        time_ms, occurred_ms, revealed_ms = found
        if time_ms is None and task not in self._events:
            return Fault(Reason.MISSING_TIME, f"expected field {self._monitor.time}: {task} is about rows")
        if occurred_ms is not None and (time_ms is not None or task not in self._events):
            return Fault(Reason.WRONG_LABEL, f"expected {OCCURRED} of an event alone, without {self._monitor.time}")
        if occurred_ms is not None and revealed_ms is not None and occurred_ms > revealed_ms:
            return Fault(Reason.WRONG_CLOCK, f"expected {OCCURRED} no later than {REVEALED}")
        return time_ms, occurred_ms, revealed_ms


def _source(document: Mapping[str, object]) -> str | Fault:
    source = document.get(SOURCE)
    if source is None:
        return ""
    if not isinstance(source, str) or len(source) > LONGEST_SOURCE or not storable(source):
        return Fault(Reason.WRONG_TYPE, f"expected {SOURCE} as a string of at most {LONGEST_SOURCE} characters")
    return source
