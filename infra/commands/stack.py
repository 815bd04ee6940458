"""`bellwether stack`: a real Kafka and a real PostgreSQL on this machine, for as long as you like."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from infra.stack.compose import ServiceStatus

DIRECTORY = Path(".bellwether/stack")
_directory = click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=DIRECTORY,
    show_default=True,
    help="Where their data and the state file live.",
)
_json = click.option("--json", "as_json", is_flag=True, help="One JSON object.")


@click.group()
def stack() -> None:
    """Start, stop or inspect a real Kafka and a real PostgreSQL on this machine."""


@stack.command()
@_directory
@_json
def up(directory: Path, *, as_json: bool) -> None:
    """Start both, or say that they run, and how to reach them. They stay until `stack down`."""
    from infra.stack import compose

    _show(compose.up(directory, None if as_json else click.echo), directory, as_json=as_json)


@stack.command()
@_directory
@_json
def down(directory: Path, *, as_json: bool) -> None:
    """Stop what `stack up` started; the data stays."""
    from infra.stack import compose

    ended = compose.down(directory)
    click.echo(json.dumps({"ended": ended}) if as_json else f"ended: {', '.join(ended) or 'nothing was running'}")


@stack.command()
@_directory
@_json
def status(directory: Path, *, as_json: bool) -> None:
    """Say what runs and where, and how to reach it."""
    from infra.stack import compose

    _show(compose.status(directory), directory, as_json=as_json)


def _show(services: "list[ServiceStatus]", directory: Path, *, as_json: bool) -> None:
    from infra.stack.compose import environment
    from infra.typed import exports, typed

    if as_json:
        import msgspec

        shown = {"services": msgspec.to_builtins(services), "environment": environment(services)}
        click.echo(json.dumps(shown))
        return
    elsewhere = () if directory == DIRECTORY else ("--directory", str(directory))
    for service in services:
        state = "answering" if service.answering else "running" if service.running else "not running"
        click.echo(f"{service.name}: {state} at {service.address} (pid {service.pid})")
    if lines := exports(environment(services)):
        click.echo("\n".join(["", "In every terminal that shall use them:", *lines]))
        click.echo(f"To stop them (their data stay): {typed('stack', 'down', *elsewhere)}")
    else:
        click.echo(f"To start them: {typed('stack', 'up', *elsewhere)}")
