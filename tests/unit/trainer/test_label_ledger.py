"""Labels wait for their rows, are told once, and are all accounted for."""

from dataclasses import replace

import numpy as np
import pytest

from schemas.label import Annotation, Label, LabelStatus
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.observation import Partition
from tests.laws.ward import TOPIC, WARD, batch
from trainer import label_ledger
from trainer.hindsight import Hindsight
from trainer.label_ledger import LabelLedger
from trainer.reliability import Sources
from trainer.step_report import StepReport

TOLD = Partition("told", 0)
EVENTS = [{"name": "death", "kind": "event"}, {"name": "arrest", "kind": "event", "within": "2s"}]
T, S, U = LabelStatus.TAUGHT, LabelStatus.SUPERSEDED, LabelStatus.UNMATCHED
E, X = LabelStatus.EXPIRED, LabelStatus.EXCLUDED


class Ward:
    """A ledger over a hindsight that observes a row a second of each entity."""

    def __init__(self) -> None:
        described = WARD | {"tasks": [*WARD["tasks"], *EVENTS], "training": {"window": 4}}
        self.layout = Layout(Monitor.model_validate(described))
        self.hindsight = Hindsight(self.layout, np.random.default_rng(0), hurried=True)
        self.ledger = LabelLedger(self.hindsight, Sources({"anomaly": 2, "death": 2, "arrest": 2}))
        self.offset = 0

    def observe(self, *seconds: int, entities: int = 1) -> None:
        for second in seconds:
            rows = batch(np.arange(entities), np.full((entities, 7), 50.0), np.full(entities, second * 1_000))
            self.hindsight.remember(rows)
            self.ledger.observe(rows)

    def say(self, label: Label, revealed_ms: int | None = None) -> Annotation:
        due_ms = max(each for each in (label.time_ms, label.until_ms, revealed_ms, -(10**12)) if each is not None)
        said = Annotation(label, due_ms, revealed_ms, TOLD, self.offset)
        self.offset += 1
        self.ledger.receive([said])
        return said

    def tell(self) -> list[Label]:
        """What is due, which hindsight hears of, in the order in which a trainer does it."""
        self.ledger.sweep()
        labels = self.ledger.due()
        self.hindsight.tell(labels)
        return labels

    def ended(self) -> list[tuple[int, LabelStatus]]:
        return [(fate.annotation.offset, fate.status) for fate in self.ledger.fates()]


@pytest.fixture
def ward() -> Ward:
    return Ward()


def row(second: int, value: int = 1, source: str = "", entity: str = "0") -> Label:
    return Label(entity, "anomaly", second * 1_000, value, None, source)


def step(*labels: Label, number: int = 1, refused: str | None = None) -> StepReport:
    return StepReport(number, 0, {}, {}, {}, 0.0, refused, {}, dict.fromkeys(labels, 0.75))


def test_a_label_of_an_observed_row_is_due_at_once(ward: Ward) -> None:
    ward.observe(1, 2, 3)
    ward.say(row(2))
    assert (ward.ledger.due(), ward.ledger.due()) == ([row(2)], [])


def test_a_label_that_comes_before_its_row_waits_for_it(ward: Ward) -> None:
    ward.say(row(3))
    ward.observe(1, 2)
    early = ward.ledger.due()
    ward.observe(3)
    assert (early, ward.ledger.due()) == ([], [row(3)])


def test_nothing_is_told_before_it_was_revealed_in_event_time(ward: Ward) -> None:
    ward.observe(1, 2)
    ward.say(row(2), revealed_ms=5_000)
    ward.observe(4)
    early = ward.ledger.due()
    ward.observe(5)
    assert (early, ward.ledger.due()) == ([], [row(2)])


def test_what_happened_to_an_entity_that_shows_no_more_rows_is_told_once_the_others_have_gone_on(ward: Ward) -> None:
    ward.observe(1, 2, entities=2)
    death = Label("1", "death", None, 1, 9_000)
    ward.say(death)
    early = ward.ledger.due()
    ward.observe(9)
    assert (early, ward.ledger.due()) == ([], [death])


def test_of_each_source_the_last_word_before_learning_wins_and_nobody_takes_back_what_another_said(ward: Ward) -> None:
    for word in (row(2, 1, "anna"), row(2, 0, "anna"), row(2, 1, "ben")):
        ward.say(word)
    ward.observe(1, 2)
    told = ward.tell()
    ward.say(row(2, 1, "anna"))
    assert (told, ward.tell(), ward.tell()) == ([row(2, 0, "anna"), row(2, 1, "ben")], [row(2, 1, "anna")], [])
    assert (ward.ended(), ward.ledger.waiting) == ([(0, S), (1, S)], 2)


def test_what_was_superseded_and_is_said_again_is_taught_in_the_end(ward: Ward) -> None:
    ward.observe(1, 2)
    for word in (row(2, 1, "anna"), row(2, 0, "anna"), row(2, 1, "anna")):
        ward.say(word)
        ward.tell()
    ward.tell()
    ward.ledger.report([step(row(2, 1, "anna"))])
    assert ward.ended() == [(0, S), (1, S), (2, T)]


def test_a_word_that_stands_in_a_piece_when_another_comes_is_taught_and_says_so(ward: Ward) -> None:
    ward.observe(1, 2, 3)
    said = [Label("0", "death", None, value, 3_000, source) for value, source in ((1, "mallory"), (0, "anna"))]
    for label in said:
        ward.say(label)
        ward.tell()
    ward.ledger.report([step(*said)])
    assert ward.ended() == [(0, T), (1, T)]


def test_however_many_labels_teach_nothing_at_once_each_has_its_end(ward: Ward) -> None:
    ward.observe(1, 2, 3, 4, entities=1_200)
    for later_ms in (0, 1):  # what is said first settles it
        for entity in range(1_200):
            ward.say(Label(f"{entity}", "arrest", None, 0, 3_000 + later_ms, "anna"))
        ward.tell()
    ward.tell()
    assert ward.ended() == [(1_200 + entity, U) for entity in range(1_200)]


def test_a_label_whose_row_never_was_is_unmatched(ward: Ward) -> None:
    ward.observe(1, 3)
    ward.say(row(2))
    assert (ward.ledger.due(), ward.ended()) == ([], [(0, U)])


def test_an_outcome_that_settles_nothing_new_is_unmatched(ward: Ward) -> None:
    ward.observe(1, 2, 3, 9)
    ward.say(Label("0", "arrest", None, 1, 500))
    ward.hindsight.tell(ward.ledger.due())
    ward.ledger.report([])
    assert ward.ended() == [(0, U)]


def test_what_a_step_taught_and_what_it_believed_is_accounted(ward: Ward) -> None:
    ward.observe(1, 2)
    ward.say(row(1))
    ward.say(row(2))
    told = ward.ledger.due()
    ward.ledger.report([step(told[0], number=7), step(told[1], number=8, refused="loss is not finite")])
    found = [(fate.status, fate.step, fate.belief) for fate in ward.ledger.fates()]
    assert (found, ward.ledger.waiting) == ([(T, 7, 0.75), (LabelStatus.REFUSED, 8, 0.75)], 0)


def test_a_label_of_somebody_unknown_expires_after_enough_rows(ward: Ward, monkeypatch) -> None:
    monkeypatch.setattr(label_ledger, "_PATIENCE_ROWS", 5)
    ward.say(row(1, entity="stranger"))
    ward.observe(1, 2, 3, 4)
    before = ward.ended()
    ward.observe(5)
    assert (before, ward.ended(), ward.ledger.waiting) == ([], [(0, E)], 0)


def test_a_flood_of_labels_is_bounded_and_the_oldest_go_first(ward: Ward, monkeypatch) -> None:
    monkeypatch.setattr(label_ledger, "_MOST", 3)
    for entity in "abcde":
        ward.say(row(1, entity=entity))
    assert (ward.ended(), ward.ledger.waiting) == ([(0, E), (1, E)], 3)


def test_an_excluded_source_is_told_no_more_and_its_pieces_are_not_replayed(ward: Ward) -> None:
    ward.observe(1, 2, 3, 4, 5)
    for second in (1, 2, 3, 4):
        ward.say(row(second, source="mallory"))
    ward.hindsight.tell(ward.ledger.due())
    ward.say(row(9, source="mallory"))
    ward.ledger.exclude(frozenset({"mallory"}))
    ward.say(row(5, source="mallory"))
    ended = [(0, X), (1, X), (2, X), (3, X), (4, X), (5, X)]
    assert (ward.ledger.due(), sorted(ward.ended()), list(ward.hindsight._fresh)) == ([], ended, [])


def test_watermarks_are_of_each_partition(ward: Ward) -> None:
    ward.observe(1)
    other = replace(batch(np.array([7]), np.full((1, 7), 5.0), np.array([9_000])), partitions=(Partition("vitals", 1),))
    ward.hindsight.remember(other)
    ward.ledger.observe(other)
    ward.say(Label("0", "death", None, 1, 5_000))
    ward.say(Label("7", "death", None, 1, 5_000))
    assert ([label.entity for label in ward.ledger.due()], TOPIC.number) == (["7"], 0)


def test_few_labels_of_many_entities_are_taught_before_a_window_is_full() -> None:
    ward = Ward()
    ward.observe(1, 2, entities=8)
    for entity in range(8):
        ward.say(row(2, entity=str(entity)))
    ward.hindsight.tell(ward.ledger.due())
    waiting = ward.hindsight.next()
    ward.observe(3, 4, 5, 6, entities=8)
    ward.hindsight.tell([])
    fresh, _ = ward.hindsight.next()
    assert (waiting, [len(piece.labels) for piece in fresh]) == (None, [1] * 8)


def test_a_source_that_the_others_contradict_is_suspect_until_it_is_excluded(ward: Ward) -> None:
    for second in range(200):
        for source, value, belief in (("anna", second % 2, 0.9), ("mallory", 1 - second % 2, 0.1)):
            ward.ledger.report([replace(step(), taught={row(second, value, source): belief})])
    suspects = list(ward.ledger.suspects())
    ward.ledger.exclude(frozenset(suspects))
    assert (suspects, ward.ledger.suspects()) == (["mallory"], {})


def test_a_refused_step_says_nothing_of_its_sources(ward: Ward) -> None:
    for second in range(200):
        for source, value, belief in (("anna", second % 2, 0.9), ("mallory", 1 - second % 2, 0.1)):
            ward.ledger.report([replace(step(refused="spike"), taught={row(second, value, source): belief})])
    assert ward.ledger.suspects() == {}
