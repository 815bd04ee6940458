"""The canary set: windows of the past that are judged by and never rehearsed. Who forgets them serves nobody.

E packed entities, W windows, K tasks.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.distributed import ProcessGroup

from schemas.components import FEWEST_CANARIES
from schemas.observation import Float64
from trainer.losses import Targets, TaskLoss
from trainer.network import Network, Outputs
from trainer.past import Past, past_lesson, start_of
from trainer.weighting.ranks import gather_rows

_SURE = 2.0
"""Standard errors between what was measured and the bound."""
_CHUNK = 32
"""Windows that are judged together."""
_FAULTS_SEED = 0
LossesOf = Callable[[Network, Outputs, Targets], list[TaskLoss]]


def worsened(
    candidate: Network,
    serving: Network,
    canaries: Sequence[Past],
    losses_of: LossesOf,
    group: ProcessGroup | None,
) -> dict[str, str]:
    """Task -> by how much the candidate is worse than the bound allows. Every rank of a group calls with its own.

    Args:
        candidate: judged on all ranks' canaries.
        serving: on the same ones.
        canaries: this rank's.
        losses_of: the tasks' losses of what a network said.
        group: the ranks.
    """
    layout, bound = candidate.layout, candidate.layout.monitor.training.canary.bound
    worse_WK = gather_rows(torch.from_numpy(_worse(candidate, serving, canaries, losses_of)), group).numpy()
    found = {}
    for task, worse_W in zip(layout.tasks, worse_WK.T, strict=True):
        judged = worse_W[~np.isnan(worse_W)]
        if len(judged) >= FEWEST_CANARIES:
            mean, error = judged.mean(), judged.std(ddof=1) / np.sqrt(len(judged))
            if not mean - _SURE * error <= bound:  # NaN is no proof of health
                found[task.name] = f"loss {mean:+.3f} on {len(judged)} canary windows; the bound is {bound:g}"
    return found


@torch.no_grad()
def _worse(candidate: Network, serving: Network, canaries: Sequence[Past], losses_of: LossesOf) -> Float64:
    """Candidate's losses minus the serving version's, [W, K]; NaN where a window judges nothing."""
    layout, rng = candidate.layout, np.random.default_rng(_FAULTS_SEED)
    found = [np.empty((0, len(layout.tasks)))]
    for start in range(0, len(canaries), _CHUNK):
        lesson, statistics_EFS = past_lesson(canaries[start : start + _CHUNK], layout, rng, candidate.device)
        losses = []
        for network in (candidate, serving):
            outputs, _ = network.train()(lesson.rows, start_of(network, statistics_EFS))
            told = losses_of(network, outputs, lesson.targets)
            losses.append(torch.stack([each.by_window(lesson.window_N, lesson.windows) for each in told], 1).double())
        found.append((losses[0] - losses[1])[: lesson.fresh].cpu().numpy())
    return np.concatenate(found)
