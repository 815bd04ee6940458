"""Prequential metrics of one step, named ``<task>.<metric>``.

N rows, S signals, H horizons, C classes.
"""

import torch
from torch import Tensor
from torch.nn import functional

from schemas.horizon import name_of
from schemas.layout import Layout
from trainer.losses import Targets
from trainer.network import Outputs


def metrics_of(outputs: Outputs, targets: Targets, layout: Layout) -> dict[str, float]:
    """Metrics of a step; what could not be judged is left out.

    Forecast: `mase_h<k>`, mean absolute error over that of persistence at the same horizon, in scales. Anomaly:
    `auroc` on injected faults. State: `accuracy` and `cross_entropy` in nats.
    """
    found = _forecast(outputs, targets, layout) | _anomaly(outputs, targets, layout)
    for task, logits_NC, class_N in zip(layout.classes, outputs.states, targets.classes, strict=True):
        found |= _state(task, logits_NC, class_N)
    return found


def _forecast(outputs: Outputs, targets: Targets, layout: Layout) -> dict[str, float]:
    task = layout.forecast
    median_NSH = outputs.forecast_NSHQ[..., task.quantiles.index(0.5)]
    scale_NS1, last_NS1 = outputs.scale_NS[..., None], outputs.observed.last_NS[:, : layout.n_targets, None]
    error_NSH = ((targets.future_NSH - median_NSH) / scale_NS1).abs()
    naive_NSH = ((targets.future_NSH - last_NS1) / scale_NS1).abs()
    found = {}
    for h, horizon in enumerate(map(name_of, task.horizons)):
        naive = float(naive_NSH[..., h].nansum())
        if naive > 0:
            found[f"{task.name}.mase_{horizon}"] = float(error_NSH[..., h].nansum()) / naive
    return found


def _anomaly(outputs: Outputs, targets: Targets, layout: Layout) -> dict[str, float]:
    faulty_N = targets.faulty_N[targets.known_N] > 0
    positives, negatives = int(faulty_N.sum()), int((~faulty_N).sum())
    if not positives or not negatives:
        return {}
    rank_N = outputs.anomaly_N[targets.known_N].argsort().argsort().to(torch.float64) + 1.0
    above = float(rank_N[faulty_N].sum()) - positives * (positives + 1) / 2
    return {f"{layout.anomaly.name}.auroc": above / (positives * negatives)}


def _state(task: str, logits_NC: Tensor, class_N: Tensor) -> dict[str, float]:
    known_N = class_N >= 0
    if not bool(known_N.any()):
        return {}
    logits_NC, class_N = logits_NC[known_N], class_N[known_N]
    return {
        f"{task}.accuracy": float((logits_NC.argmax(-1) == class_N).double().mean()),
        f"{task}.cross_entropy": float(functional.cross_entropy(logits_NC, class_N)),
    }
