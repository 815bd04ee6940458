"""Where a state task stands before anything is learned: how often each class followed the one its rule is in now.

Persistence is the zero point of a forecast; this is that of a class. A head adds to these log odds what it has
learned, so that it need not spend hundreds of small steps on finding out that crises are rare and calm lasts. Where
another rule foretells more than the target's own, as the usual range of a price does of its next fall, what followed
is counted by the bands that one is in. A task that is told from outside (an event, a state without a rule) has its
base rate alone.

N rows, R rules, T state and event tasks, C classes of a task, W standings (the rule's class or band, or unknown).
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed import ProcessGroup

from schemas.layout import NO_YES, Layout
from schemas.task import Target
from trainer.rows import Rows
from trainer.rule_inputs import known_of
from trainer.rules import Rules
from trainer.statistics import Observed
from trainer.weighting.ranks import pool_sum

_STAYS = 4.0
"""Rows that a class counts as having stayed what it was before anything was counted; by another rule, the first."""
_TAUGHT = 200.0
"""Rows that must have been counted before a task may warn anybody: an even guess among three classes is 0.33."""
_LENT = 0.2
"""Share of its rows that a band lends to the next one, which lends as much of it on."""
_MEMORY = 20_000.0
"""Rows that the counts of one standing remember."""


class Standing(nn.Module):
    """Counts of what followed what, over all entities.

    Part of the weights and moved by the learner alone, as `Population` is: an output does not depend on which entities
    a shard owns. Fresh counts lean towards the class that is, counted by another rule towards the first one, so that
    nobody is alarmed before anything was counted; where a rule's class is not known, all are alike.
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self._layout = layout
        self._rules = Rules(layout)
        places = {rule.name: place for place, rule in enumerate(layout.monitor.rules)}
        targets = [task.target for task in layout.states]
        self._read = [(task, places[target.counted_by.rule]) for task, target in enumerate(targets) if target]
        for task, target in enumerate(targets):
            if target:
                cut_C = torch.tensor(target.counted_by.cuts, dtype=torch.float64)
                self.register_buffer(f"cut_C_of_{task}", cut_C, persistent=False)
        states = [_Counts(task.target, len(task.classes)) for task in layout.states]
        self.counts = nn.ModuleList([*states, *(_Counts(None, len(NO_YES)) for _ in layout.events)])

    @property
    def reads_scores(self) -> bool:
        """Does anybody read what the rules say?"""
        return bool(self._read) or self._layout.monitor.knowledge.features

    def scores(self, rows: Rows, observed: Observed) -> Tensor | None:
        """What the rules say as of each row, [N, R] float64, NaN nothing; None where nobody reads it."""
        if not self.reads_scores:
            return None
        score_NR = self._rules.standing(known_of(rows, observed, self._layout))
        return torch.from_numpy(score_NR).to(rows.time_N.device)

    def of(self, rows: Rows, score_NR: Tensor | None) -> tuple[Tensor, ...]:
        """Per task the standing of each row, [N]: its rule's class or band now; W - 1 where it says nothing."""
        n = rows.time_N.shape[0]
        standing = [torch.zeros(n, dtype=torch.int64, device=rows.time_N.device) for _ in self.counts]
        for task, rule in self._read:
            assert score_NR is not None
            cut_C, score_N = self.get_buffer(f"cut_C_of_{task}"), score_NR[:, rule].contiguous()
            reached_N = torch.bucketize(score_N, cut_C, right=True)
            standing[task] = torch.where(score_N.isnan(), len(cut_C) + 1, reached_N)
        return tuple(standing)

    def forward(self, standing: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Log odds of each task's classes, [N, C], given the standings of the rows."""
        return tuple(counts(class_N) for counts, class_N in zip(self.counts, standing, strict=True))

    def floors(self, task: int) -> Tensor:
        """How often "at least so bad" followed milder standings of a state task, [W, C]: the most of them.

        Zero for the mildest standing, and where the standing is not known.
        """
        counts = self.counts[task]
        assert isinstance(counts, _Counts)
        tail_WC = counts.share()[:-1].flip(-1).cumsum(-1).flip(-1).clamp(max=1.0)
        nothing_1C = torch.zeros_like(tail_WC[:1])
        return torch.cat([nothing_1C, tail_WC.cummax(0).values[:-1], nothing_1C])

    def taught(self, task: int) -> bool:
        """Has enough been seen of a state or event task to warn by it?"""
        counts = self.counts[task]
        assert isinstance(counts, _Counts)
        return counts.counted() >= _TAUGHT

    @torch.no_grad()
    def learn(
        self,
        standing: tuple[Tensor, ...],
        classes: tuple[Tensor, ...],
        fresh_N: Tensor,
        group: ProcessGroup | None = None,
    ) -> None:
        """Count what followed.

        Args:
            standing: per task, [N], as `of` gives it.
            classes: per task, [N]; -1 = unknown.
            fresh_N: bool; what is replayed was counted before.
            group: ranks, all of which count what each saw.
        """
        for counts, standing_N, class_N in zip(self.counts, standing, classes, strict=True):
            told_N = fresh_N & (class_N >= 0)
            assert isinstance(counts, _Counts)
            counts.add(standing_N[told_N], class_N[told_N], group)


class _Counts(nn.Module):
    """Of one task: a row for each class or band that its rule may be in, and the last for none known.

    Bands lend to their neighbours: one that was hardly ever entered says what the nearest says.
    """

    seen_WC: Tensor
    lent_WW: Tensor | None

    def __init__(self, target: Target | None, classes: int) -> None:
        super().__init__()
        banded = target is not None and target.standing is not None
        standings = 0 if target is None else len(target.counted_by.cuts) + 1
        likely = [] if target is None else _likely(target)
        seen_WC = torch.ones(standings + 1, classes)
        seen_WC[range(len(likely)), likely] += _STAYS
        self._believed = float(seen_WC.sum())
        self.register_buffer("seen_WC", seen_WC)
        self.register_buffer("lent_WW", _lent(standings) if banded else None, persistent=False)

    def share(self) -> Tensor:
        """How often each class followed each standing, [W, C]."""
        seen_WC = self.seen_WC if self.lent_WW is None else self.lent_WW @ self.seen_WC
        return seen_WC / seen_WC.sum(-1, keepdim=True)

    def forward(self, standing_N: Tensor) -> Tensor:
        """Log odds, [N, C]."""
        return self.share().log()[standing_N]

    def counted(self) -> float:
        """Rows in the counts, those aside that stand for what is believed before any."""
        return float(self.seen_WC.sum()) - self._believed

    def add(self, standing_n: Tensor, class_n: Tensor, group: ProcessGroup | None) -> None:
        """Take n rows in."""
        w, c = self.seen_WC.shape
        self.seen_WC += pool_sum(torch.bincount(standing_n * c + class_n, minlength=w * c), group).view(w, c)
        self.seen_WC *= (_MEMORY / self.seen_WC.sum(-1, keepdim=True)).clamp(max=1.0)


def _likely(target: Target) -> list[int]:
    """For each standing the class that is most likely before anything was counted.

    Its own one, and where that is not known none; counted by another rule the first, so that nobody is alarmed.
    """
    counted = target.counted_by
    if counted.rule != target.rule:
        return [0] * (len(counted.cuts) + 2)
    likely: list[int] = np.searchsorted(np.array(target.cuts), [-np.inf, *counted.cuts], side="right").tolist()
    return likely


def _lent(bands: int) -> Tensor:
    """What of each band's rows (axis 1) counts in each (axis 0), [W, W]; what is not known stands alone."""
    place_B = torch.arange(bands)
    lent_WW = torch.eye(bands + 1)
    lent_WW[:-1, :-1] = torch.full((bands, bands), _LENT).pow((place_B[:, None] - place_B).abs())
    return lent_WW
