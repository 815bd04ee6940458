"""Opening the database: whoever only reads makes none."""

from pathlib import Path

import pytest

from infra.database import connect
from schemas.errors import StackError


def test_a_database_that_must_exist_is_not_made(tmp_path: Path) -> None:
    file = tmp_path / "new" / "bellwether.db"
    with pytest.raises(StackError, match=f"^no database at {file}; expected one made by `bellwether run` or `demo`"):
        connect(f"sqlite:///{file}", must_exist=True)
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_was_made_is_opened(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'bellwether.db'}"
    made = connect(url).url
    assert connect(url, must_exist=True).url == made
