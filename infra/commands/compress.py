"""`bellwether models compress`: a smaller file of a version, if no task loses by it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from infra.compressing import Compressed


@click.command()
@click.argument("monitor")
@click.argument("model", metavar="VERSION|FILE")
@click.option("--input", "files", multiple=True, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--outcomes",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="CSV entity,task,label,revealed_at for event tasks.",
)
@click.option("--output", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The smaller file.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Draws what is judged: as train."
)
@click.option(
    "--tune-epochs",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Epochs on FILES after units were left out.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def compress(
    monitor: str,
    model: str,
    files: tuple[Path, ...],
    outcomes: Path | None,
    output: Path,
    seed: int,
    tune_epochs: int,
    *,
    as_json: bool,
) -> None:
    """Make MONITOR's weights smaller; what costs a task over 0.5 % of its validation loss on FILES is refused.

    Units of the network are left out only where all modalities have the same cell.
    """
    from infra.compressing import compress as run_compress
    from infra.fitting.options import FitOptions

    done = run_compress(FitOptions(monitor, files, outcomes, passes=tune_epochs, seed=seed, output=output), model)
    if as_json:
        click.echo(json.dumps(_plain(done)))
        return
    _print(done)
    click.echo(f"written to {output}")


def _plain(done: "Compressed") -> dict[str, Any]:
    from dataclasses import asdict

    return {name: part for name, part in asdict(done).items() if name != "content"}


def _print(done: "Compressed") -> None:
    from rich.table import Table

    from infra.terminal import console

    table = Table("", "before", "after", header_style="bold")
    for name, before, after in _rows(done):
        table.add_row(name, before, after)
    console().print(table)
    for step in done.steps:
        click.echo(f"{step.name}: " + (f"kept, {step.file_bytes:,} bytes" if step.kept else f"refused, {step.why}"))


def _rows(done: "Compressed") -> list[tuple[str, str, str]]:
    one, other = done.before, done.after
    kept = [step.losses for step in done.steps if step.kept]
    after = kept[-1] if kept else done.losses
    return [
        ("file, bytes", f"{one.file_bytes:,}", f"{other.file_bytes:,}"),
        ("parameters", f"{one.parameters:,}", f"{other.parameters:,}"),
        *(
            (f"state, bytes an entity: {part}", f"{size:,}", f"{other.state_bytes[part]:,}")
            for part, size in one.state_bytes.items()
        ),
        *(
            (f"events/s, steps of {size} rows", f"{speed:,.0f}", f"{other.events_per_second[size]:,.0f}")
            for size, speed in one.events_per_second.items()
        ),
        *(
            (f"loss of {task}", f"{loss:.4f}", f"{after[task]:.4f} ({after[task] / loss - 1.0:+.2%})")
            for task, loss in done.losses.items()
        ),
    ]
