"""The command line: one group whose commands are imported only when they are called."""

import importlib
import json
import sys

import click

from schemas.errors import BellwetherError

_COMMANDS = {
    "demo": "stream real data through the whole system on this machine and show the alerts",
    "run": "watch a monitor's topics until stopped",
    "produce": "send files to a topic, at a rate",
    "train": "fit a monitor's network on history and publish it",
    "tune": "search the settings of a monitor's network on history",
    "backtest": "stream history through the same code and write scores, metrics and a report",
    "check": "validate a monitor's configuration",
    "alerts": "list, show, explain, judge or watch alerts",
    "labels": "list sources of labels, exclude or include one",
    "models": "list model versions",
    "deadletters": "list or replay refused records",
    "stack": "start, stop or inspect a real Kafka and a real PostgreSQL on this machine",
}


class LazyGroup(click.Group):
    """Knows its commands by name and one line of help; imports `infra.commands.<name>` on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """All command names, in the order a newcomer meets them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command."""
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"infra.commands.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="bellwether")
@click.option("--verbose", "-v", is_flag=True, help="Log what happens, as JSON lines on standard error.")
def bellwether(*, verbose: bool) -> None:
    """Bellwether watches many entities at once and says early which of them is about to go wrong."""
    from infra.logs import configure

    configure(verbose=verbose)


def main() -> None:
    """Run the command; a known error is one line on standard error and its own exit code."""
    try:
        bellwether(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BellwetherError as error:
        _say(error)
        sys.exit(error.exit_code)


def _say(error: BellwetherError) -> None:
    if "--json" in sys.argv:
        click.echo(json.dumps({"error": type(error).__name__, "message": str(error)}), err=True)
    else:
        click.echo(f"bellwether: {error}", err=True)
