"""`train`: history fitted, and the best version written to a file or published, if it proved itself."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from infra.assembly import first_version, registry_of
from infra.database import connect, migrate
from infra.fitting.directory import MANIFEST, Directory
from infra.fitting.local import OnEpoch, fit_rank
from infra.fitting.options import FitOptions
from infra.fitting.read import History, layout_of, read_history
from infra.fitting.runs import directory_of_run
from infra.fitting.start import Start, start_of
from infra.registry import SqlRegistry
from infra.settings import load_monitor
from infra.standings import Standing
from infra.weights import stored, write
from ingest.outcomes import Outcome
from schemas.errors import ConfigError
from schemas.layout import Layout
from schemas.protocols import ModelRecord
from trainer.attachment import sharing_costs
from trainer.best import ALL, Best
from trainer.gate import Gate
from trainer.graft import graft
from trainer.judging import judge
from trainer.network import Network
from trainer.weights import load_weights, save_weights


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of it.

    Attributes:
        rows: of all files.
        epochs: that were learned, those of a resumed run included.
        most: that there could have been; fewer were learned where no task improved any more.
        best: per task and `ALL` the epoch whose validation loss was lowest.
        losses: of the chosen version, per task, on the validation part.
        metrics: the same for metrics.
        sharing: task -> the way by which it serves the task, as the manifest has it; empty without private paths.
        transferred: how many weights were taken over whole and in part, and how many are fresh; empty: no transfer.
        others: task -> what it asks else than the one of its name, of which nothing was taken over.
        directory: of the run.
        published: None: written to a file, or no better than the version that serves.
        compared: task -> its loss less that of what serves, and the standard error of that; empty where nothing was
            compared, and without tasks of which too little was kept aside.
    """

    rows: int
    epochs: int
    most: int
    best: Mapping[str, int]
    losses: Mapping[str, float]
    metrics: Mapping[str, float]
    sharing: Mapping[str, Mapping[str, Any]]
    transferred: Mapping[str, int]
    others: Mapping[str, str]
    directory: Path
    published: ModelRecord | None
    compared: Mapping[str, tuple[float, float]]


def train(options: FitOptions, on_epoch: OnEpoch) -> Trained:
    """Fit on files, choose the epoch whose mean validation loss is lowest, and publish it or write it to a file.

    A task that its private path serves there is served by that path of the epoch that was best for the task.

    Raises:
        ConfigError: the monitor is wrong, its versions cannot answer the tasks of the outcomes, or a run lies in the
            directory already.
        InputError: a file cannot be read, or holds too little.
        ModelError: the start, or the run to resume, is of another kind.
    """
    torch.set_num_threads(1)
    layout, outcomes = layout_of(options)
    registry = None if options.output else _registry(layout, options)
    start = start_of(layout, options, registry)
    history = read_history(options.files, layout, outcomes, options.seed)
    home = layout.monitor.database.folder / "fits" / layout.monitor.monitor
    path = directory_of_run(options.directory, home, MANIFEST, resume=options.resume)
    directory = _fit(layout, history, outcomes, start.content, path, options, on_epoch)
    best = directory.read()
    content, chosen = _chosen(layout, directory, best)
    published: ModelRecord | None = None
    compared: dict[str, tuple[float, float]] = {}
    if options.output is not None:
        write(options.output, content)
    elif registry is not None:
        published, compared = _publish(layout, history, registry, start, content, chosen)
    return Trained(
        rows=history.rows,
        epochs=len(directory.epochs),
        most=layout.monitor.fitting.epochs,
        best=best.epoch,
        losses=chosen["validation"],
        metrics=chosen["metrics"],
        sharing=chosen["sharing"],
        transferred=_transferred(start),
        others=start.transfer.others if start.transfer else {},
        directory=path,
        published=published,
        compared=compared,
    )


def _chosen(layout: Layout, directory: Directory, best: Best) -> tuple[bytes, dict[str, Any]]:
    """Weights of the epoch that was best for all, and what it was worth; each detached task at its own best epoch."""

    def best_of(task: str) -> Network | None:
        return load_weights(layout, directory.weights(task)) if task in best.epoch else None

    version = load_weights(layout, directory.weights(ALL))
    chosen = dict(directory.epochs[best.epoch[ALL] - 1])
    for task in graft(version, best_of):
        own = directory.epochs[best.epoch[task] - 1]
        metrics = {name: value for name, value in own["metrics"].items() if name.startswith(f"{task}.")}
        chosen["validation"] = chosen["validation"] | {task: own["validation"][task]}
        chosen["metrics"] = chosen["metrics"] | metrics
        chosen["sharing"] = chosen["sharing"] | {name: way for name, way in own["sharing"].items() if name == task}
    return save_weights(version, similarity=chosen["similarity"]), chosen


def _fit(
    layout: Layout,
    history: History,
    outcomes: Sequence[Outcome],
    start: bytes | None,
    path: Path,
    options: FitOptions,
    on_epoch: OnEpoch,
) -> Directory:
    if options.workers:
        from infra.fitting.ray import fit_on_ray

        fit_on_ray(layout, outcomes, start, path, options, on_epoch)
        return Directory(path, layout, history, options.seed)
    return fit_rank(layout, history, start, path, options.seed, on_epoch, resume=options.resume)


def _registry(layout: Layout, options: FitOptions) -> SqlRegistry:
    configured = {task.name for task in load_monitor(options.monitor).tasks}
    for task in layout.events:
        if task.name not in configured:
            expected = f"--output FILE: monitor {layout.monitor.monitor} names no such task, so that its shards would"
            raise ConfigError("command line", "--outcomes", task.name, f"{expected} refuse the version")
    engine = connect(layout.monitor.database.url)
    migrate(engine)
    registry = registry_of(layout.monitor, engine)
    serving = stored(registry, first_version(layout, registry))
    if not options.transfer:
        load_weights(layout, serving.content, serving.source)  # what the fit must beat: refused before it, not after
    return registry


def _transferred(start: Start) -> dict[str, int]:
    if start.transfer is None:
        return {}
    return {name: len(getattr(start.transfer, name)) for name in ("taken", "partly", "fresh")}


def _publish(
    layout: Layout,
    history: History,
    registry: SqlRegistry,
    start: Start,
    content: bytes,
    chosen: Mapping[str, Any],
) -> tuple[ModelRecord | None, dict[str, tuple[float, float]]]:
    """Publish what is better on a task and inferior on none, on the validation part, with error to spare.

    What took over a network for other tasks is held against what it took over, and serves at once: no shadow of the
    one that served until now could answer the same questions.
    """
    serving = registry.serving()
    assert serving is not None
    judged = history.judged(layout)
    beaten = registry.load(serving) if start.transfer is None or start.content is None else start.content
    candidate, before = (judge(load_weights(layout, each), judged).loss_WK for each in (content, beaten))
    gate = Gate(len(layout.tasks), len(candidate))
    gate.add(candidate, before)
    verdict = gate.verdict()
    found = zip(layout.tasks, verdict.difference_K.tolist(), verdict.error_K.tolist(), strict=True)
    compared = {task.name: (difference, error) for task, difference, error in found if not math.isnan(error)}
    if not verdict.proved:
        return None, compared
    metrics = chosen["metrics"] | load_weights(layout, content).detachments
    published = registry.publish(content, serving.version, metrics, made_by="train")
    told = [(task, each["difference"]) for task, each in chosen["sharing"].items() if each["difference"] is not None]
    costs = {name: value for task, difference in told for name, value in sharing_costs(task, difference).items()}
    registry.record_metrics(published.version, 0, history.rows, chosen["similarity"] | costs)
    if start.transfer is not None and published.status != Standing.SERVING:
        why = f"took over what v{serving.version} had in common with it"
        published = registry.promote(published.version, "train", why, anyway=True)
    return published, compared
