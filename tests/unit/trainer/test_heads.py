"""What a network says before it has learned anything."""

import pytest
import torch

from tests.laws.ward import awake, layout, stream
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


@pytest.mark.parametrize("residuals", [True, False])
def test_the_anomaly_head_reads_residuals_unless_it_is_told_not_to(residuals):
    network = awake(Network(layout(residuals=residuals)))
    entity, values, time_ms = stream(40, 5, 0)
    rows, order, _ = pack(entity, values, time_ms, network.layout)
    state = network.initial(rows.waves[0])
    said = []
    for expected in (70.0, 90.0):
        known = {"expected": torch.full_like(state["expected"], expected), "spread": torch.ones_like(state["spread"])}
        with torch.inference_mode():
            said.append(network(rows, state | known)[0].anomaly_N[order])
    assert torch.equal(*said) is not residuals
