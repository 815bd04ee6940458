import numpy as np
import pytest

from schemas.label import Label
from schemas.layout import Layout
from schemas.task import Task
from tests.laws.ward import batch, layout
from trainer.chapter import chapter_of
from trainer.history import pieces_of, streams_of
from trainer.statistics import Statistics

MINUTE_MS = 60_000


def ward(piece=256, context=48, events=(), **training):
    """The ward, its fitting cut as asked for."""
    monitor = layout({"window": 4, "inject_rate": 0.0} | training).monitor
    fitting = monitor.fitting.model_copy(update={"piece": piece, "context": context})
    tasks = (*monitor.tasks, *(Task(name=name, kind="event") for name in events))
    return Layout(monitor.model_copy(update={"fitting": fitting, "tasks": tasks}))


def stream(n, told=(), of=None, faulty=None, entity=0):
    """One entity's n rows, a minute apart; each signal's value is the row's number + 1."""
    number = np.arange(n)
    rows = batch(np.full(n, entity), np.repeat(number[:, None] + 1.0, 7, axis=1), number * MINUTE_MS)
    found = streams_of([rows], of or ward(), {} if faulty is None else {"anomaly": faulty}, told)
    return found[str(entity)]


def learned(pieces, of):
    return chapter_of(pieces, of, np.random.default_rng(0))


def test_rows_that_are_not_newer_teach_nothing():
    number = np.array([0, 1, 1, 0, 2])
    rows = batch(np.zeros(5, int), np.repeat(number[:, None] + 1.0, 7, axis=1), number * MINUTE_MS)
    found = streams_of([rows], ward(), {}, [])["0"]
    assert found.values[:, 0].tolist() == [1, 2, 3]


def test_an_outcome_is_taught_until_it_was_revealed():
    of = ward(events=("death",))
    found = stream(4, [(Label("0", "death", None, True), 2 * MINUTE_MS)], of)
    assert found.classes[:, -1].tolist() == [1, 1, -1, -1]


@pytest.mark.parametrize(("piece", "context"), [(5, 2), (4, 0), (256, 48)])
def test_every_row_is_judged_once_whatever_the_pieces(piece, context):
    pieces = pieces_of([stream(17)], ward(piece, context))
    assert [row for each in pieces for row in range(each.taught, each.end)] == list(range(17))


def test_a_later_piece_starts_from_the_statistics_of_all_rows_before_it():
    of = ward(5, 2)
    whole, later = stream(17, of=of), pieces_of([stream(17, of=of)], of)[2]
    (before,) = pieces_of([whole.until(later.first)], ward())
    after = learned([before], ward())
    observed = Statistics(of).observe(after.statistics_EFS, after.rows)
    assert np.array_equal(observed.statistics_EFS[0].numpy(), later.statistics)


def test_rows_before_the_judged_part_are_context_at_most():
    pieces = pieces_of([stream(20)], ward(8, 2), judged_from=[15])
    assert [row for each in pieces for row in range(each.taught, each.end)] == list(range(15, 20))


def test_a_piece_knows_what_came_after_it_and_nothing_beyond_the_stream():
    of = ward(8, 0)
    chapter = learned(pieces_of([stream(10, of=of)], of)[:1], of)
    future_RH = chapter.targets.future_NSH[chapter.rows.real_N][:, 0].numpy()
    assert np.array_equal(
        future_RH, [[2, 5], [3, 6], [4, 7], [5, 8], [6, 9], [7, 10], [8, np.nan], [9, np.nan]], equal_nan=True
    )


def test_a_state_whose_outlook_is_not_over_is_unknown():
    of = ward()
    chapter = learned(pieces_of([stream(7, of=of)], of), of)
    assert (chapter.targets.classes[0][chapter.rows.real_N] >= 0).tolist() == [True] * 3 + [False] * 4


def test_context_teaches_nothing():
    of = ward(6, 4)
    chapter = learned(pieces_of([stream(8, of=of)], of)[1:2], of)
    real_N = chapter.rows.real_N
    assert chapter.clean_N[real_N].tolist() == [False] * 4 + [True] * 2
    assert chapter.targets.known_N[real_N].tolist() == [False] * 4 + [True] * 2
    assert chapter.targets.future_NSH[real_N][:4].isnan().all()


def test_labelled_rows_teach_what_their_label_says():
    of, told = ward(), np.array([np.nan, 1.0, 0.0])
    chapter = learned(pieces_of([stream(3, of=of, faulty=told)], of), of)
    assert chapter.targets.faulty_N[chapter.rows.real_N].tolist() == [0, 1, 0]


def test_copies_with_faults_teach_the_anomaly_task_alone():
    of = ward(inject_rate=1.0)
    pieces = pieces_of([stream(40, of=of, entity=each) for each in range(10)], of)
    chapter = learned(pieces, of)
    copied = chapter.rows.real_N & ~chapter.clean_N
    assert (chapter.pieces, int(copied.sum())) == (13, 3 * 40)
    assert chapter.targets.faulty_N[copied].any()
    assert chapter.targets.future_NSH[copied].isnan().all()
    assert not chapter.targets.faulty_N[chapter.clean_N].any()
