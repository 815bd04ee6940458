"""`bellwether produce`: send files to a topic: wide tables, one JSON message a row, labels, or recorded frames."""

import json
from collections.abc import Iterable
from pathlib import Path

import click


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--topic", required=True, help="Made with --partitions where it does not exist.")
@click.option(
    "--bootstrap",
    default="127.0.0.1:9092",
    show_default=True,
    envvar="BELLWETHER_KAFKA__BOOTSTRAP_SERVERS",
    show_envvar=True,
    help="A broker's host:port.",
)
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Rows a second. Default: as fast as it goes.")
@click.option("--partitions", type=click.IntRange(min=1), default=4, show_default=True)
@click.option("--limit", type=click.IntRange(min=1), help="At most so many rows.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def produce(
    files: tuple[Path, ...],
    topic: str,
    bootstrap: str,
    rate: float | None,
    partitions: int,
    limit: int | None,
    *,
    as_json: bool,
) -> None:
    """Send FILES (or folders of them) to a topic in event-time order; the key is the entity.

    Of FOLDER/<camera>/<time>.png (or .jpg) each picture becomes one record, as it is. A file with columns entity, task
    and label holds labels, for a monitor's labels topic: its rows go in their order.
    """
    from itertools import chain, islice

    from infra.interrupt import interruptible
    from ingest.events import to_messages
    from ingest.label_files import is_labels, label_messages
    from ingest.producer import Message, create_topics, publish
    from ingest.recording import frame_messages, is_recording
    from ingest.wide import read_events

    _check_topic(topic)
    folders = [path for path in files if is_recording(path)]
    labels = [path for path in files if is_labels(path)]
    tables = [path for path in files if path not in folders and path not in labels]
    events = read_events(tables) if tables else None
    made = create_topics(bootstrap, {topic: partitions})
    rows: Iterable[Message] = to_messages(events, list(events.columns)) if events else ()
    records = islice(chain(rows, *map(frame_messages, folders), *map(label_messages, labels)), limit)
    with interruptible() as stopping:
        sent = publish(records, bootstrap, topic, rate=rate, stopping=stopping)
    if as_json:
        click.echo(json.dumps({"topic": topic, "sent": sent.records, "seconds": round(sent.seconds, 3)}))
    else:
        new = f", made with {partitions} partitions," if made else ""
        click.echo(f"{sent.records:,} rows to {topic}{new} at {bootstrap} in {sent.seconds:.1f} s")


def _check_topic(topic: str) -> None:
    """Raise ConfigError where no broker would take the name."""
    import re

    from schemas.errors import ConfigError

    if topic in {".", ".."} or not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", topic):
        expected = "1 to 249 letters, digits, '.', '_' or '-', and neither '.' nor '..'"
        raise ConfigError("command line", "--topic", topic, expected)
