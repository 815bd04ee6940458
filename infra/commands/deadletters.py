"""`bellwether deadletters`: what was refused, why, and the way back."""

import json
from typing import TYPE_CHECKING

import click

from schemas.reasons import Reason

if TYPE_CHECKING:
    from schemas.topics import Topics

_monitor = click.argument("monitor")
_labels = click.option("--labels", is_flag=True, help="Refused labels, not observations.")
_json = click.option("--json", "as_json", is_flag=True, help="JSON, for programs.")


@click.group()
def deadletters() -> None:
    """List or replay refused records."""


@deadletters.command("list")
@_monitor
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@_labels
@_json
def list_(monitor: str, limit: int, *, labels: bool, as_json: bool) -> None:
    """Refused records and signals of MONITOR: where they came from and why, never what they held."""
    from infra.settings import load_monitor
    from ingest.replay import read_dead_letters

    loaded = load_monitor(monitor)
    topic = _topic(loaded.topics, labels=labels)
    stored = read_dead_letters(loaded.kafka.bootstrap_servers, topic, limit)
    rows = [
        {
            "id": each.id,
            "reason": each.letter.reason,
            "signal": each.letter.signal,
            "topic": each.letter.partition.topic,
            "partition": each.letter.partition.number,
            "offset": each.letter.offset,
            "detail": each.letter.detail,
        }
        for each in stored
    ]
    if as_json:
        click.echo(json.dumps(rows))
        return
    for row in rows:
        what = f" signal {row['signal']}" if row["signal"] else ""
        where = f"{row['topic']}/{row['partition']}@{row['offset']}"
        click.echo(f"{where}{what}: {row['reason']}: {row['detail']} ({row['id']})")
    which = f"the first {limit}" if len(rows) == limit else str(len(rows))
    click.echo(f"{which} dead letters on {topic} at {loaded.kafka.bootstrap_servers}")


@deadletters.command()
@_monitor
@click.option(
    "--reason",
    "reasons",
    multiple=True,
    type=click.Choice([reason.value for reason in Reason]),
    help="Only these reasons (repeat for several).",
)
@click.option("--id", "ids", multiple=True, help="Only these letters (repeat for several).")
@_labels
@_json
def replay(monitor: str, reasons: tuple[str, ...], ids: tuple[str, ...], *, labels: bool, as_json: bool) -> None:
    """Send refused records of MONITOR, unchanged, to the topic they came from."""
    from infra.settings import load_monitor
    from ingest.replay import replay_dead_letters

    loaded = load_monitor(monitor)
    topic = _topic(loaded.topics, labels=labels)
    done = replay_dead_letters(loaded.kafka.bootstrap_servers, topic, reasons=reasons, ids=ids)
    if as_json:
        click.echo(json.dumps({"matched": done.matched, "replayed": done.replayed, "truncated": done.truncated}))
    else:
        cut = f"; {done.truncated} had been cut and stay" if done.truncated else ""
        click.echo(f"{done.replayed} records sent again{cut}")


def _topic(topics: "Topics", *, labels: bool) -> str:
    from schemas.errors import ConfigError

    if labels and topics.labels is None:
        raise ConfigError("command line", "--labels", None, "a monitor that has topics.labels")
    return topics.labels_dlq if labels else topics.dlq
