"""What tests of several databases share."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from infra.database import connect, migrate


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """Of a migrated database."""
    engine = connect(database_url)
    migrate(engine)
    yield engine
    engine.dispose()
