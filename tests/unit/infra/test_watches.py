"""A promoted version is watched by the last one that was confirmed, however soon the next ones are tried."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, select

from infra.registry import SqlRegistry
from infra.standings import PINNED
from schemas.shadow import Outcome, Role, Settlement, Shadow
from schemas.versions import ModelEventRow, ShadowRow, ShadowTallyRow
from scorer.verdict import settled

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
ROWS = 1000
PLACE = {"cluster": "c", "topic": "t", "topic_id": "i", "partition": 0}


@pytest.fixture
def registry(engine: Engine, tmp_path: Path) -> SqlRegistry:
    """Version 1 serves."""
    registry = SqlRegistry(engine, "ward", tmp_path, lambda: NOW, shadow_rows=ROWS)
    registry.publish(b"1", None, {})
    return registry


def running(registry: SqlRegistry) -> Shadow:
    shadow = registry.shadow()
    assert shadow is not None
    return shadow


def pair(registry: SqlRegistry) -> tuple[int, int, Role]:
    """Who serves, who is scored beside it, and why."""
    shadow = running(registry)
    return shadow.champion, shadow.challenger, shadow.role


def try_next(registry: SqlRegistry) -> None:
    serving, _ = registry.standing()
    registry.publish(b"next", serving, {})


def end(registry: SqlRegistry, outcome: Outcome) -> None:
    assert registry.settle(running(registry), Settlement(outcome, outcome.value))


def promote_next(registry: SqlRegistry) -> None:
    try_next(registry)
    end(registry, Outcome.PROMOTED)


def see(registry: SqlRegistry, rows: int, difference: float = 0.0) -> Outcome | None:
    """So many rows, on which the challenger's losses differ so from the champion's; what comes of it."""
    sums = {"forecast.h1.loss": [rows, rows, rows * (1.0 + difference), rows * (difference**2 + 0.09)]}
    row = {"shadow": running(registry).id, "first": 0, "next": rows, "rows": rows, "sums": sums}
    with registry.engine.begin() as connection:
        connection.execute(insert(ShadowTallyRow), PLACE | row)
    settlement = settled(running(registry), {})
    if settlement is not None:
        assert registry.settle(running(registry), settlement)
    return None if settlement is None else settlement.outcome


def watches(registry: SqlRegistry) -> list[tuple[int, int, str | None]]:
    columns = (ShadowRow.champion, ShadowRow.challenger, ShadowRow.outcome)
    query = select(*columns).where(ShadowRow.role == Role.WATCH.value).order_by(ShadowRow.id)
    with registry.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(query)]


def test_a_watch_does_not_hold_up_the_next_trial_and_goes_on_after_it(registry: SqlRegistry) -> None:
    promote_next(registry)
    seen = [pair(registry)]
    for outcome in (Outcome.REFUSED, Outcome.PROMOTED):
        try_next(registry)
        seen.append(pair(registry))
        end(registry, outcome)
        seen.append(pair(registry))
    assert seen == [
        (2, 1, Role.WATCH),
        (2, 3, Role.TRIAL),
        (2, 1, Role.WATCH),
        (2, 4, Role.TRIAL),
        (4, 1, Role.WATCH),
    ]


def test_what_turns_bad_slowly_while_others_follow_goes_back_to_the_last_confirmed_version(
    registry: SqlRegistry,
) -> None:
    found = []
    for _ in range(3):
        promote_next(registry)
        found.append(see(registry, 300, difference=-0.045))
    assert found == [None, None, Outcome.ROLLED_BACK]
    assert watches(registry) == [(version, 1, "rolled back") for version in (2, 3, 4)]
    assert registry.standing() == (1, 0)
    assert {each.version: each.status for each in registry.versions()} == {
        4: "rolled back",
        3: "pinned",
        2: "pinned",
        1: "serving",
    }
    assert registry.shadow() is None


def test_a_trial_that_is_refused_takes_no_rows_from_a_watch(registry: SqlRegistry) -> None:
    promote_next(registry)
    see(registry, 600)
    try_next(registry)
    end(registry, Outcome.REFUSED)
    assert see(registry, 399) is None
    try_next(registry)
    end(registry, Outcome.REFUSED)
    assert see(registry, 1) is Outcome.KEPT
    assert watches(registry) == [(2, 1, "kept")] * 3


def test_what_was_kept_watches_what_follows(registry: SqlRegistry) -> None:
    promote_next(registry)
    assert see(registry, ROWS) is Outcome.KEPT
    promote_next(registry)
    assert pair(registry) == (3, 2, Role.WATCH)
    assert running(registry).earlier == ()


def test_versions_that_had_the_rows_of_a_watch_between_them_are_confirmed_when_the_next_is_promoted(
    registry: SqlRegistry,
) -> None:
    promote_next(registry)
    see(registry, 600)
    promote_next(registry)
    see(registry, 400)
    promote_next(registry)
    assert watches(registry) == [(2, 1, "kept"), (3, 1, "kept"), (4, 3, None)]
    with registry.engine.connect() as connection:
        kept = connection.execute(select(ModelEventRow.version).where(ModelEventRow.standing == "kept")).scalars()
        assert list(kept) == [3]


def test_a_persons_word_ends_a_watch_that_waits(registry: SqlRegistry) -> None:
    promote_next(registry)
    see(registry, 300)
    try_next(registry)
    registry.promote(1, "ann", "the others are bad")
    assert registry.shadow() is None
    promote_next(registry)
    assert (pair(registry), running(registry).earlier) == ((4, 1, Role.WATCH), ())
    assert watches(registry) == [(2, 1, "overtaken"), (4, 1, None)]


def test_a_trial_that_began_meanwhile_is_not_ended_by_the_watch_it_interrupts(registry: SqlRegistry) -> None:
    promote_next(registry)
    watch = running(registry)
    try_next(registry)
    assert not registry.settle(watch, Settlement(Outcome.ROLLED_BACK, "v2 is worse"))
    assert (registry.standing(), pair(registry)) == ((2, 3), (2, 3, Role.TRIAL))


def test_the_last_confirmed_version_can_be_gone_back_to_however_many_follow(registry: SqlRegistry) -> None:
    for _ in range(PINNED + 3):
        promote_next(registry)
    assert registry.get(1).status == "pinned"
    assert registry.load(registry.get(1)) == b"1"
    assert see(registry, 500, difference=-0.2) is Outcome.ROLLED_BACK
    assert registry.standing() == (1, 0)
