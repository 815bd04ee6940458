"""Learning online on another device: no step mixes devices, and what is learned is what is learned here."""

import pytest
import torch

from infra.memory import MemoryRegistry
from schemas.label import Label
from schemas.layout import Layout
from schemas.monitor import Monitor
from tests.integration.test_fit_elsewhere import KNOWLEDGE, Alone
from tests.laws.ward import WARD, batch
from tests.pretended import ELSEWHERE, PretendedDevice
from tests.unit.trainer.test_adaptation import stream
from trainer.checkpoint import packed, unpacked
from trainer.learner import Learner
from trainer.network import Network
from trainer.weights import load_weights, save_weights

STEPS = 80


def ward(**training) -> Layout:
    """Adapters learn, past windows are learned again, canaries are asked, relations and knowledge are used."""
    settings = {
        "window": 8,
        "windows_per_step": 16,
        "gate_windows": 32,
        "similarity_every": 2,
        "refuse_in_a_row": 0,
        "drift": {"adapt_every": 32, "burst_steps": 4},
        "canary": {"windows": 32, "every": 8},
    }
    parts = {
        "tasks": [*WARD["tasks"], {"name": "death", "kind": "event"}],
        "training": settings | training,
        "model": {"width": 8, "private": 8, "similarity_bias": 0.5},
        "knowledge": KNOWLEDGE,
    }
    return Layout(Monitor.model_validate(WARD | parts))


def learned(learner: Learner, first: int, end: int) -> list:
    """Rows, of which all turn around half way, and labels now and then."""
    reports = []
    for number, (entity, values, time_ms) in enumerate(stream(STEPS, 2, drift_at=STEPS // 2)):
        if first <= number < end:
            reports += learner.observe(batch(entity, values, time_ms, first_offset=16 * number))
            learner.publish_if_proved()
            if number % 20 == 19:
                told = [Label(name, "death", None, int(name[-1]) % 2, None, "anna") for name in map(str, entity)]
                reports += learner.teach(told)
    return reports


def both_halves(layout: Layout, device: torch.device | None, group=None) -> tuple[list, Network, MemoryRegistry]:
    """One learner goes half the way, another the rest from what that one wrote down."""
    registry = MemoryRegistry()
    registry.publish_first(save_weights(Network(layout)))
    one, other = (Learner(layout, 0, registry, labelled=True, group=group, device=device) for _ in range(2))
    reports = learned(one, 0, STEPS // 2)
    state = packed(one.state_dict())
    other.load_state_dict(unpacked(state))
    reports += learned(other, STEPS // 2, STEPS)
    return reports, load_weights(layout, save_weights(other.candidate.network)), registry


def same(one: tuple[list, Network, MemoryRegistry], other: tuple[list, Network, MemoryRegistry]) -> None:
    """Steps, weights and versions; more happened than plain steps."""
    (reports, network, registry), (there, moved, elsewhere) = one, other
    assert any(report.taught for report in reports)
    assert "burst" in {action.kind for *_, action in registry.actions}
    assert [each.losses for each in there] == [pytest.approx(each.losses, rel=1e-4) for each in reports]
    for weight, same in zip(network.parameters(), moved.parameters(), strict=True):
        torch.testing.assert_close(weight, same, rtol=1e-4, atol=1e-5)
    assert elsewhere.newest == registry.newest > 1


def test_what_is_learned_elsewhere_is_what_is_learned_here():
    here = both_halves(ward(weighting="famo"), None)
    with PretendedDevice() as device:
        there = both_halves(ward(weighting="famo"), ELSEWHERE)
        assert not any(map(device.has, there[1].parameters()))
    same(here, there)


def test_ranks_that_add_up_elsewhere_alone_give_their_group_nothing_else(monkeypatch):
    device = PretendedDevice()
    group = Alone(device)
    group.lend(monkeypatch)
    with device:
        there = both_halves(ward(weighting="upgrad"), ELSEWHERE, group)
    assert group.reduced > 0
    same(both_halves(ward(weighting="upgrad"), None), there)
