"""Rules as features: nothing at first, then what was learned, alike for every grouping of the rows."""

import numpy as np
import pytest
import torch

from schemas.errors import ModelError
from schemas.layout import Layout
from schemas.monitor import Monitor
from tests.laws.ward import REMEMBERING, WARD, awake, different, run, stream
from trainer.network import Network
from trainer.weights import load_weights, save_weights

PLAIN = Layout(Monitor.model_validate(WARD))
REMEMBERED = Layout(
    Monitor.model_validate(WARD | {"rules": WARD["rules"] + REMEMBERING, "knowledge": {"features": True}})
)
WITH_RULES = Layout(Monitor.model_validate(WARD | {"knowledge": {"features": True}}))


def test_untrained_they_change_no_bit():
    outputs = [run(Network(each).eval(), *stream(60, 5, 0))[0] for each in (PLAIN, WITH_RULES)]
    assert different(*outputs) == []


def test_a_rule_and_its_absence_move_the_odds_by_their_slopes():
    network = Network(WITH_RULES).eval()
    with torch.no_grad():
        network.rule_odds.slopes[0].slope_FC.copy_(torch.tensor([[0.0, 1.0, 2.0], [5.0, 0.0, 0.0]]))
    before = (torch.zeros(2, 3),)
    (odds_NC,) = network.rule_odds(before, torch.tensor([[3.0 * np.sinh(1.0)], [np.nan]], dtype=torch.float64))
    torch.testing.assert_close(odds_NC, torch.tensor([[0.0, 1.0, 2.0], [5.0, 0.0, 0.0]]))


@pytest.mark.parametrize("layout", [WITH_RULES, REMEMBERED], ids=["rules", "rules that remember"])
def test_with_rules_too_outputs_do_not_depend_on_how_the_stream_is_grouped(layout):
    network, rows = awake(Network(layout)), stream(200, 23, 1)
    whole, parts = (run(network, *rows, cuts)[0] for cuts in ([], [17, 50, 51, 150]))
    assert different(whole, parts) == []


def test_weights_without_rules_are_refused_by_a_network_with_them():
    with pytest.raises(ModelError, match=r"weights: rule jump \(an input\) is in the monitor alone"):
        load_weights(WITH_RULES, save_weights(Network(PLAIN)))
