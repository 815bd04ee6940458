"""What a finished demo leaves a person with: the newest alerts, where they are stored, how to ask for more."""

import shlex
import sys
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from sqlalchemy import Engine, func, select

from infra.database import connect
from infra.typed import typed
from schemas.tables import AlertRow, PartitionRow
from scorer.alerts import Wanted, read_alerts

_NEWEST = 8


def accounted(engine: Engine, monitor: str) -> int:
    """Records of a monitor that the ledger has accounted for, whatever became of them."""
    parts = PartitionRow.accepted + PartitionRow.partly + PartitionRow.dead_lettered + PartitionRow.duplicate
    with engine.connect() as connection:
        total = connection.execute(select(func.sum(parts)).where(PartitionRow.monitor == monitor)).scalar()
    return int(total or 0)


def first_alert_after(url: str, begun: datetime) -> float | None:
    """Seconds from `begun` to the first alert that was committed; None without any."""
    engine = connect(url)
    with engine.connect() as connection:
        first = connection.execute(select(func.min(AlertRow.known_at))).scalar()
    engine.dispose()
    return None if first is None else round((first - begun).total_seconds(), 1)


def print_summary(console: Console, url: str, directory: Path) -> None:
    """Print the newest alerts with their reasons, and the lines to try."""
    newest = read_alerts(Wanted(), _NEWEST, url)
    console.print(f"\n[bold]The newest {len(newest)} alerts[/bold]")
    for row in newest:
        when, what = f"{row['event_time']:%Y-%m-%d %H:%M}", escape(f"{row['entity']}: {row['summary']}")
        console.print(f"  {when}  [bold]{row['severity']}[/bold]  {row['monitor']} {what}", soft_wrap=True)
    database = url.removeprefix("sqlite:///")
    console.print(f"\nThey are in [bold]{database}[/bold]. Try:")
    for line in _lines(url, database):
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"\nEverything the demo made is in {directory}; the next demo starts it afresh.")


def _lines(url: str, database: str) -> list[str]:
    query = "SELECT event_time, severity, entity, summary FROM alerts ORDER BY event_time DESC LIMIT 5"
    script = f"from scorer.alerts import alerts; print(alerts(url='{url}', limit=5))"
    return [
        typed("alerts", "list", "--database", url, "--severity", "critical"),
        typed("models", "list", "--database", url),
        f'{shlex.quote(sys.executable)} -c "{script}"',
        f'sqlite3 {shlex.quote(database)} "{query}"',
    ]
