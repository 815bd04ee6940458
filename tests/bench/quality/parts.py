"""The whole table: its parts in their order, how long they take, and what their figures should be."""

from collections.abc import Mapping

from tests.bench import four_outcomes, markets, mortality, transfer, warnings
from tests.bench.quality import faults, forecast, icu, nab, servers, step, weighting
from tests.bench.quality.aim import Aim
from tests.bench.quality.part import Part

_VITALS = {
    "mase.HR": Aim(most=0.972),
    "mase.SysABP": Aim(most=0.910),
    "mase.NISysABP": Aim(most=0.906),
    "mase.RespRate": Aim(most=0.824),
    "mase.Temp": Aim(most=1.0),
    "mase.SaO2": Aim(most=1.02),
}
_DEATH = {"6h": 0.785, "12h": 0.81, "24h": 0.84, "48h": 0.86}
"""Hours after admission -> AUROC."""

PARTS: Mapping[str, Part] = {
    "nab": Part(
        nab.measure,
        minutes=5,
        once="chance plays in the random scorer alone",
        aims={
            "standard.as_raised": Aim(least=70.0),
            "standard.optimised_of_alerts": Aim(least=75.0),
            "low_fp.optimised_of_alerts": Aim(least=67.0),
            "low_fn.optimised_of_alerts": Aim(least=80.4),
            "auprc": Aim(least=0.40),
        },
    ),
    "faults": Part(faults.measure, minutes=3, aims={f"{name}.vus_pr": Aim(least=0.60) for name in ("ett", "markets")}),
    "servers": Part(servers.measure, minutes=3, aims={"mean.vus_pr": Aim(least=0.55), "mean.auprc": Aim(least=0.59)}),
    "forecast": Part(
        forecast.measure,
        minutes=4,
        aims={
            "ETTh1.mse_to_h1": Aim(most=0.224),
            "ETTh1.mse_to_h24": Aim(most=0.691),
            "ETTh1.mse_to_h48": Aim(most=0.808),
            "ETTh2.mse_to_h1": Aim(most=0.320),
            "ETTh2.mse_to_h24": Aim(most=1.45),
            "ETTh2.mse_to_h48": Aim(most=2.45),
        },
    ),
    "icu": Part(
        icu.measure,
        minutes=10,
        aims=_VITALS | {f"death.auroc_{hours}": Aim(least=auroc) for hours, auroc in _DEATH.items()},
    ),
    "mortality": Part(
        mortality.measure,
        minutes=45,
        once="three fits judge every stay once, errors by a bootstrap over stays",
        aims={f"{hours}.auroc": Aim(least=auroc) for hours, auroc in _DEATH.items()}
        | {"48h.event1": Aim(least=0.5353)}
        | _VITALS,
    ),
    "four_outcomes": Part(
        four_outcomes.measure,
        minutes=20,
        once="one split, errors by a bootstrap over stays",
        aims={"mean_48h.auroc": Aim(least=0.92)},
    ),
    "warnings": Part(
        warnings.measure,
        minutes=6,
        aims={"budget.alarms_off_budget": Aim(least=-0.2, most=0.2), "*.caught": Aim(least="NEWS2 threshold")},
    ),
    "markets_daily": Part(
        markets.daily,
        minutes=2,
        aims={
            "*.close": Aim(most=1.02),
            "*.range_percent": Aim(most=0.78),
            "*.volume": Aim(most=0.80),
            "SPX.tail": Aim(least=0.849),
            "IXIC.tail": Aim(least=0.877),
            "*.tail": Aim(least="average"),
        },
    ),
    "markets_intraday": Part(
        markets.intraday,
        minutes=1,
        aims={
            "*.close": Aim(most=1.02),
            "*.range_percent": Aim(most="regression"),
            "*.volume": Aim(most="regression"),
            "*.tail": Aim(least="average"),
        },
    ),
    "transfer": Part(transfer.measure, minutes=3, aims={"*.above_twin": Aim(most=0.0)}),
    "step": Part(
        step.measure,
        minutes=1,
        aims={
            "six_signals_network_events_B512": Aim(least=100_000),
            "six_signals_network_bytes": Aim(most=1024),
            "six_signals_entity_bytes": Aim(most=4096),
        },
    ),
    "weighting": Part(
        weighting.measure,
        minutes=14,
        once="methods take turns, each a mean over its steps",
        aims={"*.backward": Aim(most=1.15)},
    ),
}
