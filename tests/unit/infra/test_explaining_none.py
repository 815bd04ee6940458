"""Alerts about which no network can be asked: each says why."""

import pytest

from infra.explaining import why_not
from infra.settings import load_monitor
from schemas.layout import Layout

SURVEILLANCE = Layout(load_monitor("surveillance", {}))


@pytest.mark.parametrize(
    ("task", "version", "expected"),
    [
        ("behaviour", 3, "modality camera: frames and vectors are not replayed"),
        ("behaviour", None, "no network ran when this alert was raised"),
        ("silence", 3, "a feed that failed is told by its rows and the clock"),
    ],
)
def test_why_no_network_is_asked(task: str, version: int | None, expected: str) -> None:
    record = {"task": task, "kind": "state"}
    assert why_not(SURVEILLANCE, record, {"model_version": version}).startswith(expected)
