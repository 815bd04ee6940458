"""How often chance alone brings so much evidence: the common tail of all entities of a partition.

The evidence of single rows is on one scale in all entities, but no calibrated probability (`scorer.tail`), and the
thresholds that false discoveries are controlled by lie where one entity has shown nothing yet: once in 10^4 to 10^6
rows. So rows are pooled, and beyond the value that starts one episode in 100 rows an exponential tail is fitted: peaks
over a threshold (Pickands, 1975; Davison and Smith, 1990, section 2 with shape 0), of runs (Leadbetter et al., 1989):
exceedances of an entity that follow each other within `_GAP` of its rows are one episode, and its peak counts. For one
fault of ten rows is one alert, not ten.

What raised an alert is most likely no chance: it counts as far as it may be false, and rows in the silence that follows
an alert do not count. Left out altogether, chance would seem rarer with each false alert, and more would be raised.
"""

from dataclasses import dataclass

import numpy as np

from schemas.observation import Float64

BLOCK = 1024
"""Rows after which the tail is fitted anew."""
SHARE = 0.01
"""Episodes a row beyond the edge."""
_MEMORY = 64.0
"""Blocks that are remembered."""
_PRIOR_ROWS = 2.0 * BLOCK
"""What a tail of exactly -log10 p counts as in the beginning."""
_GAP = 16
_CLIP = 5.0
"""Mean excesses that one peak counts as at most: of an exponential tail this cuts 0.7 %."""
_SMALLEST_EXCESS = 0.02
NEVER = -(_GAP + 1)
"""Row at which an entity's last episode ended, where there was none."""


@dataclass(slots=True)
class Chance:
    """The tail, and what this block adds to it.

    Attributes:
        edge: evidence that an episode exceeds once in 100 rows.
        excess: mean of the peaks beyond it.
        rows: remembered.
        new_rows, new_episodes, new_excess: of this block: rows, episodes beyond the edge, the sum of their excesses.
    """

    edge: float = -float(np.log10(SHARE))
    excess: float = 1.0 / float(np.log(10.0))
    rows: float = _PRIOR_ROWS
    new_rows: float = 0.0
    new_episodes: float = 0.0
    new_excess: float = 0.0

    def rarity(self, evidence_N: Float64) -> Float64:
        """-log10 of the episodes a row that reach so much; below the edge a lower bound of nothing but order, [N]."""
        rarity_N: Float64 = (evidence_N - self.edge) / (self.excess * np.log(10.0)) - np.log10(SHARE)
        return rarity_N

    def exceed(self, evidence: float, row: int, weight: float, last_row: int, peak: float) -> float:
        """A row beyond the edge; the new peak of its entity's episode.

        Args:
            evidence: of the row.
            row: counted per entity.
            weight: how likely it is by chance, in [0, 1].
            last_row: at which the entity exceeded the edge before.
            peak: of its episode then.
        """
        if row - last_row > _GAP:
            self.new_episodes += weight
            peak = self.edge
        reached = min(evidence, self.edge + _CLIP * self.excess)
        self.new_excess += weight * max(reached - max(peak, self.edge), 0.0)
        return max(peak, reached)

    def turn(self) -> None:
        """The block is over: fit the tail, and move the edge to where episodes are as rare as they should be."""
        kept = 1.0 - 1.0 / _MEMORY
        episodes = kept * SHARE * self.rows + self.new_episodes
        excess = kept * SHARE * self.rows * self.excess + self.new_excess
        self.rows = kept * self.rows + self.new_rows
        self.excess = max(excess / episodes, _SMALLEST_EXCESS)
        self.edge += self.excess * float(np.log(episodes / (SHARE * self.rows)))
        self.new_rows = self.new_episodes = self.new_excess = 0.0
