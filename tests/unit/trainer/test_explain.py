"""Explanations of a network whose truth is known, because the data were made so."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from schemas.layout import Layout
from schemas.monitor import Monitor
from tests.laws.ward import awake, layout, stream
from trainer.explain import Explainer, rank_correlation
from trainer.explanation import TOLERANCE, Explained, Question
from trainer.network import Network
from trainer.rows import windows

NAMES = ("cause", "noise", "other")
ROWS, CAUSE, YES = 6, 0, 1
FORECAST, ANOMALY, NOW, THEN = range(4)
MONITOR = {
    "monitor": "made",
    "topics": {"observations": "made"},
    "modalities": [{"name": name, "signals": [{"name": name, "range": [-5, 5]}]} for name in NAMES],
    "tasks": [
        {"name": "forecast", "kind": "forecast"},
        {"name": "anomaly", "kind": "anomaly"},
        {"name": "now", "kind": "event"},
        {"name": "then", "kind": "event"},
    ],
    "model": {"width": 16},
}


def made(windows_drawn: int, seed: int) -> np.ndarray:
    """Coin flips [B, R, S]; `now` is what the cause says in a row, `then` what it said in the one before."""
    return np.random.default_rng(seed).choice([-1.0, 1.0], (windows_drawn, ROWS, len(NAMES)))


def turning(seed: int) -> np.ndarray:
    """Windows whose cause turned in each of the last three rows: the value before cannot stand in for a masked one."""
    drawn = made(400, seed)
    return drawn[(np.diff(drawn[:, -4:, CAUSE]) != 0).all(axis=1)][:5]


@pytest.fixture(scope="module")
def taught() -> Network:
    network = Network(Layout(Monitor.model_validate(MONITOR))).train()
    optimiser = torch.optim.Adam(network.parameters(), 0.03)
    for step in range(40):
        value_BRS = made(32, step)
        rows = windows(value_BRS, np.broadcast_to(60.0 * np.arange(ROWS), (32, ROWS)))
        outputs, _ = network(rows, network.initial(32) | {"hidden": torch.zeros(32, *network.trunk.state_shape)})
        yes_N = (rows.value_NS[:, CAUSE] > 0).long()
        loss = cross_entropy(outputs.states[0], yes_N) + cross_entropy(outputs.states[1][32:], yes_N[:-32])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network


def asked(network: Network, task: int) -> list[Explained]:
    return [
        Explainer(network, values, 60.0 * np.arange(ROWS)).explain(Question(task, YES)) for values in turning(1_000)
    ]


def first(sizes: np.ndarray) -> tuple[int, ...]:
    return tuple(int(place) for place in np.unravel_index(np.abs(sizes).argmax(), sizes.shape))


def test_the_signal_and_row_an_answer_hangs_on_come_first_in_both_ways(taught: Network) -> None:
    for explained in asked(taught, NOW):
        assert first(explained.gradients.by_row_RS) == first(explained.ablation.cell_RS) == (ROWS - 1, CAUSE)


def test_an_earlier_row_comes_first_where_the_answer_hangs_on_it(taught: Network) -> None:
    found = asked(taught, THEN)
    assert [first(each.ablation.cell_RS) for each in found] == [(ROWS - 2, CAUSE)] * 5
    assert [first(each.gradients.by_row_RS.sum(0)) for each in found] == [(CAUSE,)] * 5


def test_attention_that_ranks_modalities_as_ablation_does_is_said_to(taught: Network) -> None:
    for explained in asked(taught, NOW):
        agreement = rank_correlation(explained.attention_M, np.abs(explained.ablation.modality_M))
        assert explained.agreement == agreement
        assert first(explained.ablation.modality_M) == (CAUSE,)


@pytest.mark.parametrize(("task", "choice"), [(FORECAST, 0), (ANOMALY, 0), (2, 2)])
@pytest.mark.parametrize("sharing", ["hard", "twins", "mmoe"])
def test_integrated_gradients_are_complete_with_gaps_and_every_scope(task: int, choice: int, sharing: str) -> None:
    network = awake(Network(layout(sharing=sharing)))
    _, values, time_ms = stream(12, 1, seed=3)
    explained = Explainer(network, values, time_ms / 1_000.0).explain(Question(task, choice))
    gradients = explained.gradients
    total = gradients.by_row_RS.sum() + gradients.residual_S.sum()
    assert gradients.complete
    assert total == pytest.approx(gradients.change, abs=TOLERANCE * max(1.0, abs(gradients.change)))


def test_what_never_came_has_no_part() -> None:
    network = awake(Network(layout()))
    _, values, time_ms = stream(12, 1, seed=3)
    values[:, 5] = np.nan
    explained = Explainer(network, values, time_ms / 1_000.0).explain(Question(2, 1))
    parts = (explained.gradients.by_row_RS[:, 5], explained.ablation.cell_RS[:, 5], explained.attention_M[2:3])
    assert [float(np.abs(part).sum()) for part in parts] == [0.0, 0.0, 0.0]


def test_ranks_agree_disagree_or_say_nothing() -> None:
    rising = np.array([0.1, 0.2, 0.7])
    assert (rank_correlation(rising, rising**3), rank_correlation(rising, -rising)) == (1.0, -1.0)
    assert rank_correlation(rising, np.ones(3)) is None
