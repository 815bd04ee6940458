"""One pass of the network over packed rows, in numpy; without a network, persistence and statistics.

N packed rows, E packed entities, S signals, S_t targets, H horizons, Q quantiles, C classes, K tasks, M modalities.
"""

from dataclasses import dataclass

import numpy as np
import torch

from schemas.layout import Layout
from schemas.observation import Field, Float64
from schemas.prediction import Float32
from trainer.network import Network, Outputs
from trainer.rows import Rows
from trainer.rule_inputs import Known, known_of
from trainer.statistics import Observed, Statistics


@dataclass(frozen=True, slots=True)
class Served:
    """What serving knows of each packed row.

    Attributes:
        rows: the rows.
        observed: their statistics (model scale).
        anomaly_head: the network's opinion in [0, 1]; 0 without a network, [N].
        expected: what had been forecast for the row, model scale, NaN none, [N, S_t].
        residual: standardised forecast error of the row, NaN none, [N, S_t].
        forecast: model scale, NaN for a signal never seen, [N, S_t, H, Q].
        states: class probabilities per state and event task; 0 without a network, [N, C].
        floors: of each monotone state task what "at least so bad" may not fall below, [N, C]; None of the others.
        known: what rules may look at.
        taught: per state and event task, has the network seen enough of it to warn by it?
        state: the network's state after each entity's last row.
        attention: each task's, [N, K, 1 + M]; NaN of a task answered by its private path; None without a network.
        affinity: how much each task looks at each, [N, K, K]; NaN and None as there.
    """

    rows: Rows
    observed: Observed
    anomaly_head: Float32
    expected: Float64
    residual: Float64
    forecast: Float64
    states: tuple[Float32, ...]
    floors: tuple[Float32 | None, ...]
    known: Known
    taught: tuple[bool, ...]
    state: dict[str, Field]
    attention: Float32 | None = None
    affinity: Float32 | None = None


class Server:
    """Runs whichever network it is handed.

    Args:
        layout: order of signals and tasks.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._statistics = Statistics(layout)
        names = [task.name for task in layout.states]
        self._monotone = {names.index(name) for name in layout.monitor.knowledge.monotone}

    @torch.inference_mode()
    def serve(self, network: Network | None, rows: Rows, state: dict[str, Field]) -> Served:
        """One pass. `state` is that of the packed entities, [E, ...]."""
        tensors = {name: torch.from_numpy(value) for name, value in state.items()}
        if network is None:
            return self._persist(rows, tensors)
        outputs, after = network(rows, tensors)
        return Served(
            rows=rows,
            observed=outputs.observed,
            anomaly_head=torch.sigmoid(outputs.anomaly_N).numpy(),
            expected=outputs.expected_NS.numpy(),
            residual=outputs.residual_NS.numpy(),
            forecast=outputs.forecast_NSHQ.numpy(),
            known=known_of(rows, outputs.observed, self._layout),
            states=tuple(torch.softmax(logits, -1).numpy() for logits in outputs.states),
            floors=tuple(self._floor(place, outputs, network) for place in range(len(outputs.states))),
            taught=tuple(
                not task.severities or network.standing.taught(k) for k, task in enumerate(self._layout.choices)
            ),
            state={name: value.numpy() for name, value in after.items()},
            attention=_of_shared(outputs.attention_NKM, network),
            affinity=_of_shared(outputs.affinity_NKK, network),
        )

    def _floor(self, place: int, outputs: Outputs, network: Network) -> Float32 | None:
        if place not in self._monotone:
            return None
        floor_NC: Float32 = network.standing.floors(place)[outputs.standing[place]].numpy()
        return floor_NC

    def _persist(self, rows: Rows, state: dict[str, torch.Tensor]) -> Served:
        layout, task = self._layout, self._layout.forecast
        observed = self._statistics.observe(state["statistics"], rows)
        n, targets = len(rows.time_N), layout.n_targets
        last_NS = observed.last_NS[:, :targets]
        expected_NS = rows.before(last_NS, state["expected"])
        flat = last_NS[..., None, None].expand(n, targets, len(task.horizons), len(task.quantiles))
        after = {
            "statistics": observed.statistics_EFS,
            "expected": rows.final(last_NS, state["expected"]),
            "spread": rows.final(observed.scale_NS[:, :targets], state["spread"]),
        }
        return Served(
            rows=rows,
            observed=observed,
            anomaly_head=np.zeros(n, dtype=np.float32),
            expected=expected_NS.numpy(),
            residual=np.full((n, targets), np.nan),
            forecast=flat.numpy(),
            known=known_of(rows, observed, self._layout),
            states=tuple(np.zeros((n, len(names)), dtype=np.float32) for names in layout.classes.values()),
            floors=(None,) * len(layout.classes),
            taught=(False,) * len(layout.classes),
            state={name: value.numpy() for name, value in after.items()},
        )


def _of_shared(looked_NKX: torch.Tensor, network: Network) -> Float32:
    """Where tasks looked: nowhere, if a private path answered instead of the shared network that did look."""
    looked: Float32 = looked_NKX.numpy()
    if any(network.detached):
        looked = np.where(np.array(network.detached)[:, None], np.float32(np.nan), looked)
    return looked
