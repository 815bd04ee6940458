import pytest
from pydantic import ValidationError

from schemas.loss import LOSSES, Loss
from schemas.task import Task

STATE = {"classes": ["calm", "storm"], "target": {"rule": "jump", "cuts": [1.5], "within": 4}}


def task(kind, **settings) -> Task:
    return Task.model_validate({"name": "asked", "kind": kind} | (STATE if kind == "state" else {}) | settings)


@pytest.mark.parametrize("kind", LOSSES)
def test_a_task_learns_by_the_first_loss_of_its_kind_unless_told_otherwise(kind):
    assert task(kind).criterion == Loss(name=LOSSES[kind][0])


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in LOSSES.items() for name in names])
def test_every_loss_can_be_named_in_one_word(kind, name):
    assert task(kind, loss=name).criterion.name == name


def test_options_stand_beside_the_name():
    assert task("state", loss={"name": "focal", "gamma": 1, "balanced": True}).loss == Loss(
        name="focal", gamma=1.0, balanced=True
    )


@pytest.mark.parametrize(
    ("kind", "loss", "said"),
    [
        ("forecast", "focal", "loss: expected pinball, huber or mse for kind forecast, got 'focal'"),
        ("state", "mse", "loss: expected cross-entropy or focal for kind state, got 'mse'"),
        ("anomaly", "cross-entropy", "loss: expected binary-cross-entropy or focal for kind anomaly, got 'cross-ent"),
        ("event", "hinge", "loss: expected binary-cross-entropy or focal for kind event, got 'hinge'"),
        ("forecast", {"name": "mse", "delta": 2}, "loss.delta: expected none for kind forecast and loss mse, got 2.0"),
        (
            "state",
            {"name": "cross-entropy", "gamma": 1},
            "loss.gamma: expected none for kind state and loss cross-entropy",
        ),
        (
            "anomaly",
            {"name": "focal", "balanced": True},
            "loss.balanced: expected none for kind anomaly and loss focal",
        ),
    ],
)
def test_what_does_not_fit_the_kind_is_refused_with_what_would(kind, loss, said):
    with pytest.raises(ValidationError) as refused:
        task(kind, loss=loss)
    assert said in str(refused.value)


def test_a_loss_survives_being_written_down_and_read_again():
    described = task("event", loss={"name": "focal", "gamma": 3, "balanced": True}).model_dump(mode="json")
    assert Task.model_validate(described).model_dump(mode="json") == described
