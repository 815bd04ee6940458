"""GPUs that are asked for and are not there are said so, with the option that asked."""

import pytest
import ray
import torch
from structlog.testing import capture_logs
from torch import distributed

from infra.gpus import GPUS_OPTION, check_gpus, device_of
from infra.place import Place, meet
from schemas.errors import StackError


@pytest.fixture
def cluster(monkeypatch):
    """What Ray has."""
    resources = {"CPU": 4.0}
    monkeypatch.setattr(ray, "cluster_resources", lambda: resources)
    return resources


def test_a_local_ray_without_the_gpus_is_refused(cluster):
    check_gpus(GPUS_OPTION, 0.0, local=True)
    with pytest.raises(StackError, match=r"ray.gpus_per_trainer: got 0 GPUs on this machine; expected 1"):
        check_gpus(GPUS_OPTION, 1.0, local=True)
    cluster["GPU"] = 1.0
    check_gpus(GPUS_OPTION, 1.0, local=True)


def test_a_cluster_may_yet_be_given_them(cluster):
    with capture_logs() as logs:
        check_gpus(GPUS_OPTION, 2.0, local=False)
    assert logs == [
        {"event": "waiting for GPUs", "log_level": "warning", "option": GPUS_OPTION, "cluster_has": 0.0, "wanted": 2.0}
    ]


def test_a_trainer_computes_on_the_gpu_that_it_was_given(monkeypatch):
    assert device_of(GPUS_OPTION, 0.0) == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(StackError, match=r"ray.gpus_per_trainer: got 0.5; expected a GPU that this torch"):
        device_of(GPUS_OPTION, 0.5)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device_of(GPUS_OPTION, 0.5) == torch.device("cuda")


@pytest.mark.skipif(
    torch.cuda.is_available() or not distributed.is_nccl_available(),
    reason="with a GPU this rank would wait for the other; a torch for CPUs alone has no NCCL",
)
def test_ranks_with_a_gpu_each_meet_over_nccl_which_wants_one(monkeypatch):
    monkeypatch.setenv("TORCH_NCCL_BLOCKING_WAIT", "1")
    with pytest.raises(ValueError, match="no GPUs found"):
        meet(Place(formation=1, rank=0, ranks=2, address="127.0.0.1:0"), "127.0.0.1", nccl=True)
