"""What fitting was asked for, checked."""

from dataclasses import dataclass
from pathlib import Path

from schemas.errors import ConfigError, InputError


@dataclass(frozen=True, slots=True)
class FitOptions:
    """A fit's settings.

    Attributes:
        monitor: a shipped name or a path.
        files: wide CSV or Parquet.
        outcomes: of entities, for event tasks.
        passes: epochs at most; None: as the monitor's `fitting.epochs`.
        pretrain: epochs before, without labels; None: as the monitor's `fitting.pretrain`.
        seed: of order and injected faults.
        model: where learning starts: fresh, a version, a file, or None: the version that serves, if one does.
        transfer: the start may be of other tasks or signals; what both have is taken.
        output: the file to write instead of publishing.
        directory: of checkpoints; None: a new one in `fits/<monitor>` beside the database.
        resume: go on with the run that lies there.
        workers: processes; 0: this one, without Ray.
        gpus_per_worker: of each of them.
        ray_address: of a cluster; empty: a local Ray.
    """

    monitor: str
    files: tuple[Path, ...]
    outcomes: Path | None = None
    passes: int | None = None
    pretrain: int | None = None
    seed: int = 0
    model: str | None = None
    transfer: bool = False
    output: Path | None = None
    directory: Path | None = None
    resume: bool = False
    workers: int = 0
    gpus_per_worker: float = 0.0
    ray_address: str = ""

    def __post_init__(self) -> None:
        for file in self.files:
            if not file.exists():
                raise InputError(f"{file}: got no such file; expected CSV or Parquet, or a folder of them")
        if self.ray_address and not self.workers:
            raise ConfigError("command line", "--ray-address", self.ray_address, "--workers beside it")
        if self.gpus_per_worker and not self.workers:
            raise ConfigError("command line", "--gpus-per-worker", self.gpus_per_worker, "--workers beside it")
