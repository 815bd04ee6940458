"""What tests of infra share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from infra.database import connect, migrate


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = connect(f"sqlite:///{tmp_path / 'bellwether.db'}")
    migrate(engine)
    yield engine
    engine.dispose()
