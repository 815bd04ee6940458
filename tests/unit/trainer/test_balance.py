import pytest
import torch

from infra.memory import MemoryRegistry
from schemas.layout import Layout
from schemas.monitor import Monitor
from tests.laws.ward import TRAINING, WARD, autoregressive, batch
from trainer.balance import Balance
from trainer.learner import Learner

BALANCED = {"name": "cross-entropy", "balanced": True}
UNKNOWN = torch.tensor([-1, -1])


def layout() -> Layout:
    tasks = [task | ({"loss": BALANCED} if task["kind"] == "state" else {}) for task in WARD["tasks"]]
    tasks.append({"name": "death", "kind": "event"})
    return Layout(Monitor.model_validate(WARD | {"tasks": tasks, "training": TRAINING}))


def counted(*steps) -> torch.Tensor:
    """Weights of the three classes of the state task after steps with these classes."""
    balance = Balance(layout())
    for classes in steps:
        balance.count((torch.tensor(classes), UNKNOWN))
    return balance.weights()["soon"]


def test_only_balanced_tasks_have_weights_and_they_are_alike_at_first():
    weights = {name: weight_C.tolist() for name, weight_C in Balance(layout()).weights().items()}
    assert weights == {"soon": pytest.approx([1.0, 1.0, 1.0])}


def test_a_class_counts_by_the_inverse_of_its_frequency():
    weight_C = counted(*[[0, 0, 0, 0, 0, 0, 1, 1, 2]] * 200)
    assert (weight_C[1] / weight_C[0]).item() == pytest.approx(3.0, rel=0.05)


def test_a_class_that_hardly_ever_came_counts_ten_times_the_commonest():
    weight_C = counted(*[[0] * 20] * 400, [0] * 19 + [2])
    assert (weight_C[2] / weight_C[0]).item() == pytest.approx(10.0)


def test_weights_are_one_in_the_mean_over_rows():
    weight_C = counted(*[[0, 0, 0, 1]] * 500)
    assert (0.75 * weight_C[0] + 0.25 * weight_C[1]).item() == pytest.approx(1.0, rel=0.02)


def test_rows_whose_class_is_unknown_are_not_counted():
    steps = [[0, 0, 1], [2, 2, 0]]
    assert torch.equal(counted(*steps), counted([0, -1, 0, 1], [-1, -1], [2, 2, -1, 0]))


def test_the_learner_counts_what_it_learns_from():
    learner = Learner(layout(), 0, MemoryRegistry())
    for rows in autoregressive(30, 16, 2):
        learner.observe(batch(*rows))
    assert learner.candidate.descent.balance.weights()["soon"].tolist() != pytest.approx([1.0, 1.0, 1.0])
