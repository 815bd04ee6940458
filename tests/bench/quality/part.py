"""A part of the table: what measures it, how often, how long that takes, and what its figures should be."""

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from tests.bench.quality.aim import Aim
from tests.bench.quality.table import Measured


class Measure(Protocol):
    """One run. `folder` is empty and its own; a quick one takes a small part of the data."""

    def __call__(self, shared: Path, folder: Path, seed: int, *, quick: bool) -> Measured: ...


@dataclass(frozen=True, slots=True)
class Part:
    """One of the parts.

    Attributes:
        measure: figures of bellwether and of baselines, for one seed.
        minutes: of one run, on two cores.
        aims: patterns of metrics, without the part's name -> what they should be; the first that fits counts.
        once: why one run says all; empty: it is run for several seeds.
    """

    measure: Measure
    minutes: float
    aims: Mapping[str, Aim]
    once: str = ""

    def runs(self, seeds: int) -> int:
        """How many there are."""
        return 1 if self.once else seeds

    def said(self, seeds: int) -> str:
        """The same in words."""
        return f"1 run, {self.once}" if self.once else f"{seeds} run{'s' * (seeds > 1)}, a seed each"


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs of parts, each a JSON file as soon as it has ended; one whose file is there is not run again."""

    folder: Path
    shared: Path
    quick: bool

    def missing(self, name: str, part: Part, seeds: int) -> list[int]:
        """Seeds of which there is no file."""
        return [seed for seed in range(part.runs(seeds)) if not self._file(name, seed).exists()]

    def of(self, name: str, part: Part, seed: int) -> Measured:
        """That of a seed: read, or measured and written."""
        file = self._file(name, seed)
        if not file.exists():
            began = time.perf_counter()
            with tempfile.TemporaryDirectory(prefix="bellwether-quality-") as folder:
                found = part.measure(self.shared, Path(folder), seed, quick=self.quick)
            told = {"seconds": round(time.perf_counter() - began), **asdict(found)}
            file.write_text(json.dumps(told, indent=1), encoding="utf-8")
        read = json.loads(file.read_text(encoding="utf-8"))
        return Measured(read["figures"], read["spread"])

    def _file(self, name: str, seed: int) -> Path:
        return self.folder / f"{name}-{seed}{'-quick' * self.quick}.json"
