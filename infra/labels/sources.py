"""What each source of labels told, what it is worth, and the decision not to learn from it, or to learn again."""

from collections.abc import Iterable
from typing import Any

from infra.database import connect, migrate
from infra.labels.store import Believed, SqlLabels, read_beliefs, read_decisions, read_judges, read_tallies
from ingest.clock import utc_now
from schemas.errors import InputError
from schemas.label import LabelStatus
from scorer.alerts import database_url, reading
from trainer.reliability import Sources, weighed

Record = dict[str, Any]
_NAMED = 20


def read_sources(database: str | None, monitor: str | None = None) -> list[Record]:
    """Every source that told labels or gave verdicts on alerts, by monitor and name.

    Each with how many `verdicts` it gave, how many `labels` it told and how many were `taught`, its `reliability` (the
    share of right labels, as estimated from the last; `trainer.reliability`), the `evidence` for that, and whether, by
    whom and why it is `excluded`.

    Raises:
        StackError: there is no database, or it cannot be read.
    """
    with reading(database) as connection:
        tallies, judges = read_tallies(connection), read_judges(connection)
        known = sorted(tallies.keys() | judges.keys())
        monitors = {each for each, _ in known if monitor in {None, each}}
        weights = {each: _weighed(read_beliefs(connection, each)) for each in monitors}
        decisions = {each: read_decisions(connection, each) for each in monitors}
    return [
        {"monitor": name, "source": source, "verdicts": judges.get((name, source), 0)}
        | _described(source, tallies.get((name, source), {}), weights[name], decisions[name].get(source, {}))
        for name, source in known
        if name in monitors
    ]


def decide(
    source: str, *, excluded: bool, author: str, why: str | None, database: str | None, monitor: str | None
) -> str:
    """Exclude a source, or include it again; the trainer knows within seconds. Returns whose source it is.

    What an excluded source told is taught no more, neither afresh nor by replay, and its verdicts move no threshold;
    what steps already took from it stays in the weights. A source that is included again is judged by what it tells
    from then on.

    Raises:
        InputError: no such source, or several monitors have one of that name and none is chosen.
        StackError: there is no database.
        LedgerError: the database refused.
    """
    known = read_sources(database, monitor)
    monitors = [each["monitor"] for each in known if each["source"] == source]
    if not monitors:
        names = ", ".join(repr(each["source"]) for each in known[:_NAMED]) or "none yet"
        raise InputError(f"source {source!r}: unknown; expected one that told labels or gave verdicts: {names}")
    if len(monitors) > 1:
        raise InputError(f"source {source!r}: got monitors {', '.join(monitors)}; expected --monitor to choose one")
    engine = connect(database_url(database), must_exist=True)
    migrate(engine)
    store = SqlLabels(engine, monitors[0], lambda: ("", ""), utc_now)
    store.decide(source, excluded=excluded, author=author, why=why)
    engine.dispose()
    return str(monitors[0])


def _weighed(beliefs: list[Believed]) -> Sources:
    classes: dict[str, int] = {}
    for _, task, value, _ in beliefs:
        classes[task] = max(classes.get(task, 2), value + 1)
    return weighed(classes, beliefs)


def _described(source: str, counts: dict[str, int], sources: Sources, decision: Record) -> Record:
    known = sources.of(source)
    return {
        "labels": sum(counts.values()),
        "taught": counts.get(LabelStatus.TAUGHT, 0),
        "waiting": counts.get(LabelStatus.WAITING, 0),
        "other": _others(counts.items()),
        "reliability": round(known.reliability, 3),
        "evidence": round(known.evidence, 1),
        "excluded": bool(decision.get("excluded", False)),
        "author": decision.get("author"),
        "why": decision.get("why"),
    }


def _others(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    return {status: count for status, count in counts if status not in {LabelStatus.TAUGHT, LabelStatus.WAITING}}
