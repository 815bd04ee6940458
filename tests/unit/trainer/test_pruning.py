"""Units left out: every weight that touches one is known, the least important go, and a smaller network serves."""

import numpy as np
import pytest
import torch

from schemas.errors import ModelError
from schemas.layout import Layout
from schemas.monitor import Monitor
from tests.laws.ward import GATE, autoregressive, awake, batch, different, layout, run, stream
from trainer.cells import CELLS
from trainer.chapter import chapter_of
from trainer.history import pieces_of, streams_of
from trainer.network import Network
from trainer.pruning import cut, importance_of, narrower
from trainer.sharing import STRATEGIES
from trainer.transfer import transfer
from trainer.units import axes_of, spaces_of
from trainer.weights import at_width, load_weights, save_weights, widths_below

WIDE, NARROW = 16, 8
ROWS, ENTITIES = 40, 3
MODELS = [*({"cell": cell} for cell in CELLS), *({"sharing": sharing} for sharing in (*STRATEGIES, "twins"))]
NOT_OUTPUTS = {"shared", "read_ND"}
"""Units in their order: what differs when that does."""


def of_width(width: int, **model) -> Network:
    """Every weight moved far enough that each one's place shows, and states that fade."""
    network = awake(Network(layout(width=width, experts=2, half_state=False, **model)))
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.endswith("decay_M1C"):
                weight.normal_(generator=torch.Generator().manual_seed(3))
    return network


def shuffled(network: Network) -> dict[str, torch.Tensor]:
    """All units of every space, in another order within each part."""
    chance = torch.Generator().manual_seed(0)
    spaces = spaces_of(network.layout, axes_of(network))
    return {name: _order(space.units // space.parts, space.parts, chance) for name, space in spaces.items()}


def _order(units: int, parts: int, chance: torch.Generator) -> torch.Tensor:
    return torch.cat([part * units + torch.randperm(units, generator=chance) for part in range(parts)])


def firsts(network: Network, width: int) -> dict[str, torch.Tensor]:
    """The first units of each part, as many as a network of this width has."""
    axes = axes_of(network)
    wide, narrow = (spaces_of(each, axes) for each in (network.layout, at_width(network.layout, width)))
    numbers = {name: torch.arange(space.units).view(space.parts, -1) for name, space in wide.items()}
    return {name: each[:, : narrow[name].units // narrow[name].parts].flatten() for name, each in numbers.items()}


def chapters(ward: Layout):
    """Two steps' worth of rows."""
    found = streams_of([batch(*each) for each in autoregressive(24, 8, 0)], ward, {}, []).values()
    pieces = pieces_of(list(found), ward)
    rng = np.random.default_rng(0)
    return [chapter_of(each, ward, rng) for each in (pieces[:4], pieces[4:])]


def assert_close(one, other) -> None:
    """The same, as far as sums in another order can be."""
    for name in one.keys() - NOT_OUTPUTS:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-3, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("detached", [False, True], ids=["shared", "private"])
@pytest.mark.parametrize("model", MODELS, ids=lambda model: next(iter(model.values())))
def test_the_order_of_units_changes_no_output_so_that_every_weight_of_a_unit_is_known(model, detached):
    network = of_width(WIDE, **model)
    network.private.detach_tasks([detached] * 3)
    asked = stream(ROWS, ENTITIES, 0)
    assert_close(run(network, *asked)[0], run(cut(network, shuffled(network), WIDE), *asked)[0])


def test_the_order_of_units_changes_no_output_of_frames_and_embeddings():
    rng = np.random.default_rng(0)
    network = awake(Network(Layout(Monitor.model_validate(GATE | {"model": {"width": WIDE, "half_state": False}}))))
    vectors = {"camera": rng.integers(0, 256, (ROWS, 3, 8, 12)).astype(np.uint8), "sound": rng.normal(size=(ROWS, 5))}
    vectors["sound"] = vectors["sound"].astype(np.float32)
    asked = np.arange(ROWS) % ENTITIES, rng.normal(size=(ROWS, len(network.layout.signals))), 9_000 * np.arange(ROWS)
    other = cut(network, shuffled(network), WIDE)
    assert_close(run(network, *asked, vectors=vectors)[0], run(other, *asked, vectors=vectors)[0])


@pytest.mark.parametrize("model", MODELS, ids=lambda model: next(iter(model.values())))
def test_what_is_left_is_a_network_of_that_width_which_serves_where_the_wide_one_did(model):
    network = of_width(WIDE, **model)
    small = cut(network, firsts(network, NARROW), NARROW)
    loaded = load_weights(network.layout, save_weights(small)).eval()
    plain = Network(layout(width=NARROW, experts=2, half_state=False, **model))
    assert [weight.shape for weight in loaded.parameters()] == [weight.shape for weight in plain.parameters()]
    asked = stream(ROWS, ENTITIES, 1)
    assert different(run(small, *asked)[0], run(loaded, *asked)[0]) == []


@pytest.mark.parametrize("cell", CELLS)
def test_entities_go_on_where_they_were_when_a_cut_network_takes_over(cell):
    """A network of which nothing but the order of units was changed, so that it should say the same."""
    network = of_width(WIDE, cell=cell)
    other = cut(network, shuffled(network), WIDE)
    entity, values, time_ms = stream(ROWS, 1, 2)
    _, state = run(network, entity[:30], values[:30], time_ms[:30])
    whole, _ = run(network, entity, values, time_ms)
    moved = {name: torch.from_numpy(part) for name, part in state.items()}
    moved["hidden"] = moved["hidden"][..., other.column_X]
    other.initial = lambda _: moved
    rest, _ = run(other, entity[30:], values[30:], time_ms[30:])
    assert_close({name: value[30:] for name, value in whole.items()}, rest)


def test_in_a_wider_state_a_cut_network_says_the_same_and_leaves_the_columns_of_others_alone():
    network = of_width(WIDE)
    small = cut(network, firsts(network, NARROW), NARROW)
    asked = stream(ROWS, ENTITIES, 3)
    said, state = run(small, *asked)
    start = network.initial(ENTITIES)
    start["hidden"][..., NARROW:] = 7.0
    small.initial = lambda _: start
    said_wide, state_wide = run(small, *asked)
    assert different(said, said_wide) == []
    assert np.array_equal(state_wide["hidden"][..., :NARROW], state["hidden"])
    assert (state_wide["hidden"][..., NARROW:] == 7.0).all()


def test_a_cut_file_is_as_any_other_where_its_own_width_is_configured_and_refused_at_a_third():
    network = of_width(24)
    content = save_weights(cut(network, firsts(network, 16), 16))
    assert load_weights(network.layout, content).cut_from == 24
    plain = load_weights(at_width(network.layout, 16), content)
    assert (plain.cut_from, "column_X" in plain.state_dict()) == (None, False)
    with pytest.raises(ModelError, match="width is 16 in the file, 32 in the monitor"):
        load_weights(at_width(network.layout, 32), content)


def test_what_was_cut_can_be_cut_again():
    network = of_width(24)
    middle = cut(network, firsts(network, 16) | {"token": torch.arange(8, 24)}, 16)
    small = cut(middle, firsts(middle, 8) | {"token": torch.arange(4, 12)}, 8)
    assert (small.cut_from, small.column_X.tolist()) == (24, list(range(12, 20)))


def test_another_domain_starts_from_a_cut_file_at_its_width():
    network = of_width(24)
    content = save_weights(cut(network, firsts(network, 16), 16))
    seeds = {"half_state": False, "experts": 2, "seed": 5}
    found = transfer(layout(width=24, **seeds), content)
    assert (found.network.layout.monitor.model.width, found.fresh) == (16, ())


def test_units_that_no_loss_depends_on_are_the_least_important_and_are_left_out():
    network = of_width(WIDE)
    useless = torch.arange(WIDE) % 2 == 1
    with torch.no_grad():
        for heads in (network, network.private):
            heads.anomaly.out.weight[:, useless] = 0.0
            heads.anomaly.hidden.weight[useless] = 0.0
            heads.anomaly.hidden.bias[useless] = 0.0
    rows = chapters(network.layout)
    assert torch.equal(importance_of(network, rows)["judge"] == 0.0, useless)
    small = narrower(network, rows, NARROW)
    assert torch.equal(small.anomaly.out.weight, network.anomaly.out.weight[:, ~useless])


def test_each_attention_head_keeps_as_many_units_as_the_other():
    network = of_width(WIDE)
    with torch.no_grad():
        network.trunk.fusion.value_DD[: WIDE // 2] *= 100.0
    marked = network.trunk.fusion.null_D1
    with torch.no_grad():
        marked.copy_(torch.arange(WIDE)[:, None])
    kept = narrower(network, chapters(network.layout), NARROW).trunk.fusion.null_D1.flatten()
    assert (kept < WIDE // 2).sum() == NARROW // 2


def test_widths_below_are_those_that_could_be_configured():
    assert widths_below(layout(width=48, heads=3).monitor.model) == [24]
