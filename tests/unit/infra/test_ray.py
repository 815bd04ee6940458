"""A Ray cluster that is not there is told within seconds, and not by Ray."""

import socket
import time

import pytest

from infra.stack import ray
from schemas.errors import StackError


@pytest.fixture
def free_port() -> int:
    """One at which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "[::1]:{}"])
def test_an_address_at_which_nothing_answers_is_given_up(
    monkeypatch: pytest.MonkeyPatch, free_port: int, form: str
) -> None:
    monkeypatch.setattr(ray, "_PATIENCE_SECONDS", 0.6)
    address, started = form.format(free_port), time.monotonic()
    with pytest.raises(StackError) as refused:
        ray.start_ray(address)
    assert str(refused.value).startswith(f"ray at {address}: got ")
    assert str(refused.value).endswith("; expected a cluster that answers there")
    assert 0.6 <= time.monotonic() - started < 5.0


def test_a_port_that_can_be_none_is_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "_PATIENCE_SECONDS", 0.0)
    with pytest.raises(StackError, match=r"ray at 127.0.0.1:99999: got "):
        ray.start_ray("127.0.0.1:99999")
