"""How long a version takes from the passed gate to serving, and what a shadow costs the shard that it runs in.

python -m tests.bench.champion [--publishes 60] [--database URL]
"""

import argparse
import tempfile
import threading
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch

from infra.assembly import shard_parts, utc_now
from infra.database import connect, migrate
from infra.registry import SqlRegistry
from schemas.layout import Layout
from schemas.monitor import Monitor
from scorer.ledger import SqlLedger
from scorer.run import run
from scorer.serving import ServingModels
from scorer.shard import SnapshotPolicy
from tests.laws.ward import TOPIC, WARD, batch, stream
from trainer.network import Network
from trainer.weights import save_weights

_BATCH_SECONDS = 0.02
"""A shard looks between batches only: about as long as one takes at 2,000 events/s."""
_ROWS, _ENTITIES, _REPEATS = 40_000, 400, 3


class _Rows:
    """A source of one partition, in batches of so many rows."""

    def __init__(self, size: int) -> None:
        entity, values, time_ms = stream(_ROWS, _ENTITIES, 0)
        cuts = range(0, _ROWS, size)
        self._batches = [
            batch(entity[at : at + size], values[at : at + size], time_ms[at : at + size], at) for at in cuts
        ]

    def batches(self, owner):
        owner.adopt([TOPIC])
        yield from self._batches

    def globals(self):
        return ()

    def dead_letter(self, letters):
        pass


def _layout(shadow_rows: int = 0) -> Layout:
    return Layout(Monitor.model_validate(WARD | {"training": {"shadow_rows": shadow_rows}}))


def _taken_up(url: str, publishes: int, directory: Path) -> list[float]:
    """Seconds from the call that publishes to the shard's next batch being scored by the version."""
    engine, layout, rng = connect(url), _layout(), np.random.default_rng(0)
    migrate(engine)
    registry = SqlRegistry(engine, "champion", directory, utc_now)
    weights = save_weights(Network(layout))
    registry.publish_first(weights)
    serving, seen, done = ServingModels(layout, registry, time.monotonic), {}, threading.Event()

    def shard() -> None:
        torch.set_num_threads(1)
        while not done.is_set():
            serving.refresh()
            seen.setdefault(serving.version(), time.monotonic())
            time.sleep(_BATCH_SECONDS)

    thread = threading.Thread(target=shard)
    thread.start()
    passed = {}
    for _ in range(publishes):
        time.sleep(rng.uniform(0.6, 1.2))
        begun = time.monotonic()
        passed[registry.publish(weights, None, {}).version] = begun
    time.sleep(1.5)
    done.set()
    thread.join()
    engine.dispose()
    return [seen[version] - begun for version, begun in passed.items()]


def _events_per_second(size: int, *, configured: bool, shadow: bool) -> float:
    with tempfile.TemporaryDirectory() as folder:
        engine, layout = connect(f"sqlite:///{folder}/bellwether.db"), _layout(10 * _ROWS if configured else 0)
        migrate(engine)
        registry = SqlRegistry(engine, "ward", Path(folder), utc_now, layout.monitor.training.shadow_rows)
        weights = save_weights(Network(layout))
        registry.publish_first(weights)
        if shadow:
            registry.publish(weights, 1, {})
        ledger = SqlLedger(engine, "ward", "c", "o", utc_now, timedelta(seconds=9), lambda _: "t")
        policy, shadows = SnapshotPolicy(None, timedelta(days=1)), registry if configured else None
        parts = shard_parts(layout, ledger, registry, policy, shadows=shadows)
        source, begun = _Rows(size), time.perf_counter()
        for _ in run(source, parts.shard, parts.pipeline):
            pass
        seconds = time.perf_counter() - begun
        engine.dispose()
    return _ROWS / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--publishes", type=int, default=60)
    parser.add_argument("--database", help="default: an SQLite file")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        waits = _taken_up(asked.database or f"sqlite:///{folder}/bellwether.db", asked.publishes, Path(folder))
    half, most, worst = np.percentile(waits, [50, 99, 100])
    print(f"gate passed to serving, {len(waits)} versions: p50 {half:.2f} s, p99 {most:.2f} s, worst {worst:.2f} s")
    for size in (64, 2000):
        off, waiting, beside = (
            max(_events_per_second(size, configured=configured, shadow=shadow) for _ in range(_REPEATS))
            for configured, shadow in ((False, False), (True, False), (True, True))
        )
        print(
            f"batches of {size}: {off:,.0f} events/s without shadows, {waiting:,.0f} while none runs, "
            f"{beside:,.0f} beside one ({off / beside:.2f}x)"
        )


if __name__ == "__main__":
    main()
