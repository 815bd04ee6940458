"""The files that a backtest writes: tried before the run, which may be long, and written after it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.backtest.chart import charts
from infra.backtest.page import page
from infra.backtest.table import ScoresTable
from ingest.wide import expand
from schemas.errors import ConfigError
from schemas.observation import Float64

_SUFFIXES = {"--scores": (".parquet", ".pq"), "--report": (".json", ".html")}


@dataclass(frozen=True, slots=True)
class Outputs:
    """Scores as Parquet; the report as JSON, or as HTML by its suffix. None: not asked for."""

    scores: Path | None
    report: Path | None

    def check(self, inputs: Sequence[Path]) -> None:
        """Make the folders, and try each file without touching what it holds.

        Raises:
            ConfigError: a file cannot be written, is an input, or has a name of another kind of file.
        """
        read = {path.resolve() for path in expand(inputs, images=True)}
        for option, path in self._asked():
            if path.resolve() in read:
                raise ConfigError("command line", option, str(path), "another file than the input")
            if path.suffix not in _SUFFIXES[option]:
                expected = f"a name that ends in {' or '.join(_SUFFIXES[option])}"
                raise ConfigError("command line", option, str(path), expected)
            try:
                _try(path)
            except OSError as error:
                raise _unwritable(option, path, error) from error

    def write(self, table: ScoresTable, report: Mapping[str, Any], label: Float64 | None = None) -> None:
        """Write what was asked for; `label` is each input row's, for pictures.

        Raises:
            ConfigError: a file can no longer be written.
        """
        for option, path in self._asked():
            try:
                if option == "--scores":
                    table.write(path)
                else:
                    path.write_text(_told(path, table, report, label), "utf-8")
            except OSError as error:
                raise _unwritable(option, path, error) from error

    def _asked(self) -> list[tuple[str, Path]]:
        return [(option, path) for option, path in (("--scores", self.scores), ("--report", self.report)) if path]


def _told(path: Path, table: ScoresTable, report: Mapping[str, Any], label: Float64 | None) -> str:
    return page(report, charts(table, label)) if path.suffix == ".html" else json.dumps(report, indent=1)


def _try(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    with path.open("ab"):
        pass
    if new:
        path.unlink()


def _unwritable(option: str, path: Path, error: OSError) -> ConfigError:
    return ConfigError("command line", option, str(path), f"a file that can be written ({error.strerror or error})")
