"""Which checkpoints are kept: the newest, those that make versions anew, and one of each age."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from infra.checkpoints import SHARED, Checkpoint, Checkpoints, way_to
from infra.database import connect, migrate
from schemas.errors import FencedError


@pytest.fixture
def checkpoints(tmp_path):
    engine = connect(f"sqlite:///{tmp_path / 'bellwether.db'}")
    migrate(engine)
    return Checkpoints(engine, "ward", tmp_path, lambda: datetime(2026, 1, 31, 12, tzinfo=UTC))


def checkpoint(step, published=None):
    log = [[[step, [], published, None]]]
    return Checkpoint(0, None, 1, 1, step, 16 * step, 1, f"trainers/ward/{step}", {SHARED: ""}, {}, log)


def test_of_each_age_one_is_kept_so_that_any_step_can_be_gone_back_to(checkpoints):
    steps = range(0, 4_000, 10)
    for step in steps:
        checkpoints.write(checkpoint(step).folder, "shared.pt", b"weights")
        checkpoints.add(checkpoint(step))
    kept = [each.step for each in checkpoints.all()]
    assert len(kept) < 16
    assert min(kept) == 0
    for long_ago in (10, 60, 500, 1_500, 3_900):
        before = max(step for step in kept if step <= steps[-1] - long_ago)
        assert steps[-1] - before <= 4 * long_ago
    folders = {int(folder.name) for folder in (checkpoints.directory / "trainers" / "ward").iterdir()}
    assert folders == set(kept)


def test_of_several_checkpoints_of_one_step_none_writes_over_the_files_of_another(checkpoints):
    for step in range(0, 1_000, 10):
        for mark in ("first", "second", "third"):
            folder = checkpoints.folder(1, step, mark)
            digest = checkpoints.write(folder, "shared.pt", mark.encode())
            checkpoints.add(replace(checkpoint(step), folder=folder, files={"shared.pt": digest}))
    kept = checkpoints.all()
    assert len(kept) >= 9
    read = {(each.step, each.folder): checkpoints.read(each, "shared.pt").decode() for each in kept}
    assert all(folder.endswith(content) for (_, folder), content in read.items())


def test_what_trainers_left_that_were_killed_before_they_recorded_it_is_cleared_away(checkpoints):
    ours = checkpoints.folder(4, 100, "ours")
    left = [checkpoints.folder(generation, 90, "left") for generation in (3, 4)]
    others = checkpoints.folder(5, 90, "theirs")
    for folder in (ours, *left, others):
        checkpoints.write(folder, SHARED, b"weights")
    checkpoints.add(replace(checkpoint(100), generation=4, folder=ours))
    there = {f"trainers/ward/{each.name}" for each in (checkpoints.directory / "trainers" / "ward").iterdir()}
    assert there == {ours, others}, "those that take over may be writing theirs"


def test_the_newest_is_what_was_written_last_though_a_topic_made_anew_counts_from_one_again(checkpoints):
    for generation, step, origin in ((7, 500, "c/old"), (1, 510, "c/new")):
        folder = checkpoints.folder(generation, step, "")
        digest = checkpoints.write(folder, SHARED, b"weights")
        made = replace(checkpoint(step), generation=generation, folder=folder, files={SHARED: digest}, origin=origin)
        checkpoints.add(made)
    newest = checkpoints.newest_sound()
    assert (newest.step, newest.is_of("c/new"), newest.is_of("c/old")) == (510, True, False)
    assert replace(newest, origin="").is_of("c/old"), "of older checkpoints nobody knows better"


def test_whoever_was_followed_by_other_trainers_adds_none(checkpoints):
    def fence(connection):
        raise FencedError("other trainers took over")

    checkpoints.add(checkpoint(1))
    with pytest.raises(FencedError):
        checkpoints.add(checkpoint(2), fence)
    assert [each.step for each in checkpoints.all()] == [1]


def test_nobody_goes_on_from_the_log_of_a_version(checkpoints):
    digest = checkpoints.write(checkpoint(0).folder, SHARED, b"weights")
    whole = checkpoints.add(replace(checkpoint(0), files={SHARED: digest}))
    with checkpoints.engine.begin() as connection:
        checkpoints.record(connection, replace(checkpoint(1, 2), parent=whole, files={}))
    assert len(checkpoints.all()) == 2
    assert checkpoints.newest_sound().id == whole


def test_the_way_to_each_of_the_last_versions_is_kept_though_nobody_goes_on_from_it(checkpoints):
    parent = checkpoints.add(checkpoint(0))
    for step in range(1, 40):
        made = replace(checkpoint(step, step + 1), parent=parent, files={})
        with checkpoints.engine.begin() as connection:
            parent = checkpoints.record(connection, made)
        if step % 10 == 0:
            parent = checkpoints.add(replace(checkpoint(step), parent=parent))
    kept = checkpoints.all()
    assert [each.step for each in checkpoints.whole()] == [30, 20, 10, 0]
    last = [each for each in kept if each.published][:8]
    assert [each.step for each in last] == list(range(39, 31, -1))
    assert [[each.step for each in way_to(made, kept)] for made in last] == [
        [30, *range(31, made.step + 1)] for made in last
    ]
