from dataclasses import replace

import numpy as np
import pytest
import torch

from schemas.label import Label
from schemas.layout import Layout
from schemas.monitor import Monitor
from tests.laws.ward import WARD, batch
from trainer.hindsight import Hindsight
from trainer.lesson import hindsight_lesson

EVENT = {"name": "death", "kind": "event", "weight": 0.2}


def layout():
    return Layout(Monitor.model_validate(WARD | {"tasks": [*WARD["tasks"], EVENT], "training": {"window": 4}}))


def stays(entities: int, rows: int):
    """A batch of `rows` rows of each entity, a second apart."""
    entity = np.tile(np.arange(entities), rows)
    values = np.random.default_rng(0).uniform(1.0, 90.0, (entities * rows, 7))
    return batch(entity, values, np.repeat(np.arange(rows), entities) * 1000)


@pytest.fixture
def hindsight() -> Hindsight:
    found = Hindsight(layout(), np.random.default_rng(0))
    found.remember(stays(10, 6))
    return found


def outcome(entity: int, value: bool = True) -> Label:
    return Label(f"{entity}", "death", None, value)


def row_label(entity: int, second: int, value: bool) -> Label:
    return Label(f"{entity}", "anomaly", second * 1000, value)


def test_an_outcome_is_taught_of_all_rows_of_its_entity(hindsight):
    hindsight.tell([outcome(entity, value=entity == 3) for entity in range(8)])
    fresh, replayed = hindsight.next()
    lesson = hindsight_lesson(fresh, replayed, layout())
    told = lesson.targets.classes[1][lesson.rows.real_N]
    assert (len(fresh), replayed, sorted(told.tolist())) == (8, [], [0] * 42 + [1] * 6)
    assert lesson.targets.classes[0].eq(-1).all()
    assert not lesson.targets.known_N.any()
    assert lesson.targets.future_NSH.isnan().all()


def test_what_is_replayed_is_taught_again_but_judges_nothing(hindsight):
    hindsight.tell([outcome(entity) for entity in range(8)])
    before, _ = hindsight.next()
    lesson = hindsight_lesson(before[:2], before[2:], layout())
    taught, judged = (targets.classes[1] >= 0 for targets in (lesson.targets, lesson.judged))
    assert (int(taught.sum()), int(judged.sum())) == (48, 12)
    assert torch.equal(judged, taught & (lesson.window_N < 2))


def test_row_labels_wait_for_a_window_and_say_nothing_of_other_rows(hindsight):
    labels = [row_label(0, second, second == 4) for second in (1, 2, 3, 4)]
    hindsight.tell(labels[:3])
    assert not hindsight._fresh
    hindsight.tell(labels[3:])
    piece = hindsight._fresh[0]
    np.testing.assert_array_equal(piece.faulty, [np.nan, 0.0, 0.0, 0.0, 1.0])
    assert (piece.time_ms.tolist(), piece.offsets) == ([0, 1000, 2000, 3000, 4000], (0, 41))


def test_nothing_is_taught_before_enough_is_known(hindsight):
    hindsight.tell([outcome(entity) for entity in range(7)])
    assert hindsight.next() is None


def test_what_was_taught_is_replayed(hindsight):
    hindsight.tell([outcome(entity) for entity in range(8)])
    first, _ = hindsight.next()
    hindsight.tell([outcome(entity) for entity in (8, 9, 0, 1, 2, 3, 4, 5)])
    _, replayed = hindsight.next()
    assert sorted(id(piece) for piece in replayed) == sorted(id(piece) for piece in first)


def test_labels_of_unknown_entities_and_forgotten_rows_are_counted(hindsight):
    hindsight.tell([outcome(99), row_label(0, -1, True)])
    assert (hindsight.unmatched, hindsight.next()) == (2, None)


def test_labels_of_tasks_and_classes_that_the_monitor_has_no_more_teach_nothing(hindsight):
    former = [Label("0", "sepsis", None, True), Label("1", "sepsis", 1000, True), Label("2", "death", None, 2)]
    hindsight.tell(former)
    assert (hindsight.unmatched, list(hindsight.useless)) == (3, former)
    hindsight.recall(former)
    hindsight.tell([outcome(entity) for entity in range(8)])
    assert [piece.labels[0][0].task for piece in hindsight.next()[0]] == ["death"] * 8


def test_late_and_repeated_rows_are_not_remembered_twice(hindsight):
    hindsight.remember(stays(10, 3))
    hindsight.tell([outcome(entity) for entity in range(8)])
    assert [len(piece.time_ms) for piece in hindsight.next()[0]] == [6] * 8


def test_a_label_finds_its_row_though_many_came_after_it():
    hindsight = Hindsight(layout(), np.random.default_rng(0))
    hindsight.remember(stays(1, 1500))
    hindsight.tell([row_label(0, second, False) for second in range(4)])
    assert (hindsight.unmatched, hindsight._fresh[0].time_ms.tolist()) == (0, [0, 1000, 2000, 3000])


def test_what_is_remembered_in_all_is_bounded(monkeypatch):
    monkeypatch.setattr("trainer.hindsight.REMEMBERED_IN_ALL", 40)
    hindsight = Hindsight(layout(), np.random.default_rng(0))
    hindsight.remember(stays(10, 6))
    hindsight.tell([outcome(entity) for entity in range(10)])
    assert (sum(len(account.rows) for account in hindsight._accounts.values()), hindsight.unmatched) == (36, 4)


def asked(*tasks):
    return Layout(Monitor.model_validate(WARD | {"tasks": [*WARD["tasks"], *tasks], "training": {"window": 4}}))


def remembered(*tasks) -> Hindsight:
    found = Hindsight(asked(*tasks), np.random.default_rng(0))
    found.remember(stays(10, 6))
    return found


def test_a_state_that_labels_teach_learns_the_class_of_each_row():
    hindsight = remembered({"name": "pose", "kind": "state", "classes": ["up", "down", "left"]})
    hindsight.tell([Label("0", "pose", second * 1000, second % 3) for second in (1, 2, 4, 5)])
    (piece,) = hindsight._fresh
    assert piece.classes[:, 1].tolist() == [-1, 1, 2, -1, 1, 2]
    assert (piece.classes[:, 0].tolist(), np.isnan(piece.faulty).all()) == ([-1] * 6, True)


SOON = {"name": "arrest", "kind": "event", "within": "2s"}


@pytest.mark.parametrize(
    ("within", "value", "until", "expected"),
    [
        ("2s", 1, 4000, [0, 0, 1, 1, -1, -1]),
        ("2s", 0, 4000, [0, 0, 0, -1, -1, -1]),
        (2, 1, 3500, [0, 0, 1, 1, -1, -1]),
        (2, 0, 4000, [0, 0, 0, -1, -1, -1]),
    ],
)
def test_rows_within_the_horizon_are_positive_earlier_ones_negative_and_open_ones_unknown(
    within, value, until, expected
):
    hindsight = remembered(SOON | {"within": within})
    hindsight.tell([Label("0", "arrest", None, value, until)])
    assert hindsight._fresh[0].classes[:, 1].tolist() == expected


def test_a_second_event_says_nothing_of_the_rows_that_the_first_one_settled():
    hindsight = remembered(SOON)
    hindsight.tell([Label("0", "arrest", None, 1, 2000)])
    hindsight.tell([Label("0", "arrest", None, 1, 5000)])
    told = [piece.classes[:, 1].tolist() for piece in hindsight._fresh]
    assert told == [[1, 1, -1, -1, -1, -1], [-1, -1, 0, 1, 1, -1]]


def test_an_outcome_that_settles_no_row_teaches_nothing():
    hindsight = remembered(SOON)
    hindsight.tell([Label("0", "arrest", None, 0, 1000)])
    assert not hindsight._fresh


def by(source: str, entities: range) -> list[Label]:
    return [replace(outcome(entity), source=source) for entity in entities]


def test_a_source_that_floods_the_others_fills_no_more_of_a_step_than_the_cube_root_of_what_it_told():
    hindsight = Hindsight(layout(), np.random.default_rng(0))
    hindsight.remember(stays(100, 6))
    for source, entities in (("anna", range(16)), ("mallory", range(16, 80))):
        hindsight.tell(by(source, entities))
        while hindsight.next() is not None:
            pass
    hindsight.tell(by("mallory", range(80, 88)))
    fresh, replayed = hindsight.next()
    parts = [[piece.source for piece in part].count("mallory") for part in (fresh, replayed)]
    assert (parts, len(replayed)) == ([8, 12], 24)


def test_the_pieces_of_a_single_source_are_replayed_as_they_were_drawn():
    hindsight = Hindsight(layout(), np.random.default_rng(0))
    hindsight.remember(stays(48, 6))
    hindsight.tell(by("anna", range(40)))
    for _ in range(5):
        hindsight.next()
    hindsight.tell(by("anna", range(40, 48)))
    expected = np.random.default_rng(0)
    for taught in range(0, 48, 8):
        order = expected.permutation(taught)
    kept = list(hindsight._replay.held)
    assert [id(piece) for piece in hindsight.next()[1]] == [id(kept[place]) for place in order[:24]]


def test_nobody_takes_back_what_another_source_said_but_everybody_may_say_otherwise_than_before():
    hindsight = Hindsight(layout(), np.random.default_rng(0))
    hindsight.remember(stays(1, 30))
    times = [int(row[0]) for row in hindsight._accounts["0"].rows]
    window, anomaly = layout().monitor.training.window, layout().anomaly.name
    words = [Label("0", anomaly, time_ms, 1, None, "anna") for time_ms in times[:window]]
    hindsight.tell(words[:-1])
    hindsight.tell([replace(word, source="ben", value=0) for word in words[: window - 2]])
    otherwise = replace(words[0], value=0)
    hindsight.tell([otherwise])
    assert (len(hindsight._fresh), list(hindsight.superseded)) == (0, words[:1])
    hindsight.tell(words[-1:])
    assert [label for label, _ in hindsight._fresh[0].labels] == [otherwise, *words[1:]]


def test_what_is_recalled_is_replayed_and_settled_but_not_taught_again():
    described = WARD | {
        "tasks": [*WARD["tasks"], EVENT | {"name": "arrest", "within": "2s"}],
        "training": {"window": 4},
    }
    arrests = Layout(Monitor.model_validate(described))
    taught = [Label(f"{entity}", "arrest", None, 1, 6_000) for entity in range(8)]
    taught += [Label(f"{entity}", "anomaly", 3_000, 1) for entity in range(8, 10)]
    found = []
    for recalled in (False, True):
        hindsight = Hindsight(arrests, np.random.default_rng(0))
        hindsight.remember(stays(10, 9))
        if recalled:
            hindsight.recall(taught)
        else:
            hindsight.tell(taught)
            assert hindsight.next() is not None
        hindsight.tell([Label(f"{entity}", "arrest", None, 0, 8_000) for entity in range(8)])
        fresh, replayed = hindsight.next()
        classes = [piece.classes[:, 1].tolist() for piece in fresh]
        found.append((classes, {each.offsets for each in replayed if (each.classes >= 0).any()}))
        assert len(replayed) == (10 if recalled else 8)
    assert found[0] == found[1]


def test_what_a_forgotten_source_told_is_neither_taught_nor_replayed():
    hindsight = Hindsight(layout(), np.random.default_rng(0))
    hindsight.remember(stays(40, 6))
    hindsight.tell(by("mallory", range(8)))
    hindsight.next()
    hindsight.tell([*by("mallory", range(8, 12)), replace(row_label(20, 1, True), source="mallory")])
    hindsight.forget("mallory")
    hindsight.tell([*by("anna", range(12, 20)), *(row_label(20, second, False) for second in (2, 3, 4, 5))])
    fresh, replayed = hindsight.next()
    told = [label.source for piece in (*fresh, *hindsight._fresh) for label, _ in piece.labels]
    assert (replayed, "mallory" in told) == ([], False)


def test_what_a_refused_step_was_told_is_not_replayed(hindsight):
    hindsight.tell([outcome(entity) for entity in range(8)])
    fresh, _ = hindsight.next()
    hindsight.withdraw(fresh)
    hindsight.remember(stays(10, 12))
    hindsight.tell([replace(outcome(entity), source="later") for entity in range(8)])
    assert hindsight.next()[1] == []


def test_a_handful_of_verdicts_is_taught_once_it_has_waited_though_it_fills_neither_piece_nor_step():
    few, eager = (Hindsight(layout(), np.random.default_rng(0), hurried=hurried) for hurried in (True, False))
    ten, rng, became_ready = np.arange(10), np.random.default_rng(0), []
    for second in range(60):
        for each in (few, eager):
            each.remember(batch(ten, rng.uniform(1.0, 90.0, (10, 7)), np.full(10, second * 1000)))
            if second == 5:
                each.tell([row_label(1, 3, value=True), row_label(2, 5, value=False)])
        became_ready.append(few.ready)
    assert (
        became_ready.index(True) == 5 + 4 + 16
    )  # four rows of each entity for the pieces, four times as many for a step
    fresh, replayed = few.next()
    assert ([len(piece.labels) for piece in fresh], replayed, few.ready, eager.ready) == ([1, 1], [], False, False)
