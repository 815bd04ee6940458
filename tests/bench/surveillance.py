"""`python -m tests.bench.surveillance`: one network for behaviour and suspicion against a detector for each.

Generated scenes; the last cameras are never learned from. Clips start from a blank state. N rows, C classes.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from infra.feeds.scenes import Shot, picture, shots
from infra.settings import load_monitor
from ingest.vectors import derived, read_frame
from schemas.layout import Layout
from schemas.observation import Field, Int64
from trainer.network import Network
from trainer.rows import Rows, pack

_CLIP, _BATCH = 24, 8
"""Frames of a clip, clips of a step."""
_TESTED = 3
"""Cameras that are judged only."""
_RATE = 3e-3


@dataclass(frozen=True, slots=True)
class Clips:
    """Frames of clips, and the class of each frame for each of the two tasks, [N, 2]."""

    clip: Int64
    time_ms: Int64
    frame: Field
    classes: Int64

    def pick(self, clips: Sequence[int]) -> "Clips":
        """Some of them, numbered anew."""
        rows = np.concatenate([np.flatnonzero(self.clip == each) for each in clips])
        number = np.unique(self.clip[rows], return_inverse=True)[1]
        return Clips(number, self.time_ms[rows], self.frame[rows], self.classes[rows])

    def packed(self, layout: Layout) -> tuple[Rows, Tensor]:
        """As the network takes them, and the packed row of each frame."""
        vectors = {"camera": self.frame}
        rows, order, _ = pack(self.clip, derived(self.frame), self.time_ms, layout, vectors)
        return rows, torch.from_numpy(order)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.surveillance", description=__doc__)
    parser.add_argument("--cameras", type=int, default=43)
    parser.add_argument("--seconds", type=float, default=300.0, help="of each camera")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for sharing in ("hard", "twins"):
        layout = _layout(sharing, arguments.seed)
        clips = _clips(list(shots(arguments.cameras, arguments.seconds, arguments.seed, faults=False)), layout)
        learned, judged = _split(clips, arguments.cameras)
        started = time.process_time()
        network = _train(Network(layout), learned, arguments.epochs, np.random.default_rng(arguments.seed))
        seconds = time.process_time() - started
        found = dict(zip(layout.classes, _judge(network, judged), strict=True))
        weights = sum(weight.numel() for weight in network.parameters())
        print(json.dumps({"sharing": sharing, **found, "weights": weights, "cpu_seconds": round(seconds, 1)}))


def _layout(sharing: str, seed: int) -> Layout:
    monitor = load_monitor("surveillance", {})
    model = monitor.model.model_copy(update={"sharing": sharing, "seed": seed})
    return Layout(monitor.model_copy(update={"model": model}))


def _clips(taken: list[Shot], layout: Layout) -> list[tuple[str, Clips]]:
    """Camera by camera, cut into clips."""
    taken.sort(key=lambda shot: (shot.camera, shot.time_ms))
    return [(camera, _clips_of(list(mine), layout)) for camera, mine in groupby(taken, key=lambda shot: shot.camera)]


def _clips_of(mine: list[Shot], layout: Layout) -> Clips:
    whole = mine[: len(mine) // _CLIP * _CLIP]
    shape, classes = layout.vectors["camera"].shape, list(layout.classes.values())
    frames = [read_frame(picture(shot.frame), "png", shape) for shot in whole]
    told = [(classes[0].index(shot.behaviour), int(shot.suspicious)) for shot in whole]
    times = np.array([shot.time_ms for shot in whole], dtype=np.int64)
    return Clips(np.arange(len(whole)) // _CLIP, times, np.stack(frames), np.array(told, dtype=np.int64))


def _split(clips: list[tuple[str, Clips]], cameras: int) -> tuple[Clips, Clips]:
    return _joined([each for _, each in clips[: cameras - _TESTED]]), _joined([each for _, each in clips[-_TESTED:]])


def _joined(parts: Sequence[Clips]) -> Clips:
    starts = np.cumsum([0, *(part.clip.max() + 1 for part in parts)])
    clip = np.concatenate([part.clip + start for part, start in zip(parts, starts, strict=False)])
    return Clips(clip, *(np.concatenate([getattr(part, name) for part in parts]) for name in Clips.__slots__[1:]))


def _train(network: Network, clips: Clips, epochs: int, rng: np.random.Generator) -> Network:
    """Both tasks' cross-entropies, alike."""
    optimiser = torch.optim.AdamW(network.parameters(), _RATE)
    for chosen in _steps(int(clips.clip.max()) + 1, epochs, rng):
        part = clips.pick(chosen)
        logits, class_N2 = _answer(network.train(), part), torch.from_numpy(part.classes)
        loss = sum(
            (functional.cross_entropy(each, class_N2[:, task]) for task, each in enumerate(logits)), torch.zeros(())
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network


def _steps(clips: int, epochs: int, rng: np.random.Generator) -> Iterator[list[int]]:
    for _ in range(epochs):
        order = rng.permutation(clips)
        yield from (order[start : start + _BATCH].tolist() for start in range(0, clips, _BATCH))


def _answer(network: Network, clips: Clips) -> list[Tensor]:
    """Each task's logits, [N, C]."""
    rows, order = clips.packed(network.layout)
    state = network.initial(rows.waves[0])
    outputs, _ = network(rows, state | {"hidden": state["hidden"].float()})
    return [logits[order] for logits in outputs.states]


@torch.no_grad()
def _judge(network: Network, clips: Clips) -> list[float]:
    """Balanced accuracy of each task."""
    answers = [logits.argmax(-1).numpy() for logits in _answer(network.eval(), clips)]
    return [_balanced(answer, clips.classes[:, task]) for task, answer in enumerate(answers)]


def _balanced(answer_N: Int64, class_N: Int64) -> float:
    return round(float(np.mean([(answer_N[class_N == each] == each).mean() for each in np.unique(class_N)])), 3)


if __name__ == "__main__":
    main()
