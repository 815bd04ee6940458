"""Whatever ends a trainer, scoring goes on: it is replaced, after a pause. A shard's own errors are raised."""

import pytest
import ray

from infra.deployment import Deployment, Member
from infra.settings import load_monitor
from schemas.errors import ModelError, StackError


@pytest.fixture
def lives(monkeypatch: pytest.MonkeyPatch) -> dict[str, Exception]:
    """Of each life that has ended what it ended with."""
    ended: dict[str, Exception] = {}

    def get(life: str, **_: object) -> None:
        raise ended[life]

    monkeypatch.setattr(ray, "wait", lambda lives, **_: ([each for each in lives if each in ended], []))
    monkeypatch.setattr(ray, "get", get)
    monkeypatch.setattr(ray, "kill", lambda _: None)
    monkeypatch.setattr(Deployment, "_new", lambda _, name, index: Member(name, index, "successor"))
    return ended


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """A shard and a trainer."""
    found = Deployment(load_monitor("health", {}))
    monkeypatch.setattr(Deployment, "_begin", lambda _, member: member)
    found.members = [Member(name, 0, name, life=name) for name in ("shard", "trainer")]
    return found


def replaced_after(deployment: Deployment, seconds: float) -> int:
    """How many, so long after the end was seen."""
    deployment.heal()
    for member in deployment.members:
        member.ended = None if member.ended is None else member.ended - seconds
    deployment.heal()
    return deployment.replaced


@pytest.mark.parametrize("error", [ModelError("disk full"), StackError("no GPU"), RuntimeError("a bug")], ids=str)
def test_a_trainer_is_replaced_whatever_ended_it_after_a_pause(
    deployment: Deployment, lives: dict[str, Exception], error: Exception
) -> None:
    lives["trainer"] = error
    assert replaced_after(deployment, 1.0) == 0
    assert replaced_after(deployment, 60.0) == 1
    assert [member.actor for member in deployment.members] == ["shard", "successor"]


def test_one_that_is_killed_is_replaced_at_once(deployment: Deployment, lives: dict[str, Exception]) -> None:
    lives["trainer"] = ray.exceptions.RayActorError()
    deployment.heal()
    assert deployment.replaced == 1


def test_an_error_of_a_shard_is_raised(deployment: Deployment, lives: dict[str, Exception]) -> None:
    lives["shard"] = ModelError("a bug")
    with pytest.raises(ModelError, match="a bug"):
        deployment.heal()


@pytest.mark.parametrize(("events", "trainers"), [((5, 0), 1), ((0, 0), 0), ((5, None), 0)])
def test_learning_begins_once_all_shards_are_there_and_any_scores(
    deployment: Deployment, lives: dict[str, Exception], events: tuple[int | None, ...], trainers: int
) -> None:
    del lives
    deployment.monitor = deployment.monitor.model_copy(
        update={"ray": deployment.monitor.ray.model_copy(update={"shards": 2})}
    )
    deployment.members = [
        Member("shard", index, "shard", life="shard", last={} if seen is None else {"events": seen})
        for index, seen in enumerate(events)
    ]
    deployment.heal()
    assert sum(member.name == "trainer" for member in deployment.members) == trainers
