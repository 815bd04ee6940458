import numpy as np
import pytest
import torch

from schemas.layout import Layout
from schemas.monitor import Monitor
from tests.laws.ward import GATE, awake, layout, run, stream
from trainer.cells import CELLS
from trainer.network import Network
from trainer.pruning import cut
from trainer.sharing import STRATEGIES
from trainer.units import axes_of, spaces_of
from trainer.weights import at_width

WIDE, NARROW = 16, 8
ROWS, ENTITIES = 40, 3
MODELS = [*({"cell": cell} for cell in CELLS), *({"sharing": sharing} for sharing in (*STRATEGIES, "twins"))]


def renumbered(network: Network, seed: int = 0) -> dict[str, torch.Tensor]:
    """Every unit of every space, in another order within its part."""
    chance = torch.Generator().manual_seed(seed)
    spaces = spaces_of(network.layout, axes_of(network))
    return {name: _shuffled(space.units, space.parts, chance) for name, space in spaces.items()}


def _shuffled(units: int, parts: int, chance: torch.Generator) -> torch.Tensor:
    each = units // parts
    return torch.cat([part * each + torch.randperm(each, generator=chance) for part in range(parts)])


def firsts(network: Network, width: int) -> dict[str, torch.Tensor]:
    """Of each part the first units."""
    narrow = spaces_of(at_width(network.layout, width), axes_of(network))
    wide = spaces_of(network.layout, axes_of(network))
    return {
        name: torch.arange(space.units).view(space.parts, -1)[:, : narrow[name].units // space.parts].flatten()
        for name, space in wide.items()
    }


@pytest.mark.parametrize("model", MODELS, ids=lambda model: next(iter(model.values())))
def test_the_order_of_units_does_not_matter_so_that_every_weight_of_a_unit_is_known(model):
    network = awake(Network(layout(width=WIDE, experts=2, half_state=False, **model)))
    other = cut(network, renumbered(network), WIDE)
    asked = stream(ROWS, ENTITIES, 0)
    (as_it_was, _), (as_renumbered, _) = run(network, *asked), run(other, *asked)
    for name in as_it_was.keys() - {"shared", "read_ND"}:
        np.testing.assert_allclose(as_it_was[name], as_renumbered[name], rtol=1e-3, atol=1e-4, err_msg=name)


def test_frames_and_embeddings_are_renumbered_too():
    gate = Layout(Monitor.model_validate(GATE | {"model": {"width": WIDE}}))
    network = awake(Network(gate))
    axes = axes_of(network)
    assert [name for name in network.state_dict() if ".vectors." in name and name not in axes] == [
        f"trunk.encoder.vectors.camera.frames.{layer}.{part}"
        for layer in ("first", "second")
        for part in ("weight", "bias")
    ]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: next(iter(model.values())))
def test_what_is_left_has_the_sizes_of_a_network_of_that_width(model):
    network = awake(Network(layout(width=WIDE, experts=2, **model)))
    small, plain = cut(network, firsts(network, NARROW), NARROW), Network(layout(width=NARROW, experts=2, **model))
    shapes = {name: weight.shape for name, weight in small.state_dict().items() if name != "column_X"}
    assert shapes == {name: weight.shape for name, weight in plain.state_dict().items()}
