"""Where a state task stands before anything is learned: how often each class followed the one its rule is in now.

Persistence is the zero point of a forecast; this is that of a class. A head adds to these log odds what it has
learned, so that it need not spend hundreds of small steps on finding out that crises are rare and calm lasts. Where
another rule foretells more than the target's own, as the usual range of a price does of its next fall, what followed
is counted by the bands that one is in, and where it says nothing, as of an index without a range, by those of the next
rule that is named. A task that is told from outside (an event, a state without a rule) has its
base rate alone.

N rows, R rules, T state and event tasks, C classes of a task, B bands of one rule, W standings (each rule's classes or
bands, or unknown).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed import ProcessGroup

from schemas.layout import NO_YES, Layout
from schemas.task import Standing as Counted
from schemas.task import Target
from trainer.rows import Rows
from trainer.rule_inputs import known_of
from trainer.rules import Rules
from trainer.statistics import Observed
from trainer.weighting.ranks import pool_sum

_STAYS, _ELSE = 4.0, 1.0
"""Rows that count before anything was counted: of the class that is likely, and of each."""
_GUESSED = 0.2
"""How much less that is by another rule, whose order is a guess: a band that was never entered shall soon say what its
neighbours say."""
_TAUGHT = 200.0
"""Rows that must have been counted before a task may warn anybody: an even guess among three classes is 0.33."""
_LENT = 0.2
"""Share of its rows that a band lends to the next one, which lends as much of it on."""
_MEMORY = 20_000.0
"""Rows that the counts of one standing remember."""


class Standing(nn.Module):
    """Counts of what followed what, over all entities.

    Part of the weights and moved by the learner alone, as `Population` is: an output does not depend on which entities
    a shard owns. Fresh counts lean towards the class that is. Counted by another rule, half of that leans towards the
    first class, for most rows are calm, and half towards the one that has the band's place in the order. Where no rule
    says anything, classes are alike by the target's own, and the first is likely by others.
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self._layout = layout
        self._rules = Rules(layout)
        places = {rule.name: place for place, rule in enumerate(layout.monitor.rules)}
        self._read: list[tuple[int, int, str]] = []
        for task, target in enumerate(task.target for task in layout.states):
            for place, each in enumerate(target.counted_by if target else ()):
                name = f"cut_B_of_{task}_{place}"
                self.register_buffer(name, torch.tensor(each.cuts, dtype=torch.float64), persistent=False)
                self._read.append((task, places[each.rule], name))
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
        """Per task the standing of each row, [N]: the class or band of the first rule that says anything.

        W - 1 where none does; 0 where none is read.
        """
        n, device = rows.time_N.shape[0], rows.time_N.device
        standing = [torch.zeros(n, dtype=torch.int64, device=device) for _ in self.counts]
        unknown = [torch.ones(n, dtype=torch.bool, device=device) for _ in self.counts]
        for task, rule, name in self._read:
            assert score_NR is not None
            cut_B, score_N = self.get_buffer(name), score_NR[:, rule].contiguous()
            bands_N = torch.bucketize(score_N, cut_B, right=True).masked_fill(score_N.isnan(), len(cut_B) + 1)
            # Who is still unknown has come past all bands so far.
            standing[task] += bands_N * unknown[task]
            unknown[task] &= score_N.isnan()
        return tuple(standing)

    def forward(self, standing: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Log odds of each task's classes, [N, C], given the standings of the rows."""
        return tuple(counts(class_N) for counts, class_N in zip(self.counts, standing, strict=True))

    def floors(self, task: int) -> Tensor:
        """How often "at least so bad" followed milder standings of a state task, [W, C]: the most of them.

        Zero for the mildest standing of each rule, and where the standing is not known.
        """
        counts = self.counts[task]
        assert isinstance(counts, _Counts)
        tail_WC = counts.share().flip(-1).cumsum(-1).flip(-1).clamp(max=1.0)
        floor_WC = torch.zeros_like(tail_WC)
        start = 0
        for bands in counts.bands:
            floor_WC[start + 1 : start + bands] = tail_WC[start : start + bands - 1].cummax(0).values
            start += bands
        return floor_WC

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
    """Of one task: a row for each class or band that its rules may be in, and the last for none known.

    Bands lend to their neighbours: one that was hardly ever entered says what the nearest says.

    Attributes:
        bands: of each rule, B.
    """

    seen_WC: Tensor
    lent_WW: Tensor | None

    def __init__(self, target: Target | None, classes: int) -> None:
        super().__init__()
        counted_by = () if target is None else target.counted_by
        self.bands = [len(each.cuts) + 1 for each in counted_by]
        believed = [_fresh(target, each, classes) for each in counted_by if target]
        foreign = target is not None and any(each.rule != target.rule for each in counted_by)
        unknown_1C = _ELSE + _STAYS * foreign * torch.eye(classes)[:1]
        seen_WC = torch.cat([*believed, unknown_1C])
        self._believed = float(seen_WC.sum())
        self.register_buffer("seen_WC", seen_WC)
        banded = target is not None and target.standing is not None
        self.register_buffer("lent_WW", _lent(self.bands) if banded else None, persistent=False)

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


def _fresh(target: Target, counted: Target | Counted, classes: int) -> Tensor:
    """Rows that each band of a rule counts before any was, [B, C].

    Its own class is the likely one; counted by another rule the first, and the one at the band's place in the order,
    half each.
    """
    bands = len(counted.cuts) + 1
    if counted.rule == target.rule:
        own_B = np.searchsorted(np.array(target.cuts), [-np.inf, *counted.cuts], side="right")
        return _ELSE + _STAYS * torch.eye(classes)[own_B]
    place_B1 = torch.linspace(0.0, classes - 1.0, bands)[:, None]
    ordered_BC = (1.0 - (place_B1 - torch.arange(classes)).abs()).clamp(min=0.0)
    return _GUESSED * (_ELSE + _STAYS * 0.5 * (ordered_BC + torch.eye(classes)[0]))


def _lent(bands: Sequence[int]) -> Tensor:
    """What of each band's rows (axis 1) counts in each (axis 0), [W, W]; of one rule's alone, the unknown by itself."""
    lent = [torch.full((n, n), _LENT).pow((torch.arange(n)[:, None] - torch.arange(n)).abs()) for n in bands]
    lent_WW: Tensor = torch.block_diag(*lent, torch.eye(1))
    return lent_WW
