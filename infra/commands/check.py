"""`bellwether check`: is a monitor's configuration right, and what would it watch?"""

import json

import click


@click.command()
@click.argument("monitor")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def check(monitor: str, *, as_json: bool) -> None:
    """Validate MONITOR: a shipped name (health, finance) or a YAML/TOML file."""
    from infra.settings import load_monitor
    from schemas.layout import Layout

    loaded = load_monitor(monitor)
    layout = Layout(loaded)
    summary = {
        "monitor": loaded.monitor,
        "topics": loaded.topics.model_dump(mode="json") | {"dead_letters": loaded.topics.dlq},
        "modalities": {modality.name: len(modality.signals) for modality in loaded.modalities},
        "signals": len(layout.signals),
        "tasks": {task.name: task.kind.value for task in loaded.tasks},
        "rules": [rule.name for rule in loaded.rules],
    }
    if as_json:
        click.echo(json.dumps({"ok": True, **summary}))
        return
    click.echo(f"{monitor}: fine")
    for key, value in summary.items():
        click.echo(f"  {key}: {value}")
