"""How far each source of labels can be believed: the one-coin model of annotators (Dawid & Skene, 1979), running.

A source's label is right with one probability, its reliability, whatever it says. What is true is never told: it is
estimated by the network's own belief in a label before it learned from it, as others' labels of the same task and
class taught it. Where they are right, the network believes them by some mean b; where a source tells another class
than the true one, it believes that by 1 - b' of the true class's mean. A source's own mean lies between the two, and
where it lies is its reliability: a moment estimate, shrunk to a prior by how far the two are apart. An untrained
network believes everybody alike, so nobody is judged by it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_PRIOR, _PRIOR_WEIGHT = 0.9, 10.0
"""What a source is taken for before it has shown itself, and how much evidence outweighs that."""
_REMEMBER = 1.0 - 1.0 / 500.0
"""What is left of a source's past after one more label of it."""
_LEAST_OTHERS = 5.0
"""Others' labels of a class, without which there is nothing to hold a source against."""
_LEAST_LABELS, _LEAST_EVIDENCE = 50.0, 15.0
_WORSE_THAN_A_COIN = 0.5


@dataclass(frozen=True, slots=True)
class Reliability:
    """What is known of one source.

    Attributes:
        labels: how many its reliability rests on; older ones count less.
        evidence: how far apart right and wrong labels lie, summed over them.
        reliability: estimated share of right ones.
    """

    labels: float
    evidence: float
    reliability: float

    @property
    def suspect(self) -> bool:
        """Is it, on evidence enough, wrong more often than right? It then teaches worse than nothing."""
        shown = self.labels >= _LEAST_LABELS and self.evidence >= _LEAST_EVIDENCE
        return shown and self.reliability < _WORSE_THAN_A_COIN


@dataclass(slots=True)
class _Cell:
    """Labels of one source that said one class of one task."""

    count: float = 0.0
    belief: float = 0.0

    @property
    def mean(self) -> float:
        return self.belief / self.count


class Sources:
    """Keeps count of what each source told, and how far the network believed it.

    Args:
        classes: of each task how many it has.
    """

    def __init__(self, classes: Mapping[str, int]) -> None:
        self._classes = classes
        self._cells: dict[str, dict[tuple[str, int], _Cell]] = {}

    def add(self, source: str, task: str, value: int, belief: float) -> None:
        """One label more, and the probability that the network gave it before it learned from it."""
        cells = self._cells.setdefault(source, {})
        for cell in cells.values():
            cell.count *= _REMEMBER
            cell.belief *= _REMEMBER
        told = cells.setdefault((task, value), _Cell())
        told.count += 1.0
        told.belief += belief

    def forget(self, source: str) -> None:
        """Let a source show itself afresh."""
        self._cells.pop(source, None)

    def of(self, source: str) -> Reliability:
        """What is known of a source; of one that told nothing the prior."""
        others = self._others(source)
        evidence = above = 0.0
        for (task, value), cell in self._cells.get(source, {}).items():
            classes = [others.get((task, each), _Cell()) for each in range(self._classes[task])]
            if min(each.count for each in classes) < _LEAST_OTHERS:
                continue
            right = classes.pop(value).mean
            wrong = sum(1.0 - each.mean for each in classes) / len(classes) ** 2
            evidence += cell.count * (right - wrong)
            above += cell.belief - cell.count * wrong
        labels = sum(cell.count for cell in self._cells.get(source, {}).values())
        if evidence <= 0.0:
            return Reliability(labels, 0.0, _PRIOR)
        reliability = (_PRIOR_WEIGHT * _PRIOR + above) / (_PRIOR_WEIGHT + evidence)
        return Reliability(labels, evidence, min(max(reliability, 0.0), 1.0))

    def suspects(self) -> dict[str, Reliability]:
        """Sources that should not be believed."""
        found = {source: self.of(source) for source in self._cells}
        return {source: each for source, each in found.items() if each.suspect}

    def _others(self, source: str) -> dict[tuple[str, int], _Cell]:
        total: dict[tuple[str, int], _Cell] = {}
        for cells in (cells for other, cells in self._cells.items() if other != source):
            for about, cell in cells.items():
                sums = total.setdefault(about, _Cell())
                sums.count += cell.count
                sums.belief += cell.belief
        return total


def weighed(classes: Mapping[str, int], labels: Iterable[tuple[str, str, int, float]]) -> Sources:
    """Sources after labels given as (source, task, value, belief), oldest first; those of other tasks are left out."""
    sources = Sources(classes)
    for source, task, value, belief in labels:
        if value < classes.get(task, 0):
            sources.add(source, task, value, belief)
    return sources
