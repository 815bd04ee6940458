"""Which checkpoints are kept: the newest, those that make versions anew, and one of each age."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from infra.checkpoints import Checkpoint, Checkpoints
from infra.database import connect, migrate


@pytest.fixture
def checkpoints(tmp_path):
    engine = connect(f"sqlite:///{tmp_path / 'bellwether.db'}")
    migrate(engine)
    return Checkpoints(engine, "ward", tmp_path, lambda: datetime(2026, 1, 31, 12, tzinfo=UTC))


def checkpoint(step, published=None):
    log = [[[step, [], published, None]]]
    return Checkpoint(0, None, 1, 1, step, 16 * step, 1, f"trainers/ward/{step}", {}, {}, log)


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


def test_of_several_checkpoints_of_one_step_the_last_is_kept_for_its_files_are_there(checkpoints):
    for step in range(0, 1_000, 10):
        for content in (b"first", b"second", b"third"):
            digest = checkpoints.write(checkpoint(step).folder, "shared.pt", content)
            checkpoints.add(replace(checkpoint(step), files={"shared.pt": digest}))
    old = checkpoints.all()[3:]
    assert len(old) >= 6
    assert {checkpoints.read(each, "shared.pt") for each in old} == {b"third"}
