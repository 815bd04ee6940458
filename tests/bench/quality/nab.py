"""NAB: alerts as they are raised, NAB's own rule (a threshold chosen on the labels), and the dense score on windows."""

from pathlib import Path

import numpy as np

from infra.backtest.options import Options
from infra.backtest.run import backtest
from infra.metrics.anomaly import auprc
from infra.metrics.nab import Profile, Series, nab_optimised, nab_score
from tests.bench.quality.baselines import ewma_z, half_space_trees, raised
from tests.bench.quality.table import Figures, Measured
from tests.converters import nab

_QUICK = 4
_EWMA_Z = 5.0
_RANDOM = 1.0 - 1e-3
_EMPTY = 0.998
"""Of half-space trees, whose score goes up to 0.99804: leaves that are next to empty."""


def measure(shared: Path, folder: Path, seed: int, *, quick: bool) -> Measured:
    """`nab.<profile>.<rule>` and `nab.auprc`, of each system; chance plays in the random one alone."""
    kept = slice(None, None, len(nab.series(shared)) // _QUICK if quick else 1)
    files, series = nab.convert(shared, folder)[kept], nab.series(shared)[kept]
    table = backtest(Options(None, tuple(files), learn=False)).table
    cuts = np.cumsum([each.rows for each in series])[:-1]
    random = np.random.default_rng(seed)
    values = np.split(table.values, cuts)
    scores = {
        "bellwether": np.split(table.anomaly, cuts),
        "ewma z-score": [ewma_z(each) for each in values],
        "half-space trees": [half_space_trees(each) for each in values],
        "random": [random.random(each.rows) for each in series],
    }
    alerts = {
        "bellwether": [np.flatnonzero(each) for each in np.split(table.alert, cuts)],
        "ewma z-score": [raised(each, _EWMA_Z) for each in scores["ewma z-score"]],
        "half-space trees": [raised(each, _EMPTY) for each in scores["half-space trees"]],
        "random": [raised(each, _RANDOM) for each in scores["random"]],
    }
    return Measured(_figures(scores, alerts, series))


def _figures(scores: dict[str, list[np.ndarray]], alerts: dict[str, list[np.ndarray]], series: list[Series]) -> Figures:
    figures: Figures = {}
    for profile in Profile:
        name = profile.name.lower()
        figures[f"nab.{name}.as_raised"] = {system: nab_score(rows, series, profile) for system, rows in alerts.items()}
    for profile in Profile:
        name = profile.name.lower()
        figures[f"nab.{name}.optimised_of_alerts"] = {
            system: nab_optimised(_only(scores[system], rows), series, profile)[0] for system, rows in alerts.items()
        }
        figures[f"nab.{name}.optimised_dense"] = {
            system: nab_optimised(score, series, profile)[0] for system, score in scores.items()
        }
    truth = np.concatenate([_inside(each) for each in series])
    figures["nab.auprc"] = {system: auprc(np.concatenate(score), truth) for system, score in scores.items()}
    figures["nab.alerts"] = {system: float(sum(map(len, rows))) for system, rows in alerts.items()}
    return figures


def _only(scores: list[np.ndarray], rows: list[np.ndarray]) -> list[np.ndarray]:
    """Scores of the rows that alerted; 0 elsewhere."""
    kept = [np.zeros(len(score)) for score in scores]
    for score, alerted, whole in zip(scores, rows, kept, strict=True):
        whole[alerted] = score[alerted]
    return kept


def _inside(series: Series) -> np.ndarray:
    inside = np.zeros(series.rows, dtype=np.bool_)
    for first, last in series.windows.tolist():
        inside[first : last + 1] = True
    return inside
