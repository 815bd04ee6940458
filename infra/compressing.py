"""`models compress`: what can be left out of a version, or said in fewer bytes, without any task losing by it.

B rows of a step.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import structlog
import torch

from infra.fitting.options import FitOptions
from infra.fitting.read import layout_of, read_history
from infra.weights import weights_of, write
from schemas.errors import InputError
from schemas.layout import Layout
from trainer.chapter import Chapter, chapter_of
from trainer.fit import Fit
from trainer.history import Piece, Stream
from trainer.judging import judge
from trainer.network import Network
from trainer.pruning import narrower
from trainer.rows import pack
from trainer.weights import load_weights, save_weights, widths_below

_log = structlog.get_logger(__name__)
MOST = 0.005
"""Of a task's validation loss: what a step that makes it grow by more is refused for."""
SIZES = (32, 512)
_CHAPTERS = 8
"""Steps' worth of rows that say which units matter."""
_SHARES = (0.875, 0.75, 0.5, 0.25)
"""Of the width, that are tried one after the other; each is what the narrower widths begin from."""
_ROUNDS = 15
_PASSES = 20
"""Steps of one network before it is the other's turn."""
Change = Callable[[bytes], bytes]
"""From a file to a smaller one."""
Pieces = tuple[Sequence[Piece], Sequence[Piece]]
"""Of history: those learned from, those judged."""


@dataclass(frozen=True, slots=True)
class Step:
    """One way of making a network smaller, tried on what the steps before it left.

    Attributes:
        name: what was done.
        kept: whether it stands.
        why: in words, where it does not.
        losses: per task, on the validation part, afterwards.
        file_bytes: of the file, afterwards.
    """

    name: str
    kept: bool
    why: str
    losses: Mapping[str, float]
    file_bytes: int


@dataclass(frozen=True, slots=True)
class Size:
    """What a network costs.

    Attributes:
        file_bytes: of its safetensors file.
        parameters: numbers that learning moves.
        state_bytes: per entity, part by part.
        events_per_second: by rows of a step, one thread.
    """

    file_bytes: int
    parameters: int
    state_bytes: Mapping[str, int]
    events_per_second: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Compressed:
    """What came of it.

    Attributes:
        losses: per task on the validation part, before anything was done.
        steps: in the order they were tried.
        before: what the network cost.
        after: what it costs now.
        content: the file's bytes.
    """

    losses: Mapping[str, float]
    steps: Sequence[Step]
    before: Size
    after: Size
    content: bytes


def compress(options: FitOptions, model: str) -> Compressed:
    """Try each step on a version or file; the result is written to `options.output`.

    Units are left out only where all modalities have the same cell.

    What is learned from says which units matter, and tunes those that stay; what is kept aside judges.

    Args:
        options: what was asked for; `passes` are the epochs that tune a narrower network, 0: none.
        model: a version or a file.

    Raises:
        ConfigError: the monitor is wrong.
        InputError: a file cannot be read, or holds nothing to judge by.
        ModelError: the weights are of another kind.
    """
    torch.set_num_threads(1)
    layout, outcomes = layout_of(options)
    weights = weights_of(layout, model)
    content = weights.content
    load_weights(layout, content, weights.source)  # what does not fit is refused before history is read
    history = read_history(options.files, layout, outcomes, options.seed)
    judged = history.judged(layout)
    if not judged:
        raise InputError(f"got no entity to judge by among {history.rows} rows; expected more of them")
    losses = judge(load_weights(layout, content), judged).losses
    unjudged = [task.name for task in layout.tasks if task.name not in losses]
    if unjudged:
        _log.warning("no unit is left out: of these tasks nothing says what that would cost them", tasks=unjudged)
    steps: list[Step] = []
    smaller = content
    pieces = history.learned(layout), judged
    for ladder in _ladders(layout, content, pieces, options.seed, whole=bool(unjudged)):
        for name, change in ladder:
            candidate = change(smaller)
            steps.append(_step(name, candidate, losses, judge(load_weights(layout, candidate), judged).losses))
            if not steps[-1].kept:
                break
            smaller = candidate
    streams = [stream for stream, _ in history.kept]
    before, after = _sizes(layout, (content, smaller), streams)
    if options.output is not None:
        write(options.output, smaller)
    return Compressed(losses, steps, before, after, smaller)


def _ladders(
    layout: Layout, content: bytes, pieces: Pieces, seed: int, *, whole: bool
) -> Iterator[Iterable[tuple[str, Change]]]:
    """Steps by name, those that cost nothing first; of each ladder the first that is refused is the last.

    `whole`: no unit is left out.
    """
    network = load_weights(layout, content)
    if network.private is not None and not any(network.detached):
        yield [("private paths left out", lambda smaller: save_weights(_shared(load_weights(layout, smaller))))]
    yield [
        (f"units left out, width {width}", _cut(layout, pieces, seed, width)) for width in _widths(network) if not whole
    ]
    yield [("matrices in int8", lambda smaller: save_weights(load_weights(layout, smaller), int8=True))]


def _widths(network: Network) -> list[int]:
    """Those to try, widest first; none where modalities have different cells, see trainer/units."""
    if network.layout.cell is None:
        return []
    model = network.layout.monitor.model
    valid = widths_below(model)
    asked = (next((width for width in valid if width <= share * model.width), None) for share in _SHARES)
    return [width for width in dict.fromkeys(asked) if width is not None]


def _cut(layout: Layout, pieces: Pieces, seed: int, width: int) -> Change:
    """Leaves units out down to a width, and tunes what is left."""

    def cut(content: bytes) -> bytes:
        network = narrower(load_weights(layout, content), list(_chapters(pieces[0], layout, seed)), width)
        fit = Fit(network, layout, *pieces, seed)
        for _ in range(layout.monitor.fitting.epochs):
            fit.epoch()
        return save_weights(network)

    return cut


def _chapters(learned: Sequence[Piece], layout: Layout, seed: int) -> Iterator[Chapter]:
    """Pieces drawn at random, as in steps of fitting."""
    rng, size = np.random.default_rng(seed), layout.monitor.fitting.pieces_per_step
    drawn = [learned[place] for place in rng.permutation(len(learned))[: _CHAPTERS * size].tolist()]
    for first in range(0, len(drawn), size):
        yield chapter_of(drawn[first : first + size], layout, rng)


def _shared(network: Network) -> Network:
    """Without the private paths, which serve no task: they only tell a learner whether sharing hurts."""
    network.private = None
    return network


def _step(name: str, content: bytes, before: Mapping[str, float], losses: Mapping[str, float]) -> Step:
    worse = {task: losses[task] - loss for task, loss in before.items() if losses[task] - loss > MOST * abs(loss)}
    why = ", ".join(f"{task} {before[task]:.4f} -> {losses[task]:.4f}" for task in worse)
    return Step(name, not worse, why, losses, len(content))


def _sizes(layout: Layout, contents: Sequence[bytes], streams: Sequence[Stream]) -> list[Size]:
    networks = [load_weights(layout, content).eval() for content in contents]
    speeds = {size: _speeds(networks, streams, size) for size in SIZES}
    return [
        Size(
            file_bytes=len(content),
            parameters=sum(weight.numel() for weight in network.parameters()),
            state_bytes={name: part.nbytes for name, part in network.initial(1).items()},
            events_per_second={size: speeds[size][place] for size in SIZES},
        )
        for place, (content, network) in enumerate(zip(contents, networks, strict=True))
    ]


@torch.inference_mode()
def _speeds(networks: Sequence[Network], streams: Sequence[Stream], b: int) -> list[float]:
    """Events a second of each network in steps of b rows; the networks take turns, the median turn counts."""
    taken = [streams[place % len(streams)] for place in range(b)]
    values = np.stack([stream.values[-1] for stream in taken])
    vectors = {name: np.stack([stream.vectors[name][-1] for stream in taken]) for name in taken[0].vectors}
    time_ms = np.array([stream.time_ms[-1] for stream in taken])
    rows, *_ = pack(np.arange(b), values, time_ms, networks[0].layout, vectors)
    seconds: list[list[float]] = [[] for _ in networks]
    for _ in range(_ROUNDS):
        for network, turns in zip(networks, seconds, strict=True):
            state = network.initial(rows.waves[0])
            started = time.perf_counter()
            for _ in range(_PASSES):
                network(rows, state)
            turns.append(time.perf_counter() - started)
    return [b * _PASSES / median(turns) for turns in seconds]
