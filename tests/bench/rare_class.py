"""What a balanced memory of labels does for a rare class: `python -m tests.bench.rare_class`.

A stream of entities in three states: sound, worn (one row in four), and broken, of which about one row in a hundred is,
in the first third of the stream only. Every row is told of. The same network learns with the memory of labels balanced
by class and regime, and with Vitter's algorithm R (1985) in its place; then it is asked about entities it never saw, of
whom all three states are told often.
"""

import argparse
from collections.abc import Iterator

import numpy as np
import torch
from sklearn.metrics import log_loss, roc_auc_score

from infra.logs import configure
from infra.memory import MemoryRegistry
from schemas.label import Label
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.observation import Batch
from tests.bench.poison import PUMPS
from tests.laws.ward import batch
from tests.laws.ward import run as answer
from trainer.hindsight import REPLAYED
from trainer.learner import Learner
from trainer.piece import Piece
from trainer.replay import Replay, Stratum

_PUMPS = PUMPS | {
    "tasks": [*PUMPS["tasks"][:2], {"name": "wear", "kind": "state", "classes": ["sound", "worn", "broken"]}]
}
_ENTITIES, _ROWS_JUDGED, _RARELY, _OFTEN = 32, 90, 0.004, 0.02


class Unbalanced(Replay):
    """Algorithm R: all share one room."""

    def stratum(self, piece: Piece, regime: int) -> Stratum:
        """The same of all."""
        return 0, frozenset()


def stream(rows: int, breaking: int, rate: float, rng: np.random.Generator) -> Iterator[tuple[Batch, np.ndarray]]:
    """Rows of all entities at one time, and their states; only before the row `breaking` does one break."""
    state = np.zeros(_ENTITIES, dtype=int)
    for row in range(rows):
        luck = rng.random(_ENTITIES)
        recovered = ((state == 1) & (luck < 0.15)) | ((state == 2) & (luck < 0.3))
        wears = (state == 0) & (luck < 0.05)
        state = np.select([recovered, wears], [0, 1], state)
        state[(rng.random(_ENTITIES) < rate) & (row < breaking)] = 2
        values = rng.normal(size=(_ENTITIES, 3))
        values += np.array([[0.0, 0.0, 0.0], [1.2, -1.2, 0.0], [-1.0, 0.0, 1.5]])[state]
        yield batch(np.arange(_ENTITIES), values, np.full(_ENTITIES, row * 60_000), row * _ENTITIES), state


def learned(rows: int, capacity: int, seed: int, *, balanced: bool) -> list[float]:
    """Area under the curve of each state against the others, and the log-loss, on entities never seen."""
    layout = Layout(Monitor.model_validate(_PUMPS | {"model": {"width": 8, "private": 0, "seed": seed}}))
    learner = Learner(layout, seed, MemoryRegistry(), labelled=True, hurried=True)
    memory = Replay if balanced else Unbalanced
    learner.hindsight._replay = memory(capacity, REPLAYED, np.random.default_rng(seed))
    for rows_now, state in stream(rows, rows // 3, _RARELY, np.random.default_rng(seed + 1)):
        learner.observe(rows_now)
        told = zip(rows_now.entity, rows_now.time_ms.tolist(), state.tolist(), strict=True)
        learner.teach([Label(entity, "wear", time_ms, value, None, "anna") for entity, time_ms, value in told])
    return _judged(learner, seed)


def _judged(learner: Learner, seed: int) -> list[float]:
    parts = list(stream(_ROWS_JUDGED, _ROWS_JUDGED, _OFTEN, np.random.default_rng(seed + 1_000)))
    entity = np.tile(np.arange(_ENTITIES), len(parts))
    values = np.concatenate([rows.values for rows, _ in parts])
    time_ms = np.concatenate([rows.time_ms for rows, _ in parts])
    state = np.concatenate([state for _, state in parts])
    cuts = range(_ENTITIES, len(entity), _ENTITIES)
    logits = answer(learner.candidate.network.eval(), entity, values, time_ms, cuts)[0]["state0"]
    given = torch.softmax(torch.as_tensor(logits), 1).numpy()
    areas = [float(roc_auc_score(state == each, given[:, each])) for each in range(3)]
    return [*areas, float(log_loss(state, given, labels=[0, 1, 2]))]


def main() -> None:
    """Print a line a memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2400)
    parser.add_argument("--capacity", type=int, default=1024, help="labelled pieces that are kept")
    parser.add_argument("--seeds", type=int, default=4)
    asked = parser.parse_args()
    configure(verbose=False)
    torch.set_num_threads(1)
    for name, balanced in {"algorithm R": False, "balanced by class and regime": True}.items():
        found = [learned(asked.rows, asked.capacity, seed, balanced=balanced) for seed in range(asked.seeds)]
        means, spread = np.mean(found, 0), np.std(found, 0)
        figures = "  ".join(f"{mean:.3f} ({sd:.3f})" for mean, sd in zip(means, spread, strict=True))
        print(f"{name:30} AUROC sound, worn, broken; log-loss: {figures}", flush=True)


if __name__ == "__main__":
    main()
