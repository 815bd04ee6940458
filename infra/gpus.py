"""GPUs that are asked for: are they there, and which device a process computes on."""

from typing import TYPE_CHECKING

import structlog

from schemas.errors import StackError

if TYPE_CHECKING:
    import torch

GPUS_OPTION = "ray.gpus_per_trainer"
_log = structlog.get_logger(__name__)


def check_gpus(option: str, wanted: float, *, local: bool) -> None:
    """Does the Ray that this process is connected to have so many? A cluster may yet be given them.

    Raises StackError when a local Ray has fewer: it finds no more later.
    """
    import ray

    found: float = ray.cluster_resources().get("GPU", 0.0) if wanted else 0.0  # type: ignore[no-untyped-call]
    if found < wanted and local:
        raise StackError(f"{option}: got {found:g} GPUs on this machine; expected {wanted:g} in all")
    if found < wanted:
        _log.warning("waiting for GPUs", option=option, cluster_has=found, wanted=wanted)


def device_of(option: str, gpus: float) -> "torch.device":
    """Where a process computes that was given so many, or a share of one.

    Raises StackError when torch cannot use the one that Ray has.
    """
    import torch

    if not gpus:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise StackError(f"{option}: got {gpus:g}; expected a GPU that this torch, {torch.__version__}, can use")
    return torch.device("cuda")
