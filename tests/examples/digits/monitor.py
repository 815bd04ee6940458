"""`python -m tests.examples.digits.monitor`: the same questions asked of recorded frames, as `bellwether train` learns.

Each image is a camera of its own that takes one picture. Printed is the accuracy on images that nothing was trained or
chosen on, beside that of the commonest answer.
"""

import csv
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from infra.assembly import shard_parts
from infra.fitting.options import FitOptions
from infra.memory import MemoryLedger, MemoryRegistry
from infra.settings import load_monitor
from infra.training import train
from ingest.files import FileSource
from schemas.layout import Layout
from scorer.run import run
from scorer.shard import SnapshotPolicy
from tests.examples.digits.images import QUESTIONS, Images, split

MONITOR = Path(__file__).with_name("digits.yaml")
_START_MS = 1_700_000_000_000
_PASSES = 60


def main() -> None:
    """Record, fit, judge, print."""
    torch.set_num_threads(1)
    learned, _, rest = split(0, [600] * len(QUESTIONS))
    with tempfile.TemporaryDirectory(prefix="bellwether-digits-") as folder:
        found = accuracy(fitted(learned, _PASSES, Path(folder)), rest, Path(folder) / "rest")
    for task, class_N in zip(QUESTIONS, rest.class_KN.numpy(), strict=True):
        print(f"{task}: {found[task]:.3f} (commonest answer {np.bincount(class_N).max() / len(class_N):.3f})")


def fitted(images: Images, passes: int, folder: Path) -> bytes:
    """Weights learned from a recording of images and their labels, made in `folder`."""
    record(images, folder / "learned")
    weights = folder / "digits.safetensors"
    train(
        FitOptions(
            str(MONITOR), (folder / "learned",), passes=passes, model="fresh", output=weights, directory=folder / "run"
        ),
        lambda epoch: None,
    )
    return weights.read_bytes()


def accuracy(weights: bytes, images: Images, folder: Path) -> dict[str, float]:
    """Of each question, as served: images are recorded in `folder` and scored."""
    record(images, folder)
    layout, registry = Layout(load_monitor(str(MONITOR))), MemoryRegistry()
    registry.publish(weights, None, {})
    parts = shard_parts(layout, MemoryLedger(), registry, SnapshotPolicy(None, timedelta()), look_seconds=0.0)
    scored = [each.predictions for each in run(FileSource([folder], layout), parts.shard, parts.pipeline) if each]
    answers = [np.concatenate([each.states[task].argmax(-1) for each in scored]) for task in range(len(QUESTIONS))]
    return {
        task: float((answer_N == class_N).mean())
        for task, answer_N, class_N in zip(QUESTIONS, answers, images.class_KN.numpy(), strict=True)
    }


def record(images: Images, folder: Path) -> None:
    """As `ingest.recording` reads it; a question without a label has an empty cell."""
    folder.mkdir(parents=True)
    classes = Layout(load_monitor(str(MONITOR))).classes
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        labels = csv.writer(file)
        labels.writerow(["entity", "time", *(f"label.{task}" for task in QUESTIONS)])
        for number, (frame_CHW, class_K) in enumerate(zip(images.frame_NCHW, images.class_KN.T, strict=True)):
            camera, time_ms = f"scan-{number:04d}", _START_MS + 1000 * number
            path = folder / camera / f"{time_ms}.png"
            path.parent.mkdir()
            Image.fromarray((255.0 * frame_CHW[0]).byte().numpy()).save(path)
            labels.writerow([camera, time_ms, *_words(class_K.tolist(), list(classes.values()))])


def _words(class_K: Sequence[int], classes: Sequence[Sequence[str]]) -> list[str]:
    return [names[each] if each >= 0 else "" for each, names in zip(class_K, classes, strict=True)]


if __name__ == "__main__":
    main()
