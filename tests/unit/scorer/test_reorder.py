"""What waits, what passes and in which order depends on the records alone."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.observation import Batch
from scorer.reorder import Reorder
from tests.laws.ward import GATE, TOPIC, batch, layout

LATENESS = timedelta(minutes=5)
WARD = layout()
MINUTE_MS = 60_000


def shuffled(rows: int, seed: int, jitter: float = 5.0) -> Batch:
    """A row a minute, each up to `jitter` minutes late."""
    rng = np.random.default_rng(seed)
    minute = np.argsort(np.arange(rows) + rng.uniform(0, jitter, rows), kind="stable")
    entity = rng.integers(0, 3, rows)
    found = batch(entity, rng.normal(size=(rows, 7)), minute * MINUTE_MS)
    return replace(found, raw=[b"%d" % row for row in range(rows)])


def parts(whole: Batch, cuts) -> list[Batch]:
    found = []
    for rows in np.split(np.arange(len(whole)), cuts):
        chosen = rows.tolist()
        columns = {name: getattr(whole, name)[rows] for name in ("time_ms", "values", "partition", "offset", "status")}
        columns |= {"masked": whole.masked[rows], "next_offsets": (int(rows[-1]) + 1,)}
        lists = {name: [getattr(whole, name)[row] for row in chosen] for name in ("entity", "raw")}
        found.append(replace(whole, **columns, **lists))
    return found


def passed(reorder: Reorder, batches: list[Batch]) -> list[tuple]:
    found = []
    for each in map(reorder.let_pass, batches):
        columns = (each.entity, each.raw, each.time_ms.tolist(), each.offset.tolist(), each.due_offset.tolist())
        found += list(zip(*columns, strict=True))
    return found


def test_rows_that_are_late_within_the_bound_come_in_order_of_event_time():
    times = [row[2] for row in passed(Reorder(LATENESS, WARD), [shuffled(200, 1)])]
    assert times == sorted(times)
    assert 190 <= len(times) < 200


@pytest.mark.parametrize("seed", range(4))
def test_how_records_were_grouped_changes_nothing(seed):
    whole = shuffled(300, seed, jitter=9.0)
    cuts = np.sort(np.random.default_rng(seed).choice(np.arange(1, 300), 40, replace=False))
    assert passed(Reorder(LATENESS, WARD), [whole]) == passed(Reorder(LATENESS, WARD), parts(whole, cuts))


def test_a_row_older_than_the_bound_passes_at_once_and_is_left_to_admission():
    rows = batch(np.zeros(3, dtype=np.int64), np.zeros((3, 7)), np.array([0, 60, 10]) * MINUTE_MS)
    found = Reorder(LATENESS, WARD).let_pass(rows)
    assert (found.offset.tolist(), found.due_offset.tolist()) == ([0, 2], [1, 2])


def test_without_lateness_a_batch_passes_untouched():
    rows = shuffled(20, 2)
    assert Reorder(timedelta(0), WARD).let_pass(rows) is rows


def test_a_snapshot_holds_what_waits():
    before, after = parts(shuffled(200, 3), [77])
    reorder, restored = Reorder(LATENESS, WARD), Reorder(LATENESS, WARD)
    reorder.let_pass(before)
    assert reorder.waiting(TOPIC) > 0
    restored.restore(TOPIC, reorder.snapshot(TOPIC))
    assert passed(restored, [after]) == passed(reorder, [after])


def test_what_waits_is_not_lost_when_lateness_is_taken_out_of_the_configuration():
    before, after = parts(shuffled(200, 4), [77])
    patient, hasty = Reorder(LATENESS, WARD), Reorder(timedelta(0), WARD)
    waiting = patient.let_pass(before)
    hasty.restore(TOPIC, patient.snapshot(TOPIC))
    assert len(waiting) + len(hasty.let_pass(after)) == 200


def test_a_dropped_partition_leaves_nothing():
    reorder = Reorder(LATENESS, WARD)
    reorder.let_pass(shuffled(50, 5))
    reorder.drop(TOPIC)
    assert (reorder.waiting(TOPIC), reorder.snapshot(TOPIC)) == (0, {})


def test_frames_wait_with_their_rows_and_are_in_the_snapshot():
    gate = Layout(Monitor.model_validate(GATE))
    frame = np.arange(20, dtype=np.uint8)[:, None, None, None] * np.ones((1, 3, 8, 12), dtype=np.uint8)
    rows = batch(np.zeros(20, dtype=np.int64), np.ones((20, 4)), np.arange(20)[::-1] % 7 * MINUTE_MS)
    headers = [[("encoding", b"png"), ("\u00e9", bytes([255, row]))] for row in range(20)]
    rows = replace(rows, vectors={"camera": frame, "sound": np.zeros((20, 5), dtype=np.float32)}, headers=headers)
    reorder, restored = Reorder(LATENESS, gate), Reorder(LATENESS, gate)
    first = reorder.let_pass(rows)
    restored.restore(TOPIC, reorder.snapshot(TOPIC))
    later = batch(np.zeros(1, dtype=np.int64), np.ones((1, 4)), np.array([30 * MINUTE_MS]), 20)
    vectors = {name: vector[:1] for name, vector in rows.vectors.items()}
    second = restored.let_pass(replace(later, vectors=vectors, headers=[headers[0]]))
    came = [int(each) for passed in (first, second) for each in passed.vectors["camera"][:, 0, 0, 0]]
    offsets = [int(each) for passed in (first, second) for each in passed.offset]
    assert (came, len(came)) == (offsets, 20)
    assert [each for passed in (first, second) for each in passed.headers] == [headers[row] for row in came]
