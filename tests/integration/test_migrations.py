"""The schema's history on real databases: it ends where the tables stand, and goes back."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, select, text, update

from infra.database import _alembic, connect, masked, migrate
from schemas.errors import ConfigError, StackError
from schemas.tables import AlertEventRow, AlertRow, SwapRow, Table

pytestmark = pytest.mark.service


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = connect(database_url)
    yield engine
    engine.dispose()


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names()) - {"alembic_version"}


def test_the_migrated_schema_is_that_of_the_tables(engine: Engine) -> None:
    migrate(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Table.metadata) == []


def test_the_schema_can_be_taken_back(engine: Engine) -> None:
    migrate(engine)
    with engine.begin() as connection:
        command.downgrade(_alembic(connection), "base")
    assert tables(engine) == set()


def test_programs_that_start_together_migrate_once(database_url: str, engine: Engine) -> None:
    def start(_: int) -> None:
        own = connect(database_url)
        migrate(own)
        own.dispose()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(start, range(6)))
    assert tables(engine) == set(Table.metadata.tables)


def test_a_migration_that_fails_leaves_nothing(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE model_versions (in_the_way INTEGER)"))
    with pytest.raises(StackError, match="already exists"):
        migrate(engine)
    assert tables(engine) == {"model_versions"}


def test_a_schema_of_a_newer_program_is_refused(engine: Engine) -> None:
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StackError, match="9999"):
        migrate(engine)


def test_an_unreachable_server_is_named_without_its_password() -> None:
    with pytest.raises(StackError, match="cannot be used") as caught:
        connect("postgresql://ward:secret@127.0.0.1:1/beds")
    assert "postgresql://ward:***@127.0.0.1:1/beds" in str(caught.value)


def test_a_folder_that_cannot_be_made_is_a_stack_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StackError):
        connect(f"sqlite:///{tmp_path / 'file' / 'bellwether.db'}")


@pytest.mark.parametrize("url", ["mysql://u:secret@h/d", "secret", "postgresql://h:secret/d"])
def test_a_url_of_another_kind_is_a_setting_error_that_hides_it(url: str) -> None:
    with pytest.raises(ConfigError, match="expected sqlite") as caught:
        connect(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ward:secret@db/beds", "postgresql://ward:***@db/beds"),
        ("postgresql://db/beds?password=secret", "postgresql://db/beds"),
        ("sqlite:///beds.db", "sqlite:///beds.db"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert masked(url) == shown


def test_alerts_from_before_explanations_are_kept(engine: Engine) -> None:
    with engine.begin() as connection:
        command.upgrade(_alembic(connection), "0001")
        connection.execute(
            text(
                "INSERT INTO alerts VALUES ('a', 'ward', 'bed', 'anomaly', 'tail', 'info', 'firing', :now, :now, NULL,"
                " :now, :now, 3.0, 0.9, 'HR', '[]', 1, 'model', 'vitals', 0, 7)"
            ),
            {"now": "2026-01-31 12:00:00+00:00"},
        )
    migrate(engine)
    with engine.connect() as connection:
        (row,) = connection.execute(select(AlertRow.id, AlertRow.offset, AlertRow.explanation))
    assert tuple(row) == ("a", 7, None)


def test_alerts_from_before_there_were_four_rungs_name_theirs_and_keep_their_events(engine: Engine) -> None:
    old = [("a", "anomaly", "tail", 1, "model"), ("b", "anomaly", "tail", 0, "rules")]
    old += [
        ("c", "decline", "state", 1, "model"),
        ("d", "fast", "band", 1, "rules"),
        ("e", "silence", "gap", 1, "rules"),
    ]
    with engine.begin() as connection:
        command.upgrade(_alembic(connection), "0009")
        connection.execute(
            text(
                "INSERT INTO alerts (id, monitor, entity, task, kind, severity, phase, started_at, peak_at, event_time,"
                ' known_at, score, probability, summary, reasons, model_version, rung, topic, partition, "offset")'
                " VALUES (:id, 'ward', :id, :task, :kind, 'info', 'firing', :now, :now, :now, :now, 3.0, 0.9, 'HR',"
                " '[]', :version, :rung, 'vitals', 0, 7)"
            ),
            [
                dict(zip(("id", "task", "kind", "version", "rung"), each, strict=True), now="2026-01-31 12:00:00+00")
                for each in old
            ],
        )
        connection.execute(
            text("INSERT INTO alert_events VALUES ('x', 'a', 'opened', :now, :now, 'info', 3.0, 1, 0, 7)"),
            {"now": "2026-01-31 12:00:00+00"},
        )
    migrate(engine)
    with engine.connect() as connection:
        rungs = dict(connection.execute(select(AlertRow.id, AlertRow.rung)).all())
        events = connection.execute(select(AlertEventRow.id)).scalars().all()
    assert rungs == {"a": "detector", "b": "detector", "c": "network", "d": "rule", "e": "rule"}
    assert events == ["x"]
    with engine.begin() as connection:
        command.downgrade(_alembic(connection), "0009")
        assert set(connection.execute(select(AlertRow.id, AlertRow.rung))) == {(each[0], each[-1]) for each in old}


def test_swaps_from_before_tasks_had_thresholds_of_their_own_say_what_moved_the_learned_score(engine: Engine) -> None:
    now = "2026-01-31 12:00:00+00"
    alert = {"id": "a", "now": now}
    swaps = [{"monitor": "ward", "offset": 0, "strictness": 0.0}, {"monitor": "ward", "offset": 9, "strictness": 0.18}]
    with engine.begin() as connection:
        command.upgrade(_alembic(connection), "0010")
        connection.execute(
            text(
                "INSERT INTO alerts (id, monitor, entity, task, kind, severity, phase, started_at, peak_at, event_time,"
                ' known_at, score, probability, summary, reasons, model_version, rung, topic, partition, "offset")'
                " VALUES (:id, 'ward', 'bed', 'odd', 'tail', 'info', 'firing', :now, :now, :now, :now, 3.0, 0.9, 'HR',"
                " '[]', 1, 'detector', 'vitals', 0, 7)"
            ),
            alert,
        )
        connection.execute(
            text(
                'INSERT INTO model_swaps (monitor, cluster, topic, topic_id, partition, "offset", version, strictness,'
                " recorded_at) VALUES (:monitor, 'c', 'vitals', 't', 0, :offset, 1, :strictness, :now)"
            ),
            [each | {"now": now} for each in swaps],
        )
    migrate(engine)
    with engine.begin() as connection:
        told = connection.execute(select(SwapRow.offset, SwapRow.strictness).order_by(SwapRow.offset)).all()
        connection.execute(update(SwapRow).where(SwapRow.offset == 9).values(strictness={"odd": 0.3, "soon": 0.1}))
        command.downgrade(_alembic(connection), "0010")
        back = connection.execute(text('SELECT "offset", strictness FROM model_swaps ORDER BY "offset"')).all()
    assert [tuple(row) for row in told] == [(0, {}), (9, {"odd": 0.18})]
    assert [tuple(row) for row in back] == [(0, 0.0), (9, 0.3)]
