"""Online control of the false discovery rate: what share of the rows to come may raise an alert by chance.

Generalised alpha-investing with decaying memory (Ramdas, Yang, Wainwright and Jordan, 2017, sections 4 and 5): each
alert earns the right to `rate` false ones, which is spent on the rows that follow, and all of it is forgotten as time
passes, so that neither a quiet year ends in silence ("alpha-death") nor a stormy one in noise ("piggybacking").
Neighbouring rows depend on each other, so nothing is earned within a block or the one after it: levels depend on what
was found at least one whole block ago (Zrnic, Ramdas and Jordan, 2021, section 4: local dependence as conflict sets).

What is bounded. Let R_j alerts open in block j, V_j of them false, and let levels be kept: given all that was known a
block before, rows without a fault open at most level x BLOCK alerts a block in expectation. Then after each block b

    E[sum over j <= b of d^(b-j) V_j]  <=  rate x (1 + E[sum over j <= b of d^(b-j) R_j]),     d = 1 - 1 / 64,

the modified false discovery rate of Foster and Stine (2008, with eta 1) in decayed form: what is spent is at most what
was earned plus `rate`, by the choice of `level`. Expectations add up, so it holds for all partitions together, with a 1
for each of them, and levels need only be kept on the mean over a block's rows: dependence within one, and entities
whose tails differ, do not matter.

What is not. That levels are kept is an assumption, no theorem: the tail is fitted and extrapolated (`chance`), and
where many entities become restless at once without a fault, as in bursts, more alerts are false than that. Nor is it
the expected share E[V / R], which would need independent p-values, nor anything about single entities.
`python -m tests.bench.discoveries` says what was achieved.
"""

from dataclasses import dataclass

from scorer.stages.chance import BLOCK, SHARE

_MEMORY, _SPENT = 64.0, 8.0
"""Blocks that are remembered, and over which an alert's earnings are spent: LORD's sequence as a geometric one."""
_KEPT, _LEFT = 1.0 - 1.0 / _MEMORY, 1.0 - 1.0 / _SPENT
_LAG = 2
"""Blocks from an alert to the first that it earns for."""


@dataclass(slots=True)
class Wealth:
    """What was found, as far as it still counts.

    Attributes:
        earned: alerts whose earnings are being spent, decayed.
        before: alerts of the block before this one.
        now: alerts of this block.
    """

    earned: float = 0.0
    before: float = 0.0
    now: float = 0.0

    def level(self, rate: float) -> float:
        """The share of this block's rows that may raise an alert by chance; `rate` is that of alerts."""
        always = (1.0 - _KEPT) / BLOCK
        earning = _KEPT**_LAG * (1.0 - _LEFT) * self.earned / BLOCK
        return min(rate * (always + earning), SHARE)

    def turn(self) -> None:
        """The block is over."""
        self.earned = _KEPT * _LEFT * self.earned + self.before
        self.before, self.now = self.now, 0.0
