"""ICU stays through the shipped health monitor: one-step MASE of six vital signs, and alarms a patient and day."""

from pathlib import Path

from infra.backtest.options import Options
from infra.backtest.run import backtest
from tests.bench.quality.table import Figures
from tests.converters import icu

_VITALS = ("HR", "SysABP", "NISysABP", "RespRate", "Temp", "SaO2")
_STAYS, _QUICK_STAYS = 4000, 200


def measure(shared: Path, folder: Path, *, quick: bool) -> Figures:
    """`icu.mase.<vital>` (persistence is 1 by definition) and `icu.alarms_per_patient_day`."""
    file = icu.convert(shared, folder, stays=_QUICK_STAYS if quick else _STAYS)
    report = backtest(Options("health", (file,))).report
    by_signal = report["tasks"]["forecast"]["raw"]["h1"]["mase_by_signal"]
    figures: Figures = {f"icu.mase.{name}": {"bellwether": by_signal[name], "persistence": 1.0} for name in _VITALS}
    figures["icu.alarms_per_patient_day"] = {"bellwether": report["tasks"]["anomaly"]["alarms_per_entity_day"]}
    return figures
