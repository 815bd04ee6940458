"""Metrics of one step, or of many as if they were one, named ``<task>.<metric>``.

N rows, P rows that are positive, S signals, H horizons, Q quantiles, C classes, B bins.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributed import ProcessGroup
from torch.nn import functional

from schemas.horizon import name_of
from schemas.layout import Layout
from schemas.task import Task, TaskKind
from trainer.criteria import pinball
from trainer.losses import Targets
from trainer.network import Outputs
from trainer.weighting.ranks import gather_rows

_BINS = 10
_SUMS = 5
"""Of what is told of the forecast at a horizon, see `_forecast_sums`."""


def metrics_of(outputs: Outputs, targets: Targets, layout: Layout) -> dict[str, float]:
    """Metrics of a step; see `Tally.metrics`."""
    tally = Tally(layout)
    tally.add(outputs, targets)
    return tally.metrics()


class Tally:
    """What metrics are made of, laid together over steps and ranks before any is made: none is a mean over parts.

    Args:
        layout: the tasks.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        answers = [1, *map(len, layout.classes.values())]
        self._forecast = [torch.empty(0, _SUMS, len(layout.forecast.horizons), dtype=torch.float64)]
        self._said = [[torch.empty(0, classes)] for classes in answers]
        self._came = [[torch.empty(0, dtype=torch.int64)] for _ in answers]

    def add(self, outputs: Outputs, targets: Targets) -> None:
        """Take a step in."""
        self._forecast.append(_forecast_sums(outputs, targets, self._layout)[None].cpu())
        faulty_N = torch.where(targets.known_N, (targets.faulty_N > 0).long(), -1)
        answers = zip((outputs.anomaly_N[:, None], *outputs.states), (faulty_N, *targets.classes), strict=True)
        for place, (said_NC, came_N) in enumerate(answers):
            known_N = came_N >= 0
            self._said[place].append(said_NC[known_N].cpu())
            self._came[place].append(came_N[known_N].cpu())

    def metrics(self, group: ProcessGroup | None = None) -> dict[str, float]:
        """Metrics of all of it; what could not be judged is left out.

        Forecast, at each horizon: `mase_h<k>`, mean absolute error over that of persistence; `pinball_h<k>`, mean over
        quantiles, in scales; `coverage_h<k>`, share of values within the outermost quantiles, both included. Anomaly:
        `auroc`, `auprc`, on injected faults and told ones. State and event: `accuracy`, `balanced_accuracy` (mean
        recall of the classes that came), `cross_entropy` in nats, `calibration_error` (of the likeliest class: mean
        |confidence - accuracy| over ten bins; Guo et al., 2017, equation 3; above 0 by chance alone where rows are
        few). Event, too: `auroc`, `brier`.

        Args:
            group: ranks that took in steps of their own, or none; every one calls.
        """
        found = _forecast(_together(self._forecast, group).sum(0), self._layout.forecast)
        said = [_together(each, group) for each in self._said]
        came = [_together(each, group) for each in self._came]
        found |= _named(self._layout.anomaly.name, _ranking(said[0][:, 0], came[0] > 0))
        for task, logits_NC, class_N in zip(self._layout.choices, said[1:], came[1:], strict=True):
            if len(class_N):
                of_yes = _event(logits_NC, class_N) if task.kind is TaskKind.EVENT else {}
                found |= _named(task.name, _choice(logits_NC, class_N) | of_yes)
        return found


def _together(steps: Sequence[Tensor], group: ProcessGroup | None) -> Tensor:
    return gather_rows(torch.cat([*steps]), group)


def _named(task: str, found: dict[str, float]) -> dict[str, float]:
    return {f"{task}.{metric}": value for metric, value in found.items()}


def _forecast_sums(outputs: Outputs, targets: Targets, layout: Layout) -> Tensor:
    """Over rows and signals: |error|, that of persistence, cost, values within the band, values; float64 [5, H]."""
    task = layout.forecast
    scale_NS1, last_NS1 = outputs.scale_NS[..., None], outputs.observed.last_NS[:, : layout.n_targets, None]
    error_NSHQ = (targets.future_NSH[..., None] - outputs.forecast_NSHQ) / scale_NS1[..., None]
    error_NSH = error_NSHQ[..., task.quantiles.index(0.5)]
    naive_NSH = (targets.future_NSH - last_NS1) / scale_NS1
    cost_H = pinball(error_NSHQ, error_NSHQ.new_tensor(task.quantiles)).nansum((0, 1, 3)) / len(task.quantiles)
    inside_NSH = (error_NSHQ[..., 0] >= 0) & (error_NSHQ[..., -1] <= 0)
    sums = (
        error_NSH.abs().nansum((0, 1)),
        naive_NSH.abs().nansum((0, 1)),
        cost_H,
        inside_NSH.sum((0, 1)),
        (~error_NSH.isnan()).sum((0, 1)),
    )
    return torch.stack([each.double() for each in sums])


def _forecast(sums_FH: Tensor, task: Task) -> dict[str, float]:
    error_H, naive_H, cost_H, inside_H, known_H = sums_FH
    found = {"mase": error_H / naive_H, "pinball": cost_H / known_H, "coverage": inside_H / known_H}
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
