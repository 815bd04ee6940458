"""`bellwether check`: is a monitor's configuration right, and what would it watch?"""

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from schemas.monitor import Monitor


_SENTENCES = ("idle", "missing")
"""Each of their items has a line of its own."""


@click.command()
@click.argument("monitor")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def check(monitor: str, *, as_json: bool) -> None:
    """Validate MONITOR: a shipped name (health, finance, surveillance) or a YAML/TOML file."""
    from infra.settings import load_monitor
    from infra.typed import typed
    from schemas.database import masked, parse_url
    from schemas.layout import Layout

    loaded = load_monitor(monitor)
    layout = Layout(loaded)
    parse_url(loaded.database.url)
    summary = {
        "monitor": loaded.monitor,
        "topics": loaded.topics.model_dump(mode="json") | {"dead_letters": loaded.topics.dlq},
        "modalities": {modality.name: len(modality.carried) for modality in loaded.modalities},
        "signals": len(layout.signals),
        "tasks": {task.name: task.kind.value for task in loaded.tasks},
        "rules": [rule.name for rule in loaded.rules],
        "knowledge": loaded.knowledge.summary,
        "kafka": loaded.kafka.bootstrap_servers,
        "database": masked(loaded.database.url),
        "idle": _idle(loaded),
        "missing": _missing(loaded),
    }
    if as_json:
        click.echo(json.dumps({"ok": True, **summary}))
        return
    click.echo(f"{monitor}: fine{', but for what is missing' if summary['missing'] else ''}")
    for key, value in summary.items():
        for text in _texts(key, value):
            click.echo(f"  {key}: {text}")
    click.echo("next:")
    click.echo(f"  {typed('produce', 'FILE', '--topic', loaded.topics.observations)}")
    click.echo(f"  {typed('run', monitor)}")


def _idle(monitor: "Monitor") -> list[str]:
    """Settings that nothing will ever ask for while the monitor runs, and why."""
    every = monitor.training.drift.adapt_every
    if not every or monitor.topics.labels is not None:
        return []
    return [f"training.drift.adapt_every {every} counts labels, and there is no topics.labels"]


def _missing(monitor: "Monitor") -> list[str]:
    """What `train` and `tune` will refuse here, and why."""
    from infra.fitting.trackers import missing

    known = [task.name for task in monitor.tasks]
    found = [
        f"fitting.only {name}: no task, unless --outcomes brings it; there are {', '.join(known)}"
        for name in monitor.fitting.only
        if name not in known
    ]
    return found + [
        f"fitting.trackers {name}: its package is not installed; pip install -e '.[{name}]'"
        for name in missing(monitor.fitting.trackers)
    ]


def _texts(key: str, value: object) -> list[str]:
    """Lines of one key; none where there is nothing to say."""
    if isinstance(value, list) and key in _SENTENCES:
        return value
    text = _text(value)
    return [text] if text else []


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items() if each is not None)
    return ", ".join(value) if isinstance(value, list) else str(value)
