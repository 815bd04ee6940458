"""A person's word on an alert: kept beside it, and sent to the labels topic, so that the network learns from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast
from uuid import UUID, uuid5

import msgspec
from sqlalchemy import Connection, insert, select

from infra.database import connect, migrate
from infra.labels.judged import SqlVerdicts
from infra.settings import load_monitor, shipped
from ingest.clock import epoch_ms, utc_now
from ingest.judge import storable
from ingest.labels import LONGEST_SOURCE
from ingest.producer import create_topics, publish
from schemas.alert import RAISED, Change, Judgement, Rung
from schemas.errors import InputError, StackError
from schemas.label import LABEL, SOURCE, TASK
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.silence import TASK as SILENCE
from schemas.statements import EVENTS
from schemas.tables import VerdictRow
from schemas.task import TaskKind
from scorer.alerts import database_url, read_alert, read_events
from scorer.ledger import transact
from scorer.stages.risk import asked
from scorer.strictness import moved_by_verdicts, strictness, tolerated

Record = dict[str, Any]
_CHANGES = {Judgement.TRUE: Change.ACKNOWLEDGED, Judgement.FALSE: Change.FALSE_ALARM}
"""What a judgement does to an alert; one that is unsure does nothing."""


@dataclass(frozen=True, slots=True)
class Given:
    """What became of a verdict, which is recorded in any case.

    Attributes:
        topic: where labels were sent to; None: nowhere.
        labels: how many: one for each row at which the alert opened or grew worse.
        not_sent: why none was.
        lately: true and false ones among the last verdicts on the task's alerts; None: they move no threshold.
        strictness: how much stronger its evidence must be from now on: of the learned score in -log10 p, of a state or
            event task in log10 of the odds.
        thresholds: severity -> probability that a state or event task's alerts are asked for from now on, and as
            configured; of the learned score none.
        unmoved: why no threshold moves; None: one does, or nobody knows the monitor.
        alert_id: which alert it is about.
        task: which raised it.
        again: had the author said the same of it before, as the last word?
    """

    topic: str | None
    labels: int
    not_sent: str | None
    lately: tuple[int, int] | None = None
    strictness: float | None = None
    thresholds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    unmoved: str | None = None
    alert_id: str = ""
    task: str = ""
    again: bool = False


def give_verdict(
    alert_id: str, judgement: Judgement, author: str, why: str | None, database: str | None, config: str | None
) -> Given:
    """Record a verdict, and send it as labels of the alert's task where somebody can learn from them.

    Args:
        alert_id: as `alerts list` shows it, or how it begins.
        judgement: was the alert right?
        author: who says so.
        why: in words.
        database: URL; None: the environment's, else the embedded one.
        config: the monitor's file or name; None: the alert's monitor, where that is a shipped one.

    Raises:
        InputError: no such alert, or a name that is none.
        ConfigError: `config` is wrong.
        StackError: there is no database.
        LedgerError: the database refused; nothing is recorded.
    """
    if not 0 < len(author) <= LONGEST_SOURCE or not storable(author):
        raise InputError(f"--by: got {len(author)} characters; expected a name of 1 to {LONGEST_SOURCE}")
    record = read_alert(alert_id, database)
    events = read_events(record["id"], database)
    unnamed = config in {None, record["monitor"]} and record["monitor"] not in shipped()
    monitor = None if unnamed else load_monitor(config or record["monitor"])
    again = _record(judgement, author, why, events[-1], database)
    given = replace(
        _sent(record, events, judgement, author, monitor), alert_id=record["id"], task=record["task"], again=again
    )
    return _moved(given, record, monitor, database)


def _moved(given: Given, record: Record, monitor: Monitor | None, database: str | None) -> Given:
    """With what it moves: shards, which look for themselves, come to the same."""
    if record["rung"] == Rung.RULE:
        feed = record["task"] == SILENCE
        return replace(given, unmoved=f"verdicts change {'nothing of how feeds are watched' if feed else 'no rule'}")
    if monitor is None or monitor.monitor != record["monitor"]:
        return given
    kind = moved_by_verdicts(Layout(monitor)).get(record["task"])
    if kind is None or kind.kind != record["kind"]:
        return replace(given, unmoved=f"{record['task']} raises no alerts any more")
    engine = connect(database_url(database), must_exist=True)
    lately = SqlVerdicts(engine, record["monitor"], {kind.task: kind}).judged()[kind.task]
    engine.dispose()
    found = strictness(*lately, tolerated(kind, monitor.alerts))
    thresholds = {level.value: (float(asked(value, found)), value) for level, value in kind.severities.items()}
    return replace(given, lately=lately, strictness=found, thresholds=thresholds)


def _sent(
    record: Record, events: Sequence[Record], judgement: Judgement, author: str, monitor: Monitor | None
) -> Given:
    reason = _nobody_learns(record, judgement, monitor)
    if reason is not None or monitor is None:
        return Given(None, 0, reason)
    assert monitor.topics.labels is not None
    labels = [_label(record, judgement, author, moment, monitor) for moment in _moments(events)]
    try:
        create_topics(monitor.kafka.bootstrap_servers, {monitor.topics.labels: 1})
        publish(labels, monitor.kafka.bootstrap_servers, monitor.topics.labels)
    except StackError as error:
        return Given(None, 0, str(error))
    return Given(monitor.topics.labels, len(labels), None)


def _record(judgement: Judgement, author: str, why: str | None, last: Record, database: str | None) -> bool:
    """The verdict and the alert's transition in one transaction. Had the author said the same before?"""
    engine = connect(database_url(database), must_exist=True)
    migrate(engine)
    now = utc_now()
    verdict: Record = {"alert_id": last["alert_id"], "verdict": judgement.value, "author": author, "recorded_at": now}
    verdict |= {"why": None if why is None else why[:1000]}
    change = _CHANGES.get(judgement)
    step = None if change is None else _transition(last, change, author, now)

    def write(connection: Connection, _: int) -> bool:
        theirs = select(VerdictRow.verdict).where(VerdictRow.alert_id == last["alert_id"], VerdictRow.author == author)
        before = connection.execute(theirs.order_by(VerdictRow.id.desc()).limit(1)).scalar()
        connection.execute(insert(VerdictRow), [verdict])
        if step is not None:
            connection.execute(insert(EVENTS), [step])
        return before == judgement

    again = transact(engine, write)
    engine.dispose()
    return again


def _transition(last: Record, change: Change, author: str, now: datetime) -> Record:
    """It stands where the alert stood last: nothing new came from the stream."""
    name = str(uuid5(UUID(last["alert_id"]), f"{change}/{author}/{now.isoformat()}"))
    return last | {"id": name, "change": change.value, "recorded_at": now}


def _nobody_learns(record: Record, judgement: Judgement, monitor: Monitor | None) -> str | None:
    """Why no label follows from a verdict; None: one does."""
    if judgement is Judgement.UNSURE:
        return "an unsure verdict teaches nothing"
    if monitor is None:
        return f"monitor {record['monitor']} is not a shipped one: give its file with --config"
    if monitor.monitor != record["monitor"]:
        return f"the alert is of monitor {record['monitor']}, --config is of {monitor.monitor}"
    if monitor.topics.labels is None:
        return f"monitor {monitor.monitor} has no topics.labels"
    taught = Layout(monitor).labelled
    if record["task"] not in taught:
        return f"labels teach {', '.join(taught)}, not {record['task']}: a rule or its target says what came"
    return None


def _moments(events: Sequence[Record]) -> list[datetime]:
    """Event times of the rows at which the alert opened or grew worse."""
    return sorted({event["event_time"] for event in events if event["change"] in RAISED})


def _label(
    record: Record, judgement: Judgement, author: str, moment: datetime, monitor: Monitor
) -> tuple[bytes, bytes, None]:
    right = judgement is Judgement.TRUE
    task = next(each for each in monitor.tasks if each.name == record["task"])
    said = task.classes[task.warns_from if right else 0] if task.kind is TaskKind.STATE else int(right)
    entity = cast("str", record["entity"])
    message = {monitor.entity: entity, monitor.time: epoch_ms(moment), TASK: task.name, LABEL: said, SOURCE: author}
    return entity.encode(), msgspec.json.encode(message), None
