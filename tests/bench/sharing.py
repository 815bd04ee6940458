"""`python -m tests.bench.sharing`: what each way of sharing between tasks costs, side by side in one run.

One thread of torch on the CPU. The strategies take turns, call by call, and the fastest call of each counts: what load
takes away is not the strategy's.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping

import torch
from rich.table import Table

from infra.logs import configure
from infra.settings import load_monitor
from infra.terminal import console
from schemas.layout import Layout
from tests.bench import step
from tests.bench.systems import MONITOR
from trainer.network import Network, state_bytes
from trainer.sharing import STRATEGIES

_ROWS = 512
_TRAINED = step._WINDOWS * step._WINDOW_ROWS
Figures = dict[str, float]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.sharing", description=__doc__)
    parser.add_argument("--monitor", default=str(MONITOR), help="a shipped name or a file; the benchmark's by default")
    parser.add_argument("--turns", type=int, default=300, help="calls of each strategy; training: a fifth of them")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    arguments = parser.parse_args()
    configure(verbose=False)
    torch.set_num_threads(1)
    layouts = {word: _layout(arguments.monitor, word) for word in (*STRATEGIES, "twins")}
    figures = _measure(layouts, arguments.turns)
    console(stderr=arguments.json).print(_table(figures, layouts["hard"]))
    if arguments.json:
        print(json.dumps(figures))


def _layout(monitor: str, sharing: str) -> Layout:
    found = load_monitor(monitor, {})
    return Layout(found.model_copy(update={"model": found.model.model_copy(update={"sharing": sharing})}))


def _measure(layouts: Mapping[str, Layout], turns: int) -> dict[str, Figures]:
    cpu = torch.device("cpu")
    served = _fastest({word: step._network(layout, _ROWS, _ROWS, cpu) for word, layout in layouts.items()}, turns)
    trained = _fastest({word: step._training(layout, cpu) for word, layout in layouts.items()}, turns // 5)
    return {
        word: {
            "weights": sum(weight.numel() for weight in Network(layout).parameters()),
            "state_bytes": sum(state_bytes(layout).values()),
            "hidden_bytes": state_bytes(layout)["hidden"],
            "events_per_second": _ROWS / served[word],
            "training_rows_per_second": _TRAINED / trained[word],
        }
        for word, layout in layouts.items()
    }


def _fastest(calls: Mapping[str, Callable[[], object]], turns: int) -> dict[str, float]:
    """Seconds of each one's fastest call; the first turn warms up."""
    for call in calls.values():
        call()
    seconds: dict[str, list[float]] = {word: [] for word in calls}
    for word, call in [*calls.items()] * turns:
        began = time.perf_counter()
        call()
        seconds[word].append(time.perf_counter() - began)
    return {word: min(each) for word, each in seconds.items()}


def _table(figures: Mapping[str, Figures], layout: Layout) -> Table:
    tasks = 2 + len(layout.classes)
    title = f"{layout.monitor.monitor}: {tasks} tasks, B={_ROWS}, one thread, fastest call; in brackets: of hard's"
    table = Table(title=title)
    for name in ("sharing", "weights", "state B", "hidden", "events/s", "trained/s"):
        table.add_column(name, justify="left" if name == "sharing" else "right", no_wrap=True)
    for word, found in figures.items():
        table.add_row(word, *_cells(found, figures["hard"]))
    return table


def _cells(found: Figures, hard: Figures) -> Iterator[str]:
    for name in ("weights", "state_bytes", "hidden_bytes"):
        yield f"{found[name]:,}"
    for name in ("events_per_second", "training_rows_per_second"):
        yield f"{found[name]:,.0f} ({found[name] / hard[name]:.2f})"


if __name__ == "__main__":
    main()
