"""`python -m tests.examples.digits`: one shared encoder for four questions against true single-task twins.

Change: of a task's accuracy on images that nothing was trained or chosen on, shared over single, in %; mean over seeds
and its standard error. Every row's networks see the same images in the same order as the twins of the same seed.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import fmean, stdev

import torch
from rich.console import Console
from rich.table import Table

from tests.examples.digits.images import QUESTIONS, Images, split
from tests.examples.digits.network import Digits
from tests.examples.digits.training import Epoch, Figures, Lesson, fit, judge
from trainer.sharing import STRATEGIES
from trainer.weighting.methods import WEIGHTINGS

TASKS = tuple(QUESTIONS)
Run = tuple[list[Epoch], dict[str, Figures], float, int]
"""(epochs, figures on the images reported on, seconds of training, number of weights)."""


def main() -> None:
    """Train and print."""
    arguments = _arguments()
    torch.set_num_threads(1)
    ways = {name: (name, None) for name in arguments.weightings}
    ways |= {f"equal, {word}": ("equal", word) for word in arguments.sharing}
    twins(Lesson(1), *split(0, arguments.labels))  # what is imported at first use is nobody's cost
    runs: dict[str, list[Run]] = {name: [] for name in ("twins", *ways)}
    for seed in range(arguments.seeds):
        train, validation, rest = split(seed, arguments.labels)
        reported = validation if arguments.choose else rest
        runs["twins"].append(
            twins(Lesson(arguments.epochs, "equal", seed, arguments.rate), train, validation, reported)
        )
        for name, (weighting, sharing) in ways.items():
            lesson = Lesson(arguments.epochs, weighting, seed, arguments.rate)
            runs[name].append(one(TASKS, lesson, sharing, (train, validation, reported)))
    console = Console(stderr=arguments.json, highlight=False)
    console.print(_changes(runs, arguments.labels), _costs(runs))
    if arguments.curves:
        for name in runs:
            console.print(_curves(name, runs[name][0][0]))
    if arguments.json:
        print(json.dumps({name: [_plain(run) for run in each] for name, each in runs.items()}))


def one(tasks: Sequence[str], lesson: Lesson, sharing: str | None, sets: Sequence[Images]) -> Run:
    """Train one network for some tasks; `sets` are trained on, chosen on, reported on."""
    rows = [TASKS.index(task) for task in tasks]
    train, validation, reported = (Images(each.frame_NCHW, each.class_KN[rows]) for each in sets)
    known = (train.class_KN >= 0).any(0)  # a twin has no use for images without its label
    network = Digits(tasks, lesson.seed, sharing)
    began = time.perf_counter()
    train = Images(train.frame_NCHW[known], train.class_KN[:, known])
    epochs = fit(network, tasks, lesson, train, validation)
    seconds = time.perf_counter() - began
    return epochs, judge(network, tasks, reported), seconds, sum(weight.numel() for weight in network.parameters())


def twins(lesson: Lesson, *sets: Images) -> Run:
    """Train a network for each task alone; costs are their sum."""
    runs = [one([task], lesson, None, sets) for task in TASKS]
    epochs = [
        Epoch(
            {task: part.train[task] for task, part in zip(TASKS, parts, strict=True)},
            {task: part.validation[task] for task, part in zip(TASKS, parts, strict=True)},
        )
        for parts in zip(*(run[0] for run in runs), strict=True)
    ]
    figures = {task: run[1][task] for task, run in zip(TASKS, runs, strict=True)}
    return epochs, figures, sum(run[2] for run in runs), sum(run[3] for run in runs)


def change(run: Run, twin: Run) -> dict[str, float]:
    """Per task, of accuracy, shared over single, in %."""
    return {task: 100.0 * (run[1][task].accuracy / twin[1][task].accuracy - 1.0) for task in TASKS}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.examples.digits", description=__doc__)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--rate", type=float, default=1e-3, help="Adam's learning rate")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--labels", type=_labels, default=[150] * len(TASKS), help="of each task, or N,N,N,N")
    parser.add_argument("--weightings", type=_words, default=list(WEIGHTINGS), help="names, separated by commas")
    parser.add_argument("--sharing", type=_words, default=list(STRATEGIES), help="the same; equal weights go with them")
    parser.add_argument("--choose", action="store_true", help="report on the validation images: to try things out")
    parser.add_argument("--curves", action="store_true", help="every epoch of the first seed")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    return parser.parse_args()


def _labels(text: str) -> list[int]:
    counts = [int(count) for count in text.split(",")]
    return counts * len(TASKS) if len(counts) == 1 else counts


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _changes(runs: Mapping[str, list[Run]], labels: Sequence[int]) -> Table:
    table = Table(title=f"accuracy of the twins, change of it in % (labels: {', '.join(map(str, labels))})")
    for column in ("", *TASKS, "mean"):
        table.add_column(column, justify="right" if column else "left")
    single = [[run[1][task].accuracy for task in TASKS] for run in runs["twins"]]
    single = [[*row, fmean(row)] for row in single]
    table.add_row("twins", *(_spread([100.0 * value for value in column], "") for column in zip(*single, strict=True)))
    for name in (name for name in runs if name != "twins"):
        changes = [list(change(*pair).values()) for pair in zip(runs[name], runs["twins"], strict=True)]
        changes = [[*row, fmean(row)] for row in changes]
        table.add_row(name, *(_spread(column, "+") for column in zip(*changes, strict=True)))
    return table


def _spread(values: Sequence[float], sign: str) -> str:
    error = stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return f"{fmean(values):{sign}.1f} ± {error:.1f}"


def _costs(runs: Mapping[str, list[Run]]) -> Table:
    table = Table(title="cost; training keeps a weight, its gradient and Adam's two moments, 16 bytes")
    for column in ("", "weights", "MB in training", "seconds", "of twins"):
        table.add_column(column, justify="right" if column else "left")
    whole = fmean(run[2] for run in runs["twins"])
    for name, each in runs.items():
        weights, seconds = each[0][3], fmean(run[2] for run in each)
        table.add_row(name, f"{weights:,}", f"{16e-6 * weights:.2f}", f"{seconds:.2f}", f"{seconds / whole:.2f}")
    return table


def _curves(name: str, epochs: Sequence[Epoch]) -> Table:
    table = Table(title=f"{name}: loss and accuracy, train / validation")
    for column in ("epoch", *TASKS):
        table.add_column(column, justify="right")
    for number, epoch in enumerate(epochs, 1):
        cells = (
            f"{train.loss:.3f} / {validation.loss:.3f}  {train.accuracy:.3f} / {validation.accuracy:.3f}"
            for train, validation in ((epoch.train[task], epoch.validation[task]) for task in TASKS)
        )
        table.add_row(str(number), *cells)
    return table


def _plain(run: Run) -> dict[str, object]:
    epochs, figures, seconds, weights = run
    reported = {task: asdict(each) for task, each in figures.items()}
    return {"epochs": [asdict(each) for each in epochs], "reported": reported, "seconds": seconds, "weights": weights}


if __name__ == "__main__":
    main()
