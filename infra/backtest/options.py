"""What a backtest was asked for, checked."""

from dataclasses import dataclass
from pathlib import Path

from infra.backtest.reveals import Delay
from ingest.part import LABEL
from ingest.table import header
from ingest.wide import expand
from schemas.errors import ConfigError, InputError
from schemas.horizon import Horizon

_SEEDS = 2**63


@dataclass(frozen=True, slots=True)
class Options:
    """A backtest's settings. `monitor` None: `--auto`. `model`: fresh, a version number, or a file.

    `entity` and `time` name the files' columns; None: as the monitor does.
    """

    monitor: str | None
    files: tuple[Path, ...]
    learn: bool = True
    horizons: tuple[Horizon, ...] | None = None
    seed: int = 0
    model: str = "fresh"
    standardise_rows: int | None = None
    score_from: int = 0
    labels: str = "none"
    label_delay: Delay = 0
    outcomes: Path | None = None
    entity: str | None = None
    time: str | None = None

    @property
    def keys(self) -> dict[str, str]:
        """The columns that it names, by what they hold."""
        return {key: name for key, name in (("entity", self.entity), ("time", self.time)) if name is not None}

    def __post_init__(self) -> None:
        if not 0 <= self.seed < _SEEDS:
            raise ConfigError("command line", "--seed", self.seed, f"a number from 0 to {_SEEDS - 1}")
        for file in self.files:
            if not file.exists():
                raise InputError(f"{file}: got no such file; expected CSV or Parquet, or a folder of them")
        for key, name in self.keys.items():
            if name == LABEL:
                raise ConfigError("command line", f"--{key}", name, "another column than that of labels")
        if self.entity is not None and self.entity == self.time:
            raise ConfigError("command line", "--time", self.time, "another column than that of entities")
        for file in expand(self.files) if self.entity is not None else ():
            if self.entity not in (names := header(file)):
                raise InputError(f"{file}: expected a column {self.entity!r} of entities, got columns {names[:20]}")
        if self.label_delay and self.labels == "none":
            raise ConfigError("command line", "--label-delay", str(self.label_delay), "--labels online beside it")
        if self.labels == "online" and not self.learn:
            raise ConfigError("command line", "--labels", self.labels, "none, or --learn: nothing learns from them")
