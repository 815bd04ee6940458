"""`training.weighting` -> how task losses become one."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import cast

from trainer.weighting.evidence import Setting, Stateless, Weighting
from trainer.weighting.fixed import RandomWeights, equal
from trainer.weighting.learned import Famo, GradNorm, Uncertainty
from trainer.weighting.losses import DynamicAverage, geometric, smooth_tchebycheff


def _conflict(name: str, setting: Setting) -> Weighting:
    """Imported only where chosen: torchjd and scipy take half a second."""
    return cast("Weighting", import_module("trainer.weighting.conflict").conflict(name, setting))


WEIGHTINGS: dict[str, Callable[[Setting], Weighting]] = {
    "equal": lambda _: Stateless(equal),
    "uncertainty": Uncertainty,
    "dwa": DynamicAverage,
    "rlw": RandomWeights,
    "gradnorm": GradNorm,
    "famo": Famo,
    "stch": lambda _: Stateless(smooth_tchebycheff),
    "geometric": lambda _: Stateless(geometric),
    "upgrad": partial(_conflict, "upgrad"),
    "mgda": partial(_conflict, "mgda"),
    "pcgrad": partial(_conflict, "pcgrad"),
    "cagrad": partial(_conflict, "cagrad"),
    "nash-mtl": partial(_conflict, "nash-mtl"),
    "aligned": partial(_conflict, "aligned"),
    "imtl-g": partial(_conflict, "imtl-g"),
}
