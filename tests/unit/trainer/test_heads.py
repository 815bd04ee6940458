"""What a network says before it has learned anything."""

import torch

from tests.laws.ward import layout, stream
from trainer.network import Network
from trainer.rows import pack


def test_an_untrained_network_says_where_its_rules_stand_and_nothing_else():
    entity, values, time_ms = stream(200, 9, 0)
    network = Network(layout()).eval()
    rows, _, _ = pack(entity, values, time_ms, network.layout)
    with torch.inference_mode():
        outputs, _ = network(rows, network.initial(rows.waves[0]))
    assert outputs.anomaly_N.sigmoid().unique().tolist() == [0.5]
    assert all(map(torch.equal, outputs.states, network.standing(outputs.standing)))
