"""What each cell promises by itself. M modalities, N rows, E entities, D width, L slots, C channels."""

from typing import get_args

import pytest
import torch
from pydantic import ValidationError

from schemas.components import ModelSettings
from tests.laws.ward import awake, layout, run, stream
from trainer.cells import CELLS, LinearCell
from trainer.cells.ssm import SsmCell
from trainer.network import Network
from trainer.rows import windows

M, E, D = 3, 32, 16
LINEAR = ("mingru", "ssm", "retention")
WINDOWS = {"convolution": 8, "transformer": 16}


def built(cell: str):
    torch.manual_seed(1)
    return CELLS[cell](M, D)


def state_of(cell, seed=2):
    return torch.randn(M, E, cell.slots, cell.channels, generator=torch.Generator().manual_seed(seed))


def driven(cell, rows, absent=0.0, keep=0.9, seed=3):
    """Inputs of so many rows, and what they drive the cell with."""
    x_MND = torch.randn(M, rows, D, generator=torch.Generator().manual_seed(seed))
    return x_MND, cell.drive(x_MND, torch.full((M, rows, cell.channels), keep), torch.full((M, rows, 1), absent))


def stepped(cell, state, drive):
    """States after all rows, wave by wave."""
    states = []
    for wave in zip(*(each.split(E, 1) for each in drive), strict=True):
        state = cell.step(state, wave)
        states.append(state)
    return torch.cat(states, 1)


def test_the_setting_offers_every_cell():
    assert get_args(ModelSettings.model_fields["cell"].annotation) == tuple(CELLS)


def test_an_unknown_cell_is_answered_with_the_known_ones():
    with pytest.raises(ValidationError) as refused:
        ModelSettings(cell="lstm")
    assert all(f"'{name}'" in str(refused.value) for name in CELLS)


def test_a_modality_costs_so_many_bytes_in_half_precision_at_the_default_width():
    cells = {name: make(1, 32) for name, make in CELLS.items()}
    assert {name: 2 * cell.slots * cell.channels for name, cell in cells.items()} == {
        "gru": 64,
        "mingru": 64,
        "ssm": 64,
        "retention": 512,
        "convolution": 256,
        "transformer": 512,
    }


@pytest.mark.parametrize("name", CELLS)
def test_a_row_without_the_modality_leaves_the_state_exactly_as_it_was(name):
    cell = built(name)
    before = state_of(cell)
    assert torch.equal(cell.step(before, driven(cell, E, absent=1.0, keep=1.0)[1]), before)


@pytest.mark.parametrize("name", CELLS)
def test_what_time_has_erased_is_as_if_it_had_never_been(name):
    cell = built(name)
    state, (_, drive) = state_of(cell), driven(cell, E, keep=0.0)
    assert torch.equal(cell.step(state, drive), cell.step(torch.zeros_like(state), drive))


@pytest.mark.parametrize("name", CELLS)
def test_the_past_is_seen_in_what_is_read(name):
    cell = built(name)
    x, drive = driven(cell, E)
    read = [cell.read(x, cell.step(state_of(cell, seed), drive)) for seed in (2, 3)]
    assert (read[0] - read[1]).abs().amax(-1).min() > 1e-3


@pytest.mark.parametrize(("name", "entries"), WINDOWS.items())
def test_a_window_forgets_what_is_older_than_its_entries(name, entries):
    cell = built(name)
    _, drive = driven(cell, entries * E)
    states = [stepped(cell, state_of(cell, seed), drive) for seed in (2, 3)]
    same = [torch.equal(*(each[:, wave * E : wave * E + E] for each in states)) for wave in range(entries)]
    assert same == [False] * (entries - 1) + [True]


@pytest.mark.parametrize("waves", [1, 2, 7, 16])
@pytest.mark.parametrize("name", LINEAR)
def test_a_scan_agrees_with_its_steps_and_so_do_its_gradients(name, waves):
    cell = built(name)
    state, (x, drive) = state_of(cell), driven(cell, waves * E)
    seen = []
    for states in (stepped(cell, state, drive), cell.scan(state, drive)):
        loss = cell.read(x, states).square().mean()
        seen.append([states, *torch.autograd.grad(loss, list(cell.parameters()), retain_graph=True)])
    assert all(by_scan.allclose(by_steps, rtol=1e-5, atol=1e-5) for by_steps, by_scan in zip(*seen, strict=True))


@pytest.mark.parametrize("name", LINEAR)
def test_a_network_learns_the_same_by_scan_as_by_steps(name, monkeypatch):
    network = awake(Network(layout(cell=name))).train()
    _, values, time_ms = stream(24, 1, 2)
    rows = windows(values[None], time_ms[None] / 1000.0)
    state = network.initial(rows.waves[0])
    by_steps = network(rows, state)[0].anomaly_N
    monkeypatch.setattr("trainer.encoder._scan_pays", lambda *_: True)
    by_scan = network(rows, state)[0].anomaly_N
    assert by_scan.allclose(by_steps, rtol=1e-5, atol=1e-5)


def test_only_linear_cells_can_scan():
    assert tuple(name for name in CELLS if isinstance(built(name), LinearCell)) == LINEAR


def test_a_state_too_large_for_half_precision_stops_at_its_largest_number():
    network = awake(Network(layout(cell="ssm")))
    (cell,) = (part for part in network.modules() if isinstance(part, SsmCell))
    with torch.no_grad():
        cell.input_MDX.mul_(1e6)
    _, state = run(network, *stream(60, 3, 5))
    assert abs(state["hidden"]).max() == torch.finfo(torch.float16).max
