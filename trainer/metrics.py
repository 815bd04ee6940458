"""Prequential metrics of one step, named ``<task>.<metric>``.

N rows, P rows that are positive, S signals, H horizons, Q quantiles, C classes, B bins.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from schemas.horizon import name_of
from schemas.layout import Layout
from schemas.task import TaskKind
from trainer.criteria import pinball
from trainer.losses import Targets
from trainer.network import Outputs

_BINS = 10


def metrics_of(outputs: Outputs, targets: Targets, layout: Layout) -> dict[str, float]:
    """Metrics of a step; what could not be judged is left out.

    Forecast, at each horizon: `mase_h<k>`, mean absolute error over that of persistence; `pinball_h<k>`, mean over
    quantiles, in scales; `coverage_h<k>`, share of values within the outermost quantiles, both included. Anomaly:
    `auroc`, `auprc`, on injected faults and told ones. State and event: `accuracy`, `balanced_accuracy` (mean recall of
    the classes that came), `cross_entropy` in nats, `calibration_error` (of the likeliest class: mean |confidence -
    accuracy| over ten bins; Guo et al., 2017, equation 3; above 0 by chance alone where rows are few). Event, too:
    `auroc`, `brier`.
    """
    found = _forecast(outputs, targets, layout)
    known_N = targets.known_N
    found |= _named(layout.anomaly.name, _ranking(outputs.anomaly_N[known_N], targets.faulty_N[known_N] > 0))
    for task, logits_NC, class_N in zip([*layout.states, *layout.events], outputs.states, targets.classes, strict=True):
        known_N = class_N >= 0
        if bool(known_N.any()):
            judged = logits_NC[known_N], class_N[known_N]
            found |= _named(task.name, _choice(*judged) | (_event(*judged) if task.kind is TaskKind.EVENT else {}))
    return found


def _named(task: str, found: dict[str, float]) -> dict[str, float]:
    return {f"{task}.{metric}": value for metric, value in found.items()}


def _forecast(outputs: Outputs, targets: Targets, layout: Layout) -> dict[str, float]:
    task = layout.forecast
    scale_NS1, last_NS1 = outputs.scale_NS[..., None], outputs.observed.last_NS[:, : layout.n_targets, None]
    error_NSHQ = (targets.future_NSH[..., None] - outputs.forecast_NSHQ) / scale_NS1[..., None]
    error_NSH = error_NSHQ[..., task.quantiles.index(0.5)]
    naive_H = ((targets.future_NSH - last_NS1) / scale_NS1).abs().nansum((0, 1))
    cost_H = pinball(error_NSHQ, error_NSHQ.new_tensor(task.quantiles)).nansum((0, 1, 3)) / len(task.quantiles)
    inside_H = ((error_NSHQ[..., 0] >= 0) & (error_NSHQ[..., -1] <= 0)).sum((0, 1))
    known_H = (~error_NSH.isnan()).sum((0, 1))
    found = {
        "mase": error_NSH.abs().nansum((0, 1)) / naive_H,
        "pinball": cost_H / known_H,
        "coverage": inside_H / known_H,
    }
    return {
        f"{task.name}.{metric}_{name_of(horizon)}": value
        for metric, value_H in found.items()
        for horizon, value in zip(task.horizons, value_H.tolist(), strict=True)
        if math.isfinite(value)
    }


def _choice(logits_NC: Tensor, class_N: Tensor) -> dict[str, float]:
    right_N = (logits_NC.argmax(-1) == class_N).double()
    return {
        "accuracy": float(right_N.mean()),
        "balanced_accuracy": float(_means(right_N, class_N, logits_NC.shape[1])[0].mean()),
        "cross_entropy": float(functional.cross_entropy(logits_NC, class_N)),
        "calibration_error": _calibration_error(logits_NC.double().softmax(-1).amax(-1), right_N),
    }


def _event(logits_NC: Tensor, class_N: Tensor) -> dict[str, float]:
    yes_N = logits_NC.double().softmax(-1)[:, 1]
    ranked = _ranking(yes_N, class_N > 0)
    found = {"brier": float((yes_N - class_N).square().mean())}
    return found | {"auroc": ranked["auroc"]} if ranked else found


def _calibration_error(confidence_N: Tensor, right_N: Tensor) -> float:
    bin_N = (confidence_N * _BINS).long().clamp(max=_BINS - 1)
    gap_B, count_B = _means(confidence_N - right_N, bin_N, _BINS)
    return float((gap_B.abs() * count_B).sum() / count_B.sum())


def _means(value_N: Tensor, group_N: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Mean of each group that has a row, and its number of rows."""
    count_B = torch.bincount(group_N, minlength=groups)
    sum_B = torch.bincount(group_N, weights=value_N, minlength=groups)
    return sum_B[count_B > 0] / count_B[count_B > 0], count_B[count_B > 0]


def _ranking(score_N: Tensor, positive_N: Tensor) -> dict[str, float]:
    """AUROC, ties counting half, and AUPRC as average precision; empty where a class is absent."""
    score_P, negative = score_N[positive_N].sort().values, score_N[~positive_N].sort().values
    if not len(score_P) or not len(negative):
        return {}
    below_P, upto_P = (torch.searchsorted(negative, score_P, side=side) for side in ("left", "right"))
    hits_P = len(score_P) - torch.searchsorted(score_P, score_P)
    false_P = len(negative) - below_P
    return {
        "auroc": float((below_P + upto_P).double().mean() / (2 * len(negative))),
        "auprc": float((hits_P / (hits_P + false_P)).double().mean()),
    }
