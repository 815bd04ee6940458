"""Whatever ends a trainer, scoring goes on: it is replaced, after a pause. A shard's own errors are raised."""

import time

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
    """A shard and a trainer that began a minute ago."""
    found = Deployment(load_monitor("health", {}))
    monkeypatch.setattr(Deployment, "_begin", lambda _, member: member)
    ago = time.monotonic() - 60.0
    found.members = [Member(name, 0, name, life=name, begun=ago) for name in ("shard", "trainer")]
    return found


def test_a_trainer_is_replaced_whatever_ended_it(deployment: Deployment, lives: dict[str, Exception]) -> None:
    lives["trainer"] = ModelError("disk full")
    deployment.heal()
    assert [(member.name, member.actor) for member in deployment.members] == [
        ("shard", "shard"),
        ("trainer", "successor"),
    ]
    assert deployment.replaced == 1


def test_one_that_ended_at_once_is_replaced_after_a_pause(deployment: Deployment, lives: dict[str, Exception]) -> None:
    lives["trainer"] = StackError("no GPU")
    deployment.members[1].begun = time.monotonic()
    deployment.heal()
    assert deployment.replaced == 0
    deployment.members[1].begun -= 60.0
    deployment.heal()
    assert deployment.replaced == 1


def test_an_error_of_a_shard_is_raised(deployment: Deployment, lives: dict[str, Exception]) -> None:
    lives["shard"] = ModelError("a bug")
    with pytest.raises(ModelError, match="a bug"):
        deployment.heal()
