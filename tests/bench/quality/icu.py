"""ICU stays through the shipped health monitor: vital signs one step ahead, alarms, and deaths foreseen."""

from pathlib import Path

import numpy as np
import pandas as pd

from infra.backtest.options import Options
from infra.backtest.run import backtest
from infra.metrics.anomaly import auroc
from tests.bench.quality.table import Figures, Measured
from tests.converters import icu

_VITALS = ("HR", "SysABP", "NISysABP", "RespRate", "Temp", "SaO2")
_HOURS = (6, 12, 24, 48)
_STAYS, _QUICK_STAYS = 4000, 40


def measure(shared: Path, folder: Path, seed: int, *, quick: bool) -> Measured:
    """One-step MASE of vitals (persistence is 1), alarms a patient and day, and AUROC of in-hospital death.

    The seed is the network's, and of the days of admission. Death is judged on the stays admitted in the later half:
    the network learns from nothing but the earlier outcomes.
    """
    file = icu.convert(shared, folder, stays=_QUICK_STAYS if quick else _STAYS, seed=seed)
    done = backtest(Options("health", (file,), seed=seed, outcomes=icu.outcomes(shared, folder, file)))
    by_signal = done.report["tasks"]["forecast"]["raw"]["h1"]["mase_by_signal"]
    figures: Figures = {f"icu.mase.{name}": {"bellwether": by_signal[name], "persistence": 1.0} for name in _VITALS}
    figures["icu.alarms_per_patient_day"] = {"bellwether": done.report["tasks"]["anomaly"]["alarms_per_entity_day"]}
    return Measured(figures | _deaths(done.table.frame(), icu.deaths(shared)))


def _deaths(scores: pd.DataFrame, died: pd.Series) -> Figures:
    ok = scores[scores.status == "ok"].sort_values("time", kind="stable")
    admitted = ok.groupby("entity").time.min().sort_values()
    later = ok[ok.entity.isin(admitted.index[len(admitted) // 2 :])]
    hours = (later.time - later.entity.map(admitted)) / pd.Timedelta(hours=1)
    figures: Figures = {}
    for limit in _HOURS:
        standing = later[hours <= limit].groupby("entity")["event.death"].last()
        truth = died.reindex(standing.index).to_numpy() > 0
        chance = np.random.default_rng(0).random(len(truth))
        figures[f"icu.death.auroc_{limit}h"] = {
            "bellwether": auroc(standing.to_numpy(), truth),
            "random": auroc(chance, truth),
        }
    return figures
