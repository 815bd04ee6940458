"""`bellwether check`: is a monitor's configuration right, and what would it watch?"""

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from schemas.monitor import Monitor


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
    }
    if as_json:
        click.echo(json.dumps({"ok": True, **summary}))
        return
    click.echo(f"{monitor}: fine")
    for key, value in summary.items():
        if text := _text(value):
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


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items() if each is not None)
    return ", ".join(value) if isinstance(value, list) else str(value)
