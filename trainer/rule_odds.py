"""Rules as features: what each rule's score adds to the log odds of state and event tasks.

A score is taken in units of its lowest severity and squashed; where the row says nothing of a rule, its own flag says
so. Each task has one slope per rule, class and kind of input, zero at the start.

N rows, R rules, F = 2 R inputs, C classes.
"""

import torch
from torch import Tensor, nn

from schemas.layout import Layout


class RuleOdds(nn.Module):
    """Slopes of all tasks; none where rules are no features."""

    per_unit_R: Tensor

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        rules = layout.monitor.rules if layout.monitor.knowledge.features else ()
        units = [min((s for s in rule.severities.values() if s > 0), default=1.0) for rule in rules]
        self.register_buffer("per_unit_R", torch.tensor(units, dtype=torch.float64).reciprocal(), persistent=False)
        tasks = layout.classes.values() if rules else ()
        self.slopes = nn.ModuleList(_Slopes(2 * len(rules), len(names)) for names in tasks)
        places = [rule.name for rule in rules]
        self._own = [places.index(task.target.rule) if task.target and rules else None for task in layout.states]

    def forward(self, odds: tuple[Tensor, ...], score_NR: Tensor | None) -> tuple[Tensor, ...]:
        """Log odds, per task [N, C], with what the scores add, [N, R] float64; NaN = nothing is said of the rule."""
        if not self.slopes or score_NR is None:
            return odds
        unknown_NR = score_NR.isnan()
        squashed_NR = torch.where(unknown_NR, 0.0, score_NR * self.per_unit_R).asinh()
        inputs_NF = torch.cat([squashed_NR, unknown_NR.to(squashed_NR.dtype)], -1).float()
        return tuple(prior_NC + slopes(inputs_NF) for prior_NC, slopes in zip(odds, self.slopes, strict=True))

    def falling(self, state: int) -> Tensor:
        """By how much a state task's slopes in its target's rule fall from one class to the next, a scalar."""
        slopes, own = self.slopes[state], self._own[state]
        assert isinstance(slopes, _Slopes)
        assert own is not None
        return torch.relu(-slopes.slope_FC[own].diff()).sum()


class _Slopes(nn.Module):
    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.slope_FC = nn.Parameter(torch.zeros(inputs, classes))

    def forward(self, inputs_NF: Tensor) -> Tensor:
        return inputs_NF @ self.slope_FC
