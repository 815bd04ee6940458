"""Several signals, injected faults: VUS-PR of each entity with a fault (averaged), AUPRC and AUROC over all rows."""

from pathlib import Path

import numpy as np
import pandas as pd

from infra.backtest.options import Options
from infra.backtest.run import backtest
from infra.metrics.anomaly import auprc, auroc, vus_pr
from tests.bench.quality.baselines import ewma_z, half_space_trees, mahalanobis, online_pca
from tests.bench.quality.table import Figures, Measured
from tests.converters import ett, icu, markets
from tests.converters.inject import inject

_SEED = 1
_STAYS, _QUICK_STAYS, _QUICK_ROWS = 400, 40, 1500
_BASELINES = {
    "ewma z-score": ewma_z,
    "mahalanobis": mahalanobis,
    "half-space trees": half_space_trees,
    "online pca": online_pca,
}
_METRICS = ("vus_pr", "auprc", "auroc")
_STATIC = ["Age", "Gender", "Height", "ICUType", "Weight"]


def measure(shared: Path, folder: Path, seed: int, *, quick: bool) -> Measured:
    """`faults.<set>.<metric>` of each system, and the mean over the sets."""
    stays = pd.read_parquet(icu.convert(shared, folder, stays=_QUICK_STAYS if quick else _STAYS))
    sets = {
        "ett": [pd.read_csv(file) for file in ett.convert(shared, folder)],
        "markets": [pd.read_csv(file) for file in markets.convert_daily(shared, folder)],
        "icu": [stays.drop(columns=_STATIC)],
    }
    figures: Figures = {}
    for name, wide in sets.items():
        whole = pd.concat([part[:_QUICK_ROWS] for part in wide] if quick and name != "icu" else wide)
        figures |= compared(f"faults.{name}", inject(whole.reset_index(drop=True), _SEED + seed), folder)
    return Measured(figures | means("faults", figures))


def compared(name: str, wide: pd.DataFrame, folder: Path) -> Figures:
    """`<name>.<metric>` of every system, on rows with a `label`; none of them learns from it."""
    file = folder / f"{name}.parquet"
    wide.to_parquet(file, index=False)
    table = backtest(Options(None, (file,), learn=False)).table
    entities = list(wide.groupby("entity", sort=False).indices.values())
    scores = {"bellwether": table.anomaly}
    for system, detector in _BASELINES.items():
        scores[system] = np.zeros(len(wide))
        for rows in entities:
            scores[system][rows] = detector(table.values[rows])
    scores["random"] = np.random.default_rng(0).random(len(wide))
    truth = wide.label.to_numpy() > 0
    return {
        f"{name}.vus_pr": {system: _volume(score, truth, entities) for system, score in scores.items()},
        f"{name}.auprc": {system: auprc(score, truth) for system, score in scores.items()},
        f"{name}.auroc": {system: auroc(score, truth) for system, score in scores.items()},
    }


def means(part: str, figures: Figures) -> Figures:
    """`<part>.mean.<metric>` over the part's sets."""
    found: Figures = {}
    for metric in _METRICS:
        each = [systems for name, systems in figures.items() if name.endswith(metric)]
        found[f"{part}.mean.{metric}"] = {s: float(np.mean([systems[s] for systems in each])) for s in each[0]}
    return found


def _volume(score: np.ndarray, truth: np.ndarray, entities: list[np.ndarray]) -> float:
    """VUS-PR must not reach over the seam between two entities."""
    return float(np.mean([vus_pr(score[rows], truth[rows]) for rows in entities if truth[rows].any()]))
