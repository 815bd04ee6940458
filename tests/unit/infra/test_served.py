"""What a report says of sharing is true of the versions that answered."""

from infra.backtest.served import ways_served
from infra.memory import MemoryRegistry
from tests.laws.ward import layout
from trainer.network import Network
from trainer.weights import save_weights


def test_each_row_counts_for_the_way_of_the_version_that_answered_it() -> None:
    ward, registry = layout(), MemoryRegistry()
    network = Network(ward)
    for detached in ([False, False, False], [True, False, True], [True, False, False], [True, True, True]):
        network.private.detach_tasks(detached)
        registry.publish(save_weights(network), None, {})
    served = ways_served(ward, registry, {0: 7, 1: 100, 2: 20, 3: 3})  # the fourth answered nothing
    assert served == {
        "forecast": {"path": "private", "private_rows": 23},
        "anomaly": {"path": "shared", "private_rows": 0},
        "soon": {"path": "shared", "private_rows": 20},
    }


def test_nothing_is_said_where_no_network_answered() -> None:
    assert ways_served(layout(), MemoryRegistry(), {0: 7}) == {}
