"""Real services and data for tests. Each is started once a session, and only when a test asks for it."""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import settings
from sqlalchemy.engine import make_url

from infra.stack.kafka import KafkaBroker
from infra.stack.postgres import Postgres, create_database
from infra.stack.ray import ray_session as ray_of_length

settings.register_profile("patient", deadline=None)  # a busy machine is no fault of the code's
settings.load_profile("patient")
_ROOT = Path(__file__).parents[1]
_missing_data: set[str] = set()


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """End without destructors where Ray was at work in this process.

    Its threads outlive `ray.shutdown`, and one that reads what is being torn down ends a run of sound tests with a
    segmentation fault: once in about thirty.
    """
    session = config.pluginmanager.get_plugin("session")
    if "ray" in sys.modules and isinstance(session, pytest.Session) and not hasattr(config, "workerinput"):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(session.exitstatus))


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap address of a real broker."""
    with KafkaBroker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker.bootstrap


@pytest.fixture(scope="session")
def open_folder() -> Iterator[Path]:
    """A folder that the account which runs PostgreSQL for root may enter: pytest keeps its own closed to others."""
    with tempfile.TemporaryDirectory(prefix="bellwether-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.fixture(scope="session")
def postgres(open_folder: Path) -> Iterator[str]:
    """SQLAlchemy URL of a real PostgreSQL server."""
    with Postgres(open_folder / "postgres") as server:
        yield server.url


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """A local Ray with more logical CPUs than the machine may have: the actors under test mostly wait."""
    with ray_of_length(cpus=8):
        yield


@pytest.fixture
def topic() -> str:
    """A topic name that nobody has used."""
    return f"test.{uuid4().hex[:12]}"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a fresh, empty database, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'bellwether.db'}"
    return _fresh_database(request.getfixturevalue("postgres"))


@pytest.fixture
def fresh_postgres(postgres: str) -> str:
    """URL of a fresh, empty PostgreSQL database."""
    return _fresh_database(postgres)


@pytest.fixture
def two_databases(postgres: str) -> tuple[str, str]:
    """URLs of two of them."""
    return _fresh_database(postgres), _fresh_database(postgres)


def _fresh_database(server_url: str) -> str:
    url = make_url(server_url)
    name = f"test_{uuid4().hex[:12]}"
    assert url.port is not None
    create_database(url.port, name)
    return url.set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real data sets; the test is skipped, and that is said at the end, where there is none."""
    folder = Path(os.environ.get("BELLWETHER_SHARED") or _ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no data sets at {folder}: set BELLWETHER_SHARED")
    return folder


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember which tests were skipped for want of data."""
    if report.skipped and "BELLWETHER_SHARED" in str(report.longrepr):
        _missing_data.add(report.nodeid)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what was not tested."""
    if _missing_data:
        terminalreporter.section("NOT TESTED: the real data sets are missing (set BELLWETHER_SHARED)", red=True)
        for name in sorted(_missing_data):
            terminalreporter.write_line(name)
