"""Files as history: each entity's stream, what became of it, and which part of it is kept aside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import structlog

from infra.backtest.monitor import with_events
from infra.fitting.options import FitOptions
from infra.fitting.trackers import refuse_missing
from infra.settings import UNCHANGED, load_monitor
from ingest.files import FileSource
from ingest.outcomes import Outcome, read_outcomes
from ingest.wide import expand
from schemas.errors import ConfigError, InputError
from schemas.label import Label
from schemas.layout import Layout
from schemas.modality import ModalityKind
from schemas.monitor import Monitor
from schemas.observation import Partition
from schemas.task import Share
from trainer.history import Piece, Stream, pieces_of, streams_of

_log = structlog.get_logger(__name__)
_BATCH_ROWS = 65_536
_LEAST_ENTITIES = 10
"""With fewer, the last rows of each are kept aside instead of whole entities."""


class Reader:
    """Reads everything from the start and owns nothing."""

    def adopt(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        """From the start."""
        return dict.fromkeys(partitions, 0)

    def release(self, partitions: Sequence[Partition]) -> None:
        """Nothing is held."""


@dataclass(frozen=True, slots=True)
class History:
    """What is fitted on.

    Attributes:
        streams: those learned from, in order of their entities' names.
        kept: those judged, and the first row of each that is.
        rows: of all files.
        files: their names.
    """

    streams: Sequence[Stream]
    kept: Sequence[tuple[Stream, int]]
    rows: int
    files: Sequence[str]

    def learned(self, layout: Layout, rank: int = 0, ranks: int = 1) -> list[Piece]:
        """A rank's pieces: every entity is one rank's.

        Raises:
            InputError: there are fewer entities than ranks.
        """
        mine = self.streams[rank::ranks]
        if not mine:
            raise InputError(
                f"got {len(self.streams)} entities to learn from; expected one for each of {ranks} workers"
            )
        return pieces_of(mine, layout)

    def judged(self, layout: Layout) -> list[Piece]:
        """The pieces of the validation part: all ranks know them all."""
        return pieces_of([stream for stream, _ in self.kept], layout, [first for _, first in self.kept])


def layout_of(options: FitOptions, over: Mapping[str, object] = UNCHANGED) -> tuple[Layout, list[Outcome]]:
    """The monitor with its event tasks and as many epochs as asked for, and the outcomes.

    Args:
        options: what was asked for.
        over: settings in place of the monitor's own, by dotted key.

    Raises:
        ConfigError: the monitor is wrong, or names a tracker that is not installed.
        InputError: the outcomes cannot be read.
    """
    outcomes = read_outcomes(options.outcomes) if options.outcomes else []
    monitor = load_monitor(options.monitor, over=over)
    monitor = with_events(monitor, outcomes, options.outcomes, share_of_events(monitor))
    refuse_missing(monitor.fitting.trackers)
    _refuse_unknown(monitor, options.monitor)
    asked = {"epochs": options.passes, "pretrain": options.pretrain}
    fitting = monitor.fitting.model_copy(update={name: most for name, most in asked.items() if most is not None})
    return Layout(monitor.model_copy(update={"fitting": fitting})), outcomes


def _refuse_unknown(monitor: Monitor, source: str) -> None:
    """Here rather than in the schema: outcomes bring tasks that the file does not name."""
    known = [task.name for task in monitor.tasks]
    for name in monitor.fitting.only:
        if name not in known:
            raise ConfigError(source, "fitting.only", name, f"one of {', '.join(known)}")


def share_of_events(monitor: Monitor) -> Share:
    """Of tasks that outcomes add: fitted again and again, what all share learns the few labels by heart.

    Only frames and vectors are nothing that a private path reads.
    """
    plain = all(modality.kind is ModalityKind.SIGNALS for modality in monitor.modalities)
    return Share.NEVER if plain and monitor.model.private else Share.AUTO


def read_history(
    files: Sequence[Path], layout: Layout, outcomes: Sequence[Outcome], seed: int, *, again: bool = False
) -> History:
    """Read files.

    Args:
        files: wide CSV or Parquet.
        layout: the monitor's columns.
        outcomes: what became of entities; their rows teach it until it was revealed.
        seed: draws the entities that are kept aside.
        again: another process read the same, and warned of what is in it.

    Raises:
        InputError: a file cannot be read, or there is nothing to learn from.
    """
    source = FileSource(files, layout, _BATCH_ROWS, labelled=True)
    if source.left_out and not again:
        _log.warning("columns left out", columns=source.left_out)
    named = {layout.anomaly.name: source.events.label, **source.events.classes}
    labels = {task: label[source.order] for task, label in named.items() if label is not None}
    told = [
        (Label(each.entity, each.task, None, each.value, each.known_until_ms), each.revealed_ms) for each in outcomes
    ]
    batches = (batch for batch in source.batches(Reader()) if batch is not None)
    found = streams_of(batches, layout, labels, told) if len(source) else {}
    _check_known({each.entity for each in outcomes}, set(found), again=again)
    streams = [found[name] for name in sorted(found)]
    learned, kept = _split(streams, layout.monitor.fitting.validation, seed)
    if not learned:
        names = ", ".join(map(str, files))
        raise InputError(
            f"{names}: got {sum(map(len, streams))} usable rows; expected enough to learn from and to judge"
        )
    return History(learned, kept, len(source), [path.name for path in expand(files, images=True)])


def _check_known(told: set[str], seen: set[str], *, again: bool) -> None:
    """Say how many entities outcomes are about that no file holds; entities' names are nobody's business."""
    if told and seen and not told & seen:
        raise InputError(f"outcomes: got {len(told)} entities; expected some of the {len(seen)} in the files")
    if seen and (strangers := told - seen) and not again:
        _log.warning("outcomes of entities that no file holds", entities=len(strangers), of=len(told))


def _split(streams: Sequence[Stream], share: float, seed: int) -> tuple[list[Stream], list[tuple[Stream, int]]]:
    if len(streams) < _LEAST_ENTITIES:
        cuts = [round(len(stream) * (1.0 - share)) for stream in streams]
        pairs = [(stream, cut) for stream, cut in zip(streams, cuts, strict=True) if 0 < cut < len(stream)]
        return [stream.until(cut) for stream, cut in pairs], pairs
    drawn = np.random.default_rng(seed).permutation(len(streams))
    aside = set(drawn[: max(round(len(streams) * share), 1)].tolist())
    learned = [stream for place, stream in enumerate(streams) if place not in aside]
    return learned, [(streams[place], 0) for place in sorted(aside)]
