"""What poisoned labels cost: `python -m tests.bench.poison`.

A stream of entities whose hidden state (about one row in four is bad) shows in two of three signals; five sources tell
the state of rows, some wrongly. The same network learns from the same stream under each way of poisoning, through the
label ledger as in `bellwether run`; then it is asked about entities it never saw. Clean labels stand beside.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_auc_score

from infra.memory import MemoryRegistry
from schemas.label import Annotation, Label
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.observation import Batch, Partition
from tests.laws.ward import batch
from tests.laws.ward import run as answer
from trainer.label_ledger import LabelLedger
from trainer.learner import Learner
from trainer.reliability import Sources

SOURCES = ("anna", "ben", "carl", "dora", "mallory")
PUMPS = {
    "monitor": "pumps",
    "topics": {"observations": "pumps"},
    "modalities": [{"name": "motor", "signals": [{"name": name} for name in ("rpm", "load", "heat")]}],
    "tasks": [
        {"name": "forecast", "kind": "forecast"},
        {"name": "anomaly", "kind": "anomaly"},
        {"name": "wear", "kind": "state", "classes": ["sound", "worn"]},
    ],
    "model": {"width": 8, "private": 0},
    "training": {"window": 8, "windows_per_step": 32, "learning_rate": 1e-2},
}
_ENTITIES, _TESTED = 32, 64
_TOLD = Partition("told", 0)


@dataclass(frozen=True, slots=True)
class Poison:
    """Who tells wrongly, and how often.

    Attributes:
        flipped: share of everybody's labels that are wrong.
        liar: does mallory tell the opposite, always?
        flood: how many of her labels come for one of another's.
        guarded: is a suspect source excluded?
    """

    flipped: float = 0.0
    liar: bool = False
    flood: int = 1
    guarded: bool = True


CASES = {
    "clean": Poison(),
    "5 % flipped": Poison(flipped=0.05),
    "30 % flipped": Poison(flipped=0.3),
    "one of five lies": Poison(liar=True),
    "one of five lies, unguarded": Poison(liar=True, guarded=False),
    "a liar tells twice her part": Poison(liar=True, flood=2),
    "a liar tells two thirds": Poison(liar=True, flood=8),
    "a liar tells nine tenths": Poison(liar=True, flood=36),
}


def stream(rows: int, entities: int, rng: np.random.Generator) -> Iterator[tuple[Batch, np.ndarray]]:
    """Rows of all entities at one time, and which are bad."""
    bad = np.zeros(entities, dtype=bool)
    for row in range(rows):
        bad = np.where(rng.random(entities) < np.where(bad, 0.15, 0.05), ~bad, bad)
        values = rng.normal(size=(entities, 3))
        values[:, 0] += 1.2 * bad
        values[:, 1] -= 1.2 * bad
        yield batch(np.arange(entities), values, np.full(entities, row * 60_000), row * entities), bad


def learned(poison: Poison, rows: int, seed: int) -> tuple[float, LabelLedger]:
    """Area under the curve on entities never seen, and the ledger as it ended."""
    layout = Layout(Monitor.model_validate(PUMPS | {"model": {"width": 8, "private": 0, "seed": seed}}))
    learner = Learner(layout, seed, MemoryRegistry(), labelled=True, hurried=True)
    ledger = LabelLedger(learner.hindsight, Sources({"wear": 2}))
    rng, told = np.random.default_rng(seed), np.random.default_rng(seed + 1)
    offset = 0
    for rows_now, bad in stream(rows, _ENTITIES, rng):
        learner.observe(rows_now)
        ledger.observe(rows_now)
        said = list(_said(poison, rows_now, bad, told, offset))
        offset += len(said)
        ledger.receive(said)
        ledger.report(learner.teach(ledger.due()))
        if poison.guarded:
            ledger.exclude(ledger._excluded | ledger.suspects().keys())
    return _judged(learner, seed), ledger


def _said(poison: Poison, rows: Batch, bad: np.ndarray, rng: np.random.Generator, offset: int) -> Iterator[Annotation]:
    """Every row is told of by one source; who floods tells of so many times as many as another."""
    for entity, time_ms, truth in zip(rows.entity, rows.time_ms.tolist(), bad.tolist(), strict=True):
        shares = np.array([1.0] * 4 + [float(poison.flood)])
        source = SOURCES[int(rng.choice(5, p=shares / shares.sum()))]
        wrong = rng.random() < poison.flipped or (poison.liar and source == "mallory")
        label = Label(entity, "wear", time_ms, int(truth != wrong), None, source)
        yield Annotation(label, time_ms, None, _TOLD, offset)
        offset += 1


def _judged(learner: Learner, seed: int) -> float:
    network = learner.candidate.network.eval()
    parts = list(stream(60, _TESTED, np.random.default_rng(seed + 1_000)))
    entity = np.tile(np.arange(_TESTED), len(parts))
    values = np.concatenate([rows.values for rows, _ in parts])
    time_ms = np.concatenate([rows.time_ms for rows, _ in parts])
    cuts = range(_TESTED, len(entity), _TESTED)
    logits = answer(network, entity, values, time_ms, cuts)[0]["state0"]
    return float(roc_auc_score(np.concatenate([bad for _, bad in parts]), logits[:, 1] - logits[:, 0]))


def main() -> None:
    """Print a line a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=240)
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    for name, poison in CASES.items():
        found = [learned(poison, asked.rows, seed) for seed in range(asked.seeds)]
        scores = np.array([score for score, _ in found]) * 100.0
        excluded = [", ".join(sorted(ledger._excluded)) or "nobody" for _, ledger in found]
        taught = [sum(ledger.counts.values()) for _, ledger in found]
        print(f"{name:28} AUROC {scores.mean():5.1f} ({', '.join(f'{s:.1f}' for s in scores)})", end="  ")
        print(f"labels ended {taught}, excluded: {'; '.join(excluded)}")


if __name__ == "__main__":
    main()
