"""A fit on another device: everything that the network learns from is there, and says the same."""

import numpy as np
import pytest
import torch
from torch import distributed

from schemas.layout import Layout
from schemas.monitor import Monitor
from tests.laws.ward import WARD, autoregressive, batch
from tests.pretended import ELSEWHERE, PretendedDevice
from trainer.fit import Fit, meet
from trainer.history import pieces_of, streams_of
from trainer.network import Network
from trainer.pretraining import pretrain

BALANCED = {"loss": {"name": "cross-entropy", "balanced": True}}
KNOWLEDGE = {
    "features": True,
    "monotone": ["soon"],
    "relations": [{"name": "generation", "by": "age", "groups": {"old": [60, 61], "young": [20]}}],
    "bounds": True,
    "weight": 0.1,
    "orders": [["sbp", "hr"]],
}


def ward(**model) -> Layout:
    weighting = model.pop("weighting", "equal")
    tasks = [task | (BALANCED if task["kind"] == "state" else {}) for task in WARD["tasks"]]
    parts = {
        "tasks": [*tasks, {"name": "death", "kind": "event"}],
        "training": {"window": 8, "weighting": weighting, "similarity_every": 2, "gradients_every": 3},
        "fitting": {"epochs": 2, "pretrain": 1, "pieces_per_step": 1},
        "model": {"width": 8, "private": 8, "similarity_bias": 0.5} | model,
        "knowledge": KNOWLEDGE,
    }
    return Layout(Monitor.model_validate(WARD | parts))


def losses(layout, device, group=None):
    """Validation losses of an epoch of pretraining and of one after it."""
    rows = [batch(*each) for each in autoregressive(14, 5, 0)]
    found = list(streams_of(rows, layout, {}, []).values())
    network = Network(layout)
    meet(network, found[:3])
    learned, judged = pieces_of(found[:3], layout), pieces_of(found[3:], layout)
    first = list(pretrain(network, layout, learned, judged, 0, group, device))
    fit = Fit(network, layout, learned, judged, 0, group, device)
    return [dict(epoch.validation.losses) for epoch in (*first, fit.epoch())]


@pytest.mark.parametrize(
    "model", [{"weighting": "famo"}, {"weighting": "upgrad"}, {"weighting": "gradnorm"}, {"sharing": "twins"}], ids=str
)
def test_a_fit_elsewhere_mixes_no_devices_and_says_what_it_says_here(model):
    here = losses(ward(**model), None)
    with PretendedDevice():
        elsewhere = losses(ward(**model), ELSEWHERE)
    for one, other in zip(here, elsewhere, strict=True):
        assert other == pytest.approx(one, rel=1e-4)


class Alone:
    """A group of one rank that adds up on GPUs alone, as NCCL does."""

    def __init__(self, device: PretendedDevice) -> None:
        self._device, self.reduced = device, 0

    def lend(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let torch's collectives be its own."""
        monkeypatch.setattr(distributed, "all_reduce", self.reduce)
        monkeypatch.setattr(distributed, "get_rank", lambda _: 0)
        monkeypatch.setattr(distributed, "get_world_size", lambda _: 1)
        monkeypatch.setattr(distributed, "all_gather", self.gather)

    def size(self) -> int:
        return 1

    def rank(self) -> int:
        return 0

    def name(self) -> str:
        return "nccl"

    def reduce(self, values, *_, **__) -> None:
        assert self._device.has(values)
        self.reduced += 1

    def gather(self, found, values, **__) -> None:
        assert self._device.has(values)
        found[0].copy_(values)


def test_a_group_that_adds_up_elsewhere_alone_is_given_nothing_else(monkeypatch):
    device = PretendedDevice()
    group = Alone(device)
    group.lend(monkeypatch)
    with device:
        seen = losses(ward(weighting="upgrad"), ELSEWHERE, group)
    assert group.reduced > 0
    assert seen[-1] == pytest.approx(losses(ward(weighting="upgrad"), None)[-1], rel=1e-4)
    assert np.isfinite(list(seen[-1].values())).all()


def test_what_a_real_device_would_refuse_is_refused():
    with PretendedDevice():
        there = torch.ones(3).to(ELSEWHERE)
        with pytest.raises(RuntimeError, match="two devices"):
            there + torch.ones(3)
        with pytest.raises(TypeError, match="elsewhere"):
            there.numpy()
        assert (there * 2.0).device == ELSEWHERE
