"""Every module that a document names as `python -m ...` can be loaded."""

from importlib import import_module
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
MODULES = sorted(
    ".".join(("tests", *path.relative_to(TESTS).with_suffix("").parts))
    for folder in ("bench", "drill", "examples", "converters")
    for path in (TESTS / folder).rglob("*.py")
    if not path.name.startswith(("test_", "__init__"))
)


@pytest.mark.parametrize("name", MODULES)
def test_a_benchmark_can_be_loaded(name: str) -> None:
    assert import_module(name).__doc__
