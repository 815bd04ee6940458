"""A run's directory: its manifest, the last epoch to go on from, and each task's best version."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save

from infra.fitting.read import History
from schemas.errors import ModelError
from schemas.layout import Layout
from trainer.architecture import architecture, as_told
from trainer.attachment import TaskSharing
from trainer.best import Best
from trainer.checkpoint import packed, unpacked
from trainer.fit import Epoch, Fit
from trainer.weights import differences, save_weights, unlike

MANIFEST = "manifest.json"
_DESCENT = ".pt"
"""Ending of what an epoch's next steps depend on beside its network."""
_HOW_LONG = ("epochs", "patience")
"""Settings of fitting that say when a run ends: it may go on with others."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a run is made of: another one is never continued by mistake.

    Attributes:
        architecture: what its weights are made for.
        fitting: its settings; where it is tracked does not make it another run.
        training: those of steps and faults.
        seed: of order and faults.
        files: names of what was read.
        rows: in all.
    """

    architecture: Mapping[str, Any]
    fitting: Mapping[str, Any]
    training: Mapping[str, Any]
    seed: int
    files: list[str]
    rows: int

    @property
    def digest(self) -> str:
        """Of the architecture."""
        return hashlib.sha256(json.dumps(self.architecture, sort_keys=True).encode()).hexdigest()


def run_of(layout: Layout, history: History, seed: int) -> Run:
    """What a run is made of."""
    monitor = layout.monitor
    return Run(
        architecture=architecture(layout),
        fitting=json.loads(monitor.fitting.model_dump_json(exclude={"trackers"})),
        training=json.loads(monitor.training.model_dump_json()),
        seed=seed,
        files=list(history.files),
        rows=history.rows,
    )


class Directory:
    """Reads and writes a run. Each file is whole or not there; the manifest is written last, and names the others."""

    def __init__(self, path: Path, layout: Layout, history: History, seed: int) -> None:
        self.path, self._run = path, run_of(layout, history, seed)
        self._epochs: list[dict[str, Any]] = []

    def begin(self) -> None:
        """Start over: what lies there is another run's."""
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / MANIFEST).unlink(missing_ok=True)
        for file in (*self.path.glob("*.safetensors"), *self.path.glob(f"*{_DESCENT}")):
            file.unlink()

    def resume(self, fit: Fit, best: Best) -> None:
        """Put a fit where the run stopped. With more epochs than it had, its rate rises to that of a run so long.

        Raises:
            ModelError: there is no run, or it is a longer or another one: the first difference is named; or it is of
                another width.
        """
        try:
            manifest = json.loads((self.path / MANIFEST).read_text("utf-8"))
            last = self.path / manifest["last"]
            network, descent = load(last.read_bytes()), unpacked(last.with_suffix(_DESCENT).read_bytes())
        except (OSError, ValueError, KeyError, SafetensorError, ModelError) as error:
            raise ModelError(
                f"{self.path}: got no run to resume ({type(error).__name__}); expected a manifest"
            ) from error
        self._check(manifest["run"])
        self._epochs = _epochs(manifest)
        best.epoch, best.loss, best.newest = manifest["best"]["epoch"], manifest["best"]["loss"], len(self._epochs)
        try:
            fit.network.load_state_dict(network)
            fit.descent.load_state_dict(descent)
        except (RuntimeError, ValueError) as error:
            expected = "the weights that the run began from (--model): as wide, with private paths or without"
            raise ModelError(f"{last}: got other weights; expected {expected}") from error
        fit.epochs = len(self._epochs)

    def add(self, epoch: Epoch, fit: Fit, best: Best, improved: list[str]) -> None:
        """Keep an epoch."""
        weights = save_weights(fit.network)
        for name in improved:
            self._write(f"best-{name}.safetensors", weights)
        last = f"epoch-{epoch.number:05d}.safetensors"
        self._write(last, save({name: value.cpu().contiguous() for name, value in fit.network.state_dict().items()}))
        descent = Path(last).with_suffix(_DESCENT).name
        self._write(descent, packed(fit.descent.state_dict()))
        self._epochs.append(described(epoch))
        manifest = {
            "architecture_sha256": self._run.digest,
            "run": asdict(self._run),
            "last": last,
            "best": {"epoch": best.epoch, "loss": best.loss},
            "epochs": self._epochs,
        }
        self._write(MANIFEST, json.dumps(manifest, indent=1).encode())
        for file in self.path.glob("epoch-*"):
            if file.name not in {last, descent}:
                file.unlink()

    def weights(self, name: str) -> bytes:
        """Of the epoch that was best for a task, or for all. Raises ModelError when they cannot be read."""
        path = self.path / f"best-{name}.safetensors"
        try:
            return path.read_bytes()
        except OSError as error:
            raise ModelError(f"{path}: {error.strerror}; expected the weights of a finished epoch") from error

    @property
    def epochs(self) -> list[dict[str, Any]]:
        """Every epoch so far."""
        return self._epochs

    def read(self) -> Best:
        """What another process wrote there."""
        manifest = json.loads((self.path / MANIFEST).read_text("utf-8"))
        self._epochs = _epochs(manifest)
        return Best(1, manifest["best"]["epoch"], manifest["best"]["loss"], len(self._epochs))

    def _check(self, begun: Mapping[str, Any]) -> None:
        """Raise ModelError unless it is the run that was begun, or that one made longer."""
        run, before = json.loads(json.dumps(asdict(self._run))), begun["fitting"]
        if run["fitting"]["epochs"] < before["epochs"]:
            expected = f"{before['epochs']} or more (--passes): a run can be made longer, not shorter"
            raise ModelError(f"{self.path / MANIFEST}: got {run['fitting']['epochs']} epochs; expected {expected}")
        now = {name: run["fitting"][name] for name in _HOW_LONG}
        for difference in _unlike({**begun, "fitting": {**before, **now}}, run):
            expected = "a run goes on as it began, but for epochs and patience; --model FILE begins another there"
            raise ModelError(f"{self.path / MANIFEST}: {difference}: {expected}")

    def _write(self, name: str, content: bytes) -> None:
        unfinished = self.path / f".{name}.part"
        unfinished.write_bytes(content)
        unfinished.replace(self.path / name)


def _unlike(seen: Mapping[str, Any], expected: Mapping[str, Any]) -> Iterator[str]:
    """Where two runs differ, in words."""
    there, here = seen["architecture"], expected["architecture"]
    yield from unlike(there, as_told(here, there))
    yield from differences({**seen, "architecture": None}, {**expected, "architecture": None})


def epochs_in(path: Path) -> list[dict[str, Any]]:
    """Every epoch of the run that lies in a directory; none where there is no run."""
    with suppress(OSError, ValueError, KeyError):
        found: list[dict[str, Any]] = json.loads((path / MANIFEST).read_text("utf-8"))["epochs"]
        return found
    return []


def _epochs(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A run that began before both ways were judged says nothing of sharing."""
    return [{"sharing": {}, **epoch} for epoch in manifest["epochs"]]


def described(epoch: Epoch) -> dict[str, Any]:
    """An epoch as JSON has it."""
    return {
        "epoch": epoch.number,
        "most": epoch.most,
        "losses": dict(epoch.losses),
        "weights": dict(epoch.weights),
        "gradient_norm": epoch.gradient_norm,
        "refused": epoch.refused,
        "validation": dict(epoch.validation.losses),
        "metrics": dict(epoch.validation.metrics),
        "attention": dict(epoch.attention),
        "similarity": dict(epoch.similarity),
        "ways": dict(epoch.ways),
        "sharing": {task: _ways(each) for task, each in epoch.sharing.items()},
    }


def _ways(sharing: TaskSharing) -> dict[str, Any]:
    return {name: getattr(sharing, name) for name in ("path", "shared", "private", "difference")}
