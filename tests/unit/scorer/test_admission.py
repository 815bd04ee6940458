"""Duplicates, late rows, conflicting values."""

import numpy as np
import pytest

from schemas.monitor import Conflicts
from schemas.observation import Status
from scorer.admission import Admission
from scorer.waves import waves_of

OK, DUPLICATE, LATE = Status.OK, Status.DUPLICATE, Status.LATE
NAN = float("nan")


def judge(
    times: list[int], values: list[list[float]], entities: list[int] | None = None, cut: int | None = None, **options
):
    """Statuses and values of rows, judged in one batch or cut in two."""
    admission = Admission(len(values[0]), options.get("conflicts", Conflicts.LAST_WINS))
    entity = np.array(entities or [0] * len(times))
    state = {name: np.repeat(value, entity.max() + 1, axis=0) for name, value in admission.initial().items()}
    statuses, kept = [], []
    for part in np.split(np.arange(len(times)), [cut or len(times)]):
        if len(part):
            rows = np.array(times)[part], np.array(values, dtype=float)[part], np.zeros(len(part), dtype=np.uint8)
            admitted = admission.admit(waves_of(entity[part]), entity[part], *rows, state)
            statuses += admitted.status.tolist()
            kept += admitted.values.tolist()
    return statuses, kept


def test_rows_in_order_are_accepted() -> None:
    assert judge([1, 2, 3], [[1.0], [1.0], [1.0]])[0] == [OK, OK, OK]


def test_an_older_row_is_late() -> None:
    assert judge([5, 3], [[1.0], [2.0]])[0] == [OK, LATE]


@pytest.mark.parametrize("cut", [1, 2, 3, 4, None])
def test_a_redelivered_run_is_duplicate_whatever_the_batches(cut: int | None) -> None:
    rows = [[1.0], [2.0], [1.0], [2.0], [3.0]]
    assert judge([1, 2, 1, 2, 3], rows, cut=cut)[0] == [OK, OK, DUPLICATE, DUPLICATE, OK]


def test_another_signal_at_the_same_time_completes_the_row() -> None:
    assert judge([1, 1], [[1.0, NAN], [NAN, 2.0]])[0] == [OK, OK]


def test_a_signal_already_held_is_masked_and_the_new_one_kept() -> None:
    statuses, values = judge([1, 1], [[1.0, NAN], [1.0, 2.0]])
    assert (statuses, np.isnan(values[1][0]), values[1][1]) == ([OK, OK], True, 2.0)


def test_a_part_of_the_row_again_is_duplicate() -> None:
    assert judge([1, 1], [[1.0, 2.0], [NAN, 2.0]])[0] == [OK, DUPLICATE]


def test_the_last_of_two_values_wins_by_default() -> None:
    assert judge([1, 1], [[1.0], [7.0]]) == ([OK, OK], [[1.0], [7.0]])


def test_the_first_of_two_values_wins_where_configured() -> None:
    statuses, _ = judge([1, 1], [[1.0], [7.0]], conflicts=Conflicts.FIRST_WINS)
    assert statuses == [OK, DUPLICATE]


@pytest.mark.parametrize(
    ("conflicts", "refused", "replaced"),
    [
        (Conflicts.LAST_WINS, [False] * 4, [False, False, False, True]),
        (Conflicts.FIRST_WINS, [False, False, False, True], [False] * 4),
    ],
)
def test_rows_that_contradict_one_of_the_same_time_are_told_from_those_that_complete_or_repeat_it(
    conflicts: Conflicts, refused: list[bool], replaced: list[bool]
) -> None:
    admission, entity = Admission(2, conflicts), np.zeros(4, dtype=np.int64)
    rows = np.ones(4, dtype=np.int64), np.array([[1.0, NAN], [NAN, 2.0], [1.0, NAN], [7.0, 2.0]])
    told = admission.admit(waves_of(entity), entity, *rows, np.zeros(4, dtype=np.uint8), admission.initial())
    assert (told.refused.tolist(), told.replaced.tolist()) == (refused, replaced)


def test_entities_do_not_disturb_each_other() -> None:
    statuses, _ = judge([9, 1, 8, 2], [[1.0], [1.0], [1.0], [1.0]], entities=[0, 1, 0, 1])
    assert statuses == [OK, OK, LATE, OK]


def test_a_zero_is_a_value_and_completes_the_row() -> None:
    assert judge([1, 1], [[81.0, NAN], [81.0, 0.0]])[0] == [OK, OK]
