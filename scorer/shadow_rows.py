"""What partitions add to a shadow, written in the ledger's own transaction."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, insert, select, update

from schemas.alert import Change
from schemas.observation import Partition
from schemas.protocols import Advance
from schemas.shadow import ShadowStep, Tally
from schemas.statements import SHADOW_ALERTS, SHADOW_TALLIES, Row, matching, shadow_alert_row


def write_shadows(connection: Connection, keys: Mapping[Partition, Row], advances: Sequence[Advance]) -> None:
    """Add to what was seen of a version that is tried: the partition's row is locked, nobody else adds to its sums."""
    for advance in advances:
        if advance.shadow is None:
            continue
        key = {"shadow": advance.shadow.shadow} | {n: v for n, v in keys[advance.partition].items() if n != "monitor"}
        mine = matching(SHADOW_TALLIES, key)
        before = connection.execute(select(SHADOW_TALLIES).where(*mine)).one_or_none()
        stood = Tally() if before is None else Tally(before.rows, _tuples(before.sums))
        tally = stood + advance.shadow.tally
        values = {"next": advance.next_offset, "rows": tally.rows, "sums": {n: list(v) for n, v in tally.sums.items()}}
        if before is None:
            connection.execute(insert(SHADOW_TALLIES), key | {"first": advance.from_offset} | values)
        else:
            connection.execute(update(SHADOW_TALLIES).where(*mine).values(values))
        _write_shadow_alerts(connection, advance.shadow)


def _write_shadow_alerts(connection: Connection, step: ShadowStep) -> None:
    for alert in step.alerts:
        row = shadow_alert_row(step.shadow, alert)
        if alert.change is Change.RESOLVED:
            key = {name: row[name] for name in ("shadow", "entity", "task", "kind", "started_at")}
            ended = update(SHADOW_ALERTS).where(*matching(SHADOW_ALERTS, key))
            connection.execute(ended.values(ended_at=alert.event_time))
        else:
            connection.execute(insert(SHADOW_ALERTS), row)


def _tuples(sums: Mapping[str, Sequence[float]]) -> dict[str, tuple[float, ...]]:
    return {name: tuple(found) for name, found in sums.items()}
