"""`bellwether models replay`: learn again what made a version, and compare it bit for bit."""

import json

import click


@click.command()
@click.argument("monitor")
@click.argument("version", type=click.IntRange(min=1))
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_context
def replay(ctx: click.Context, monitor: str, version: int, *, as_json: bool) -> None:
    """Make MONITOR's VERSION anew from the checkpoint before it and the topic; exit code 1 if a bit differs.

    Rows are read again by the offsets that each rank took in before each step. The same torch build, kind of CPU and
    number of threads give the same weights.
    """
    from infra.replaying import replay as run_replay
    from infra.settings import load_monitor

    done = run_replay(load_monitor(monitor), version)
    if as_json:
        published = {made: {"then": then, "now": now} for made, (then, now) in done.published.items()}
        click.echo(
            json.dumps(
                {
                    "version": done.version,
                    "from_step": done.from_step,
                    "steps": done.steps,
                    "rows": done.rows,
                    "ranks": done.ranks,
                    "published": published,
                    "same": done.same,
                }
            )
        )
    else:
        ranks = "1 rank" if done.ranks == 1 else f"{done.ranks} ranks"
        click.echo(f"{done.steps} steps of {ranks}, {done.rows:,} rows, from the checkpoint at step {done.from_step}")
        for made, (then, now) in done.published.items():
            same = "the same bit for bit" if then == now else f"got {now[:12] or 'none'} now"
            click.echo(f"{f'v{made}' if made else 'one more'}: SHA-256 {then[:12] or 'none'}, {same}")
    if not done.same:
        ctx.exit(1)
