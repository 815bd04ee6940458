"""`bellwether alerts`: list, show, explain, judge or watch what was raised."""

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from infra.commands.shown import all_clear, line, print_alert, print_budgets, print_lines, print_table, shown
from infra.commands.whose import NAME_OR_FILE, database_option, heed, known, monitor_option
from schemas.alert import Judgement
from schemas.alerting import Severity

Command = Callable[..., None]
_FAILED = ("started_at", "ended_at", "kind", "phase", "summary")
"""What is shown of a feed's failure."""
_MOST_SHOWN = 10

_json = click.option("--json", "as_json", is_flag=True, help="JSON, for programs.")
_configured = click.option(
    "--config",
    "--monitor",
    "config",
    help="The monitor, its file where it is not a shipped one. Default: the alert's monitor as shipped.",
    metavar=NAME_OR_FILE,
    is_eager=True,
    callback=heed,
)
_severity = click.Choice([level.value for level in Severity])


def _filters(command: Command) -> Command:
    for option in (
        click.option("--since", help="From this event time on: ISO 8601, or an age such as 90s, 15m, 2h, 1d."),
        click.option("--severity", type=_severity, help="This bad or worse."),
        click.option("--entity", help="One entity's only."),
        monitor_option,
    ):
        command = option(command)
    return command


@click.group()
def alerts() -> None:
    """List, show, explain, judge, watch or replay alerts."""


@alerts.command("list")
@_filters
@click.option(
    "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most so many, newest first."
)
@database_option
@_json
def list_(
    monitor: str | None,
    entity: str | None,
    severity: str | None,
    since: str | None,
    limit: int,
    database: str | None,
    *,
    as_json: bool,
) -> None:
    """Alerts as they stand now, newest first: who raised each, onset, peak, end. In a pipe one line each."""
    from infra.terminal import console
    from scorer.alerts import Wanted, read_alerts

    wanted = Wanted(_time(since), None, entity, known(database, monitor), severity)
    found, terminal = read_alerts(wanted, limit, database), console()
    if as_json:
        click.echo(json.dumps(shown(found)))
    elif not found:
        click.echo("no alerts")
    elif terminal.is_terminal:
        print_table(terminal, found)
    else:
        print_lines(found)


@alerts.command()
@monitor_option
@database_option
@_json
def budget(monitor: str | None, database: str | None, *, as_json: bool) -> None:
    """Alarms against the budgets or false discovery rates of monitors: asked for, and achieved since the beginning."""
    from scorer.alerts import read_budgets

    found = read_budgets(known(database, monitor), database)
    if as_json:
        click.echo(json.dumps(found))
    elif not found:
        click.echo("no budget is kept (alerts.budget: 0.5 per entity-day; or alerts.false_discovery_rate: 0.1)")
    else:
        print_budgets(found)


@alerts.command()
@click.argument("alert_id", metavar="ID")
@database_option
@_json
def show(alert_id: str, database: str | None, *, as_json: bool) -> None:
    """One alert: what was expected, what came, every step of its life, what people said of it, and why it lasts."""
    from scorer.alerts import read_alert, read_events, read_feed, read_verdicts

    found = read_alert(alert_id, database)
    (record,), steps = shown([found]), shown(read_events(found["id"], database))
    verdicts, feed = shown(read_verdicts(found["id"], database)), shown(read_feed(found, database))
    record |= all_clear(record, steps, feed)
    if as_json:
        click.echo(json.dumps(record | {"events": steps, "verdicts": verdicts, "feed": feed}))
    else:
        failed = [{name: each[name] for name in _FAILED} for each in feed]
        print_alert(record, {"reasons": record["reasons"], "events": steps, "verdicts": verdicts, "feed": failed})


@alerts.command()
@click.argument("alert_id", metavar="ID")
@click.option(
    "--rows", type=click.IntRange(min=2), default=64, show_default=True, help="The entity's last rows to replay."
)
@click.option(
    "--input", "files", multiple=True, type=click.Path(exists=True, path_type=Path), help="Rows from files, not Kafka."
)
@_configured
@database_option
@_json
def explain(
    alert_id: str, rows: int, files: tuple[Path, ...], config: str | None, database: str | None, *, as_json: bool
) -> None:
    """Why: which signals, rows, modalities and tasks the network's answer hung on, and what was expected."""
    from infra.explained import print_explanation
    from infra.explaining import explain_alert

    told = explain_alert(alert_id, rows, files, database, config)
    if as_json:
        click.echo(json.dumps(told, allow_nan=False))
    else:
        print_explanation(told)


@alerts.command()
@click.argument("monitor")
@click.option("--from-snapshot", is_flag=True, help="Begin at the oldest snapshots, not at the first row ever scored.")
@_json
@click.pass_context
def replay(ctx: click.Context, monitor: str, *, from_snapshot: bool, as_json: bool) -> None:
    """Score MONITOR's topic again, each row by the version that served it then; exit code 1 if an alert differs.

    Nothing is written. Rows are read from the topic, versions from the log of swaps.
    """
    from infra.rescoring.alerts import rescore
    from infra.settings import load_monitor

    done = rescore(load_monitor(monitor), from_snapshot=from_snapshot)
    differing = {name: shown(getattr(done, name)) for name in ("others", "missing", "added")}
    if as_json:
        told = {"rows": done.rows, "alerts": done.alerts, "same": done.same, "all_same": done.all_same}
        click.echo(json.dumps(told | differing))
    else:
        counts = ", ".join(f"{len(steps)} {name}" for name, steps in differing.items())
        click.echo(f"{done.rows:,} rows, {done.alerts} alerts: {done.same} of their steps the same, {counts}")
        for name, steps in differing.items():
            for step in steps[:_MOST_SHOWN]:
                click.echo(
                    f"  {name}: alert {step['alert_id']} {step['change']} at {step['partition']}@{step['offset']}"
                )
    if not done.all_same:
        ctx.exit(1)


@alerts.command()
@click.argument("alert_id", metavar="ID")
@click.argument("verdict", type=click.Choice([judgement.value for judgement in Judgement]))
@click.option("--by", "author", required=True, help="Who says so.")
@click.option("--why", help="In words, for people.")
@_configured
@database_option
@_json
def feedback(
    alert_id: str,
    verdict: str,
    author: str,
    why: str | None,
    config: str | None,
    database: str | None,
    *,
    as_json: bool,
) -> None:
    """Say whether an alert was right: its task's threshold moves, and the network learns where labels have a topic.

    Rules and what watches the feeds stay as they are.
    """
    from infra.labels.verdict import give_verdict

    given = give_verdict(alert_id, Judgement(verdict), author, why, database, config)
    if as_json:
        click.echo(json.dumps({"verdict": verdict, "author": author} | asdict(given)))
        return
    click.echo(f"recorded: {verdict}, by {author}{f' (already judged so by {author})' if given.again else ''}")
    if given.lately is not None:
        true, false = given.lately
        levels = (f"{level} {now:.2f} (configured: {was:g})" for level, (now, was) in given.thresholds.items())
        of_task = f"thresholds of {given.task}: {', '.join(levels)}"
        stands = of_task if given.thresholds else f"threshold of the learned score: {given.strictness:+.2f}"
        click.echo(f"lately judged: {true} true, {false} false; {stands}")
    if given.unmoved is not None:
        click.echo(f"no threshold moves: {given.unmoved}")
    if given.not_sent is None:
        click.echo(f"sent to {given.topic}: {given.labels} labels")
    else:
        click.echo(f"the verdict stands in the database; no label was sent: {given.not_sent}", err=True)


@alerts.command()
@_filters
@database_option
@_json
def watch(
    monitor: str | None,
    entity: str | None,
    severity: str | None,
    since: str | None,
    database: str | None,
    *,
    as_json: bool,
) -> None:
    """Alerts as they are raised, until interrupted. --json: one line each."""
    from scorer.alerts import Wanted, watch_alerts

    wanted = Wanted(_time(since), None, entity, known(database, monitor), severity)
    for fresh in watch_alerts(wanted, database):
        for record in shown(fresh):
            click.echo(json.dumps(record) if as_json else line(record))


def _time(text: str | None) -> datetime | None:
    """An age is taken from now. Raises InputError where it is neither that nor a time."""
    from schemas.duration import parse_duration
    from schemas.errors import InputError

    if text is None:
        return None
    try:
        age = parse_duration(text)
        if isinstance(age, timedelta):
            return datetime.now(UTC) - age
        time = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        expected = "ISO 8601, as 2026-01-31T08:00Z, or an age such as 2h or 3d"
        raise InputError(f"--since: got {text!r}; expected {expected}") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)
