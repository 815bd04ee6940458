"""`bellwether models export`: one serving step of a version as a program that needs torch alone."""

import json
from pathlib import Path

import click


@click.command()
@click.argument("monitor")
@click.argument("model", metavar="VERSION|FILE")
@click.option(
    "--outcomes",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="CSV entity,task,label,revealed_at: names the event tasks that the version was fitted with.",
)
@click.option("--output", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The program, .pt2.")
@click.option("--json", "as_json", is_flag=True, help="What goes in and what comes out, as one JSON object.")
def export(monitor: str, model: str, outcomes: Path | None, output: Path, *, as_json: bool) -> None:
    """Write one step of MONITOR's network, weights included, for torch.export.load; its manifest.json says the rest."""
    from infra.exporting import export as run_export
    from infra.fitting.options import FitOptions

    manifest, size = run_export(FitOptions(monitor, (), outcomes, output=output), model)
    click.echo(json.dumps(manifest) if as_json else f"written to {output}: {size:,} bytes")
