"""`bellwether models relearn`: what excluded sources of labels taught comes out of the weights."""

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from infra.relearning import Relearned


@click.command()
@click.argument("monitor")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def relearn(monitor: str, *, as_json: bool) -> None:
    """Let a version of MONITOR serve that learned everything but what excluded sources of labels told.

    It goes back to the last checkpoint before their first label, and learns the topic's rows and everybody else's
    labels again from there, to the trainers' newest checkpoint. Trainers that run go on from it; what they learned
    since that checkpoint is let go. `labels exclude` comes before.
    """
    from infra.commands.standing import person
    from infra.relearning import relearn as run_relearn
    from infra.settings import load_monitor

    done = run_relearn(load_monitor(monitor), person())
    if as_json:
        click.echo(json.dumps(_plain(done)))
    else:
        click.echo(
            f"from the checkpoint at step {done.from_step}: {done.rows:,} rows, {done.labels:,} labels of others"
        )
        if done.untaught:
            click.echo(f"{done.untaught:,} labels of others taught nothing now: rows forgotten, or too few for a step")
        click.echo(f"left out: {done.without:,} labels of {', '.join(each or 'no source' for each in done.sources)}")
        click.echo(f"v{done.published.version} serves")


def _plain(done: "Relearned") -> dict[str, object]:
    return {
        "version": done.published.version,
        "from_step": done.from_step,
        "rows": done.rows,
        "labels": done.labels,
        "untaught": done.untaught,
        "without": done.without,
        "sources": list(done.sources),
    }
