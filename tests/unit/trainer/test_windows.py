import numpy as np
import pytest

from schemas.observation import Status
from tests.laws.ward import TOPIC, batch, layout
from trainer.lesson import lesson_of
from trainer.slots import Slots
from trainer.windows import WindowBuffer, window_template

TRAINING = {"window": 4, "inject_rate": 0.0}
AHEAD = 4


def buffer():
    return WindowBuffer(layout(TRAINING), Slots(window_template(layout(TRAINING))))


def rows(n, entity=0, start=0):
    """n rows of one entity; each signal's value is the row's number + 1."""
    number = np.arange(start, start + n)
    return np.full(n, entity), np.repeat(number[:, None] + 1.0, 7, axis=1), number * 60_000


def added(buffer, *batches):
    return [window for each in batches for windows, _ in buffer.add(batch(*each)) for window in windows]


def test_a_window_is_complete_once_its_targets_were_seen():
    assert len(added(buffer(), rows(4 + AHEAD - 1))) == 0
    assert len(added(buffer(), rows(4 + AHEAD))) == 1


def test_windows_follow_each_other_without_gap_or_overlap():
    windows = added(buffer(), rows(20))
    assert [window.values[:4, 0].tolist() for window in windows] == [
        [1, 2, 3, 4],
        [5, 6, 7, 8],
        [9, 10, 11, 12],
        [13, 14, 15, 16],
    ]
    assert [window.offsets for window in windows] == [(0, 4), (4, 8), (8, 12), (12, 16)]
    assert {window.partition for window in windows} == {TOPIC}


def test_windows_come_as_their_rows_did_whatever_slots_the_entities_hold():
    def order(known):
        slots = Slots(window_template(layout(TRAINING)))
        slots.take((TOPIC, str(entity)) for entity in known)
        entity, number = np.tile([2, 0, 1], 4 + AHEAD), np.repeat(np.arange(4 + AHEAD), 3)
        found = added(WindowBuffer(layout(TRAINING), slots), (entity, np.ones((len(entity), 7)), number * 60_000))
        return [window.offsets[0] for window in found]

    assert order([0, 1, 2]) == order([1, 2, 0]) == [0, 1, 2]


def test_how_rows_are_cut_into_batches_does_not_matter():
    whole = added(buffer(), rows(20))
    parts = added(buffer(), rows(3), rows(9, start=3), rows(8, start=12))
    assert [w.values.tolist() for w in whole] == [w.values.tolist() for w in parts]
    assert [w.rules.tolist() for w in whole] == [w.rules.tolist() for w in parts]


def test_entities_fill_their_own_windows():
    one, other = rows(8, entity=1), rows(8, entity=2, start=100)
    mixed = tuple(np.stack([a, b], axis=1).reshape(16, *a.shape[1:]) for a, b in zip(one, other, strict=True))
    assert [window.values[0, 0] for window in added(buffer(), mixed)] == [1.0, 101.0]


@pytest.mark.parametrize("status", [Status.INVALID, Status.LATE])
def test_only_valid_rows_count(status):
    held = buffer()
    bad = batch(*rows(8))
    bad.status[3] = status
    windows = [window for found, _ in held.add(bad) for window in found]
    assert windows == []


def test_a_row_not_newer_than_the_newest_is_skipped():
    entity, values, time_ms = rows(8)
    shuffled = np.array([0, 1, 2, 1, 2, 3, 0, 4, 5, 6, 7, 7])
    windows = added(buffer(), (entity[shuffled], values[shuffled], time_ms[shuffled]))
    assert windows[0].values[:, 0].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]


def test_times_before_the_epoch_are_times():
    entity, values, time_ms = rows(8)
    assert len(added(buffer(), (entity, values, time_ms - 10**12))) == 1


def test_targets_are_the_rows_that_follow():
    lesson = lesson_of(added(buffer(), rows(8)), layout(TRAINING), np.random.default_rng(0))
    real = lesson.rows.real_N
    assert lesson.targets.future_NSH[real][:, 0].tolist() == [[2, 5], [3, 6], [4, 7], [5, 8]]
    assert lesson.targets.future_NSH[~real].isnan().all()


def test_a_state_is_the_worst_the_rule_reaches_in_the_rows_that_follow():
    entity, values, time_ms = rows(9)
    values[:, 0] = 80.0
    values[6:, 0] = 300.0
    lesson = lesson_of(added(buffer(), (entity, values, time_ms)), layout(TRAINING), np.random.default_rng(0))
    assert lesson.targets.classes[0][lesson.rows.real_N].tolist() == [0, 0, 2, 2]


def test_a_lesson_names_the_offsets_it_came_from():
    lesson = lesson_of(added(buffer(), rows(12)), layout(TRAINING), np.random.default_rng(0))
    assert lesson.ranges == {TOPIC: (0, 8)}
    assert lesson.events == 8


def test_copies_with_a_fault_teach_the_anomaly_task_alone():
    settings = TRAINING | {"inject_rate": 1.0}
    entity, _, time_ms = rows(8)
    values = np.random.default_rng(0).uniform(10.0, 90.0, (8, 7))
    lesson = lesson_of(added(buffer(), (entity, values, time_ms)), layout(settings), np.random.default_rng(2))
    copies = lesson.window_N.eq(1) & lesson.rows.real_N
    assert lesson.windows == 2
    assert lesson.targets.faulty_N[copies].sum() > 0
    assert lesson.targets.faulty_N[~copies].sum() == 0
    assert lesson.targets.future_NSH[copies].isnan().all()
    assert lesson.targets.classes[0][copies].unique().tolist() == [-1]
    assert len(lesson.clean_E) == 1
