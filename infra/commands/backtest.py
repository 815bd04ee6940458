"""`bellwether backtest`: history through the very same streaming code, without Kafka."""

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from infra.commands.whose import FILES
from schemas.duration import parse_duration
from schemas.horizon import Horizon, place_of


class Horizons(click.ParamType[tuple[int | timedelta, ...]]):
    """``1-24,48,15m``: rows ahead, ranges of them, and durations; 1 is always among them."""

    name = "horizons"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int | timedelta, ...]:
        """Parse, or fail with what was expected."""
        if isinstance(value, tuple):
            return value
        from pydantic import TypeAdapter, ValidationError

        parts = [each for part in str(value).split(",") for each in _spelled_out(part.strip())]
        try:
            found = TypeAdapter(list[Horizon]).validate_python(parts)
        except (ValidationError, OverflowError):
            expected = "row counts from 1 to 96, ranges of them, and durations, such as 1-24,48 or 1,6,15m"
            self.fail(f"got {value!r}; expected {expected}", param, ctx)
        return tuple(sorted({1, *found}, key=place_of))


def _spelled_out(part: str) -> list[str]:
    """``1-3`` as its members; anything else as it is. No range reaches further than the first count that is refused."""
    ends = re.fullmatch(r"(\d+)-(\d+)", part)
    rows = range(int(ends[1]), min(int(ends[2]), 97) + 1) if ends else ()
    return [str(row) for row in rows] or [part]


class Delays(click.ParamType[int | timedelta]):
    """``2h``: event time; ``5``: the entity's next rows."""

    name = "DURATION|ROWS"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | timedelta:
        """Parse, or fail with what was expected."""
        text = str(value).strip()
        if text.isdecimal():
            return int(text)
        try:
            found = parse_duration(text)
        except OverflowError:
            found = None
        if not isinstance(found, timedelta):
            self.fail(f"got {value!r}; expected a duration such as 90s, 15m, 2h, 1d, or a number of rows", param, ctx)
        return found


@click.command()
@click.argument("words", nargs=-1, metavar="[MONITOR] [FILE]...")
@click.option("--auto", is_flag=True, help="No MONITOR: every column of numbers is a signal; forecast and anomaly.")
@click.option(
    "--input",
    "files",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="CSV (.gz) or Parquet, or folders of them; several may follow.",
)
@click.option("--entity", help="Column of entities' names. Default: the monitor's, as --auto's is: entity.")
@click.option("--time", help="Column of event times. Default: the monitor's, as --auto's is: time.")
@click.option("--scores", type=click.Path(path_type=Path, dir_okay=False), help="Parquet: one row per input row.")
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="JSON, or HTML by its suffix.")
@click.option("--learn/--no-learn", default=True, show_default=True)
@click.option("--labels", type=click.Choice(["none", "online"]), default="none", show_default=True)
@click.option(
    "--label-delay",
    type=Delays(),
    default="0",
    show_default=True,
    help="How long after its row a label is revealed: 90s, 15m, 2h, 1d, or a number of the entity's rows.",
)
@click.option(
    "--outcomes",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="CSV entity,task,label,revealed_at for event tasks.",
)
@click.option("--model", default="fresh", show_default=True, help="fresh, a version of the database, or a file.")
@click.option(
    "--horizons",
    type=Horizons(),
    metavar="1-24,48,15m",
    help="Rows ahead, ranges of them, and durations, instead of the monitor's. The mean over 1..k (to_h<k>) is reported"
    " where each of 1, 2, ..., k is among them.",
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--standardise-rows", type=click.IntRange(min=2), help="Rows of the metrics' scaler. Default: the first quarter."
)
@click.option(
    "--score-from", type=click.IntRange(min=0), default=0, show_default=True, help="First row that metrics count."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report.")
def backtest(
    words: tuple[str, ...],
    files: tuple[Path, ...],
    entity: str | None,
    time: str | None,
    scores: Path | None,
    report: Path | None,
    labels: str,
    label_delay: int | timedelta,
    outcomes: Path | None,
    model: str,
    horizons: tuple[int | timedelta, ...] | None,
    seed: int,
    standardise_rows: int | None,
    score_from: int,
    *,
    auto: bool,
    learn: bool,
    as_json: bool,
) -> None:
    """Stream files through MONITOR (or --auto): score before learning, write scores, metrics and baselines."""
    monitor, more = _split(words, auto=auto)
    files += more
    from infra.backtest.options import Options
    from infra.backtest.outputs import Outputs
    from infra.backtest.run import backtest as run_backtest
    from infra.backtest.show import show

    options = Options(
        monitor=monitor,
        files=files,
        learn=learn,
        horizons=horizons,
        seed=seed,
        model=model,
        standardise_rows=standardise_rows,
        score_from=score_from,
        labels=labels,
        label_delay=label_delay,
        outcomes=outcomes,
        entity=entity,
        time=time,
    )
    outputs = Outputs(scores, report)
    outputs.check(files)
    done = run_backtest(options)
    outputs.write(done.table, done.report, done.label)
    if as_json:
        click.echo(json.dumps(done.report))
    else:
        show(done.report)
    _expect_figures(done.report, score_from)


def _expect_figures(report: Mapping[str, Any], score_from: int) -> None:
    """A report on nothing is written like any other, but a script must not go on with it."""
    from schemas.errors import InputError

    scored = report["rows_by_status"]["ok"]
    if not scored:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in report["refused"].items())
        raise InputError(
            f"got {report['rows']:,} rows, every one refused ({reasons}); expected some that can be scored"
        )
    if score_from >= scored:
        raise InputError(f"--score-from: got {score_from:,}; expected fewer than the {scored:,} rows that were scored")


def _split(words: tuple[str, ...], *, auto: bool) -> tuple[str | None, tuple[Path, ...]]:
    """The monitor, and the files that followed the first one: ``--input a.csv b.csv`` leaves b.csv among the words."""
    if auto:
        if words and (words[0].endswith(FILES) or not Path(words[0]).exists()):
            raise click.UsageError(f"expected either MONITOR or --auto, got --auto and {words[0]!r}")
        return None, tuple(map(Path, words))
    if not words:
        raise click.UsageError("expected either MONITOR or --auto")
    return words[0], tuple(map(Path, words[1:]))
