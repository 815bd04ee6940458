"""Weights that settle conflicts between the tasks' gradients, all of them functions of the Gramian alone.

What such a method promises, to first order that no task is harmed, so holds of a step of the representation; of one of
the trunk's weights it holds as far as the trunk keeps angles.

Most are torchjd's. Three problems are solved here, as its solvers for them are optional and under copyleft licences
(quadprog: GPL 2, ECOS: GPL 3) or cost milliseconds to set up (cvxpy): UPGrad's projections, CAGrad and Nash-MTL.

J judged tasks of K, L of them with a gradient.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import LinearConstraint, minimize, nnls
from torch import Tensor
from torchjd.aggregation import AlignedMTLWeighting, IMTLGWeighting, MGDAWeighting, PCGradWeighting, UPGradWeighting
from torchjd.linalg import DualConeProjector

from schemas.observation import Float64
from trainer.weighting.evidence import Again, Evidence, Setting

_RIDGE = 1e-6
"""Added to the squares of unit gradients: float32 leaves smaller eigenvalues to chance, below 0 too."""
_RADIUS = 0.5
"""c of Liu et al. (2021): how far from the mean gradient, in its own length."""
_NEWTON_STEPS, _CONVERGED = 100, 1e-9


@dataclass(frozen=True, slots=True)
class Conflict:
    """A method that reads the Gramian.

    Attributes:
        solve: (Gramian [L, L], of gradients none of which is 0) -> weights [L].
        scaled: give it the gradients times their configured weights. For methods whose answer goes along with a
            gradient's length: what they promise of conflicts then holds of the weighted losses. The others undo any
            scale, so that the configured weights are left to be multiplied afterwards.
    """

    solve: Callable[[Tensor], Tensor]
    scaled: bool = False
    reads_gradients: bool = True

    def weigh(self, step: Evidence) -> Tensor:
        """Weights, [J]. A task whose gradient is 0 is in nobody's way and weighs 1."""
        gramian_JJ = step.gradients
        if self.scaled:
            gramian_JJ = gramian_JJ * step.preference_J * step.preference_J[:, None]
        alive_J = gramian_JJ.diagonal() > 0.0
        weight_J = torch.ones_like(step.loss_J)
        if alive_J.any():
            weight_J[alive_J] = self.solve(gramian_JJ[alive_J][:, alive_J]).to(weight_J)
        return weight_J

    def learn(self, step: Evidence, _: Again, /) -> None:
        """There is no state."""


class Projector(DualConeProjector):
    """Projections onto the dual cone of the gradients, as non-negative least squares on unit gradients.

    v G v is least over v >= u where |A (u + s)| is least over s >= 0, with A'A = G. Unit gradients, because a ridge on
    the whole Gramian, as torchjd's own projector has it, gives up the promise to tasks with small gradients.
    """

    def __call__(self, U: Tensor, G: Tensor) -> Tensor:
        """Weights of the projections of U's rows, [.., L]; no gradient is 0."""
        length_L, cosine_LL = _unit(G)
        root_LL = np.linalg.cholesky(cosine_LL).T
        wished = U.detach().cpu().double().reshape(-1, len(G)).numpy() * length_L
        projected = np.stack([u_L + nnls(root_LL, -root_LL @ u_L)[0] for u_L in wished]) / length_L
        return torch.from_numpy(projected).reshape(U.shape).to(U)


def cagrad(gramian_LL: Tensor) -> Tensor:
    """Conflict-averse descent (Liu et al., 2021, equation 4 and algorithm 1), in all as long as one task's gradient."""
    g_LL, n = gramian_LL.detach().cpu().double().numpy(), len(gramian_LL)
    g_LL = g_LL / np.trace(g_LL) + _RIDGE * np.eye(n)
    mean_L = g_LL.mean(0)
    radius = _RADIUS * np.sqrt(mean_L.mean())

    def worst(w_L: Float64) -> tuple[float, Float64]:
        length = np.sqrt(w_L @ g_LL @ w_L)
        return mean_L @ w_L + radius * length, mean_L + radius * g_LL @ w_L / length

    convex, even_L = LinearConstraint(np.ones(n), 1.0, 1.0), np.full(n, 1.0 / n)
    w_L = minimize(worst, even_L, jac=True, bounds=[(0.0, 1.0)] * n, constraints=convex, method="SLSQP").x
    weight_L = even_L + radius / np.sqrt(w_L @ g_LL @ w_L) * w_L
    return torch.from_numpy(weight_L * n / (1.0 + _RADIUS))


def nash(gramian_LL: Tensor) -> Tensor:
    """The Nash bargaining solution, G a = 1 / a (Navon et al., 2022, claim 3.1); L in all.

    It is where a'Ga / 2 - sum log a is least: strictly convex and self-concordant, so that damped Newton steps
    get there from anywhere. Solved for unit gradients, as the solution goes with the inverse of their lengths.
    """
    length_L, cosine_LL = _unit(gramian_LL)
    a_L = np.ones(len(length_L))
    for _ in range(_NEWTON_STEPS):
        slope_L = cosine_LL @ a_L - 1.0 / a_L
        step_L = np.linalg.solve(cosine_LL + np.diag(a_L**-2), slope_L)
        decrement = np.sqrt(slope_L @ step_L)
        a_L = a_L - step_L / (1.0 + (decrement if decrement > 0.25 else 0.0))
        if decrement < _CONVERGED:
            break
    weight_L = a_L / length_L
    return torch.from_numpy(weight_L / weight_L.mean())


def conflict(name: str, setting: Setting) -> Conflict:
    """The method of that name. torchjd's weights of a mean become those of a sum."""
    return {
        "upgrad": Conflict(_summed(UPGradWeighting(projector=Projector())), scaled=True),
        "mgda": Conflict(_summed(MGDAWeighting())),
        "pcgrad": Conflict(_drawn(PCGradWeighting(), setting.generator), scaled=True),
        "cagrad": Conflict(cagrad, scaled=True),
        "nash-mtl": Conflict(nash),
        "aligned": Conflict(_summed(AlignedMTLWeighting())),
        "imtl-g": Conflict(_summed(IMTLGWeighting())),
    }[name]


def _summed(weighting: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda gramian_LL: weighting(gramian_LL) * len(gramian_LL)


def _drawn(weighting: Callable[[Tensor], Tensor], generator: torch.Generator) -> Callable[[Tensor], Tensor]:
    """With its random order from the generator: torchjd draws from torch's global one."""

    def weigh(gramian_LL: Tensor) -> Tensor:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
            return weighting(gramian_LL)

    return weigh


def _unit(gramian_LL: Tensor) -> tuple[Float64, Float64]:
    """The gradients' lengths, and the Gramian of unit gradients, all eigenvalues above 0."""
    g_LL = gramian_LL.detach().cpu().double().numpy()
    length_L = np.sqrt(g_LL.diagonal())
    return length_L, g_LL / np.outer(length_L, length_L) + _RIDGE * np.eye(len(g_LL))
