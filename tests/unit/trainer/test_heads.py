"""What a network says before it has learned anything."""

import torch

from tests.laws.ward import layout, stream
from trainer.network import Network
from trainer.rows import pack


def test_an_untrained_network_says_that_nothing_is_known():
    entity, values, time_ms = stream(200, 9, 0)
    network = Network(layout()).eval()
    rows, _, _ = pack(entity, values, time_ms, network.layout)
    with torch.inference_mode():
        outputs, _ = network(rows, network.initial(rows.waves[0]))
    said = [outputs.anomaly_N.sigmoid(), *(logits.softmax(-1) for logits in outputs.states)]
    assert [each.unique().tolist() for each in said] == [[0.5], torch.ones(3).div(3).unique().tolist()]
