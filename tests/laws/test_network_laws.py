"""What holds for the network whatever its weights."""

import numpy as np
import pytest
import torch
from conftest import layout, stream
from streaming import run

from trainer.network import Network, state_bytes
from trainer.rows import pack

ROWS, ENTITIES = 400, 23


@pytest.mark.parametrize("seed", range(4))
def test_outputs_are_bit_identical_however_the_stream_is_grouped(network, seed):
    entity, values, time_ms = stream(ROWS, ENTITIES, seed)
    cuts = np.sort(np.random.default_rng(seed).integers(0, ROWS, 3 + 12 * seed))
    whole, whole_state = run(network, entity, values, time_ms, [], ENTITIES)
    parts, parts_state = run(network, entity, values, time_ms, cuts, ENTITIES)
    different = [name for name in whole if not np.array_equal(whole[name], parts[name], equal_nan=True)]
    different += [n for n in whole_state if not torch.equal(whole_state[n].nan_to_num(), parts_state[n].nan_to_num())]
    assert different == []
