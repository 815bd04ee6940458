"""Rows and labels wait until they make a step; windows that wait go over to whoever takes a partition."""

from dataclasses import replace

import numpy as np

from schemas.label import Label
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.observation import Float64, Partition
from tests.laws.ward import TOPIC, TRAINING, WARD, autoregressive, batch, layout
from trainer.intake import Intake
from trainer.network import Network
from trainer.slots import Slots
from trainer.states import state_template
from trainer.windows import window_template

LAYOUT = layout(TRAINING)
PER_STEP = LAYOUT.monitor.training.windows_per_step
STREAM = list(autoregressive(40, 16, 1))


def intake(ward: Layout = LAYOUT, *, labelled: bool = False, rank: int = 0, limit: int | None = None) -> Intake:
    slots = Slots(window_template(ward) | state_template(Network(ward)), limit)
    return Intake(ward, slots, 0, rank, labelled=labelled)


def filled() -> Intake:
    found = intake()
    for rows in STREAM:
        found.take(batch(*rows))
    return found


def windows_of(found: Intake, partition: Partition) -> dict[str, Float64]:
    """Entity -> values of all its windows that wait."""
    share = found.share_of(partition, [])
    values: dict[str, list[Float64]] = {}
    for _, place, window, *_ in share["windows"]:
        values.setdefault(share["entities"][place], []).append(window.numpy())
    return {entity: np.stack(each) for entity, each in values.items()}


def test_rows_are_ready_once_they_fill_the_windows_of_a_step():
    found, ready = intake(), []
    for rows in STREAM:
        found.take(batch(*rows))
        ready.append(found.ready)
        if not found.ready:
            assert found.windows() == []
    assert ready == sorted(ready)
    assert (ready[0], ready[-1], len(found.windows())) == (False, True, PER_STEP)


def test_labels_are_ready_before_any_window_is():
    death = {"name": "death", "kind": "event", "weight": 0.2}
    ward = Layout(Monitor.model_validate(WARD | {"tasks": [*WARD["tasks"], death], "training": TRAINING}))
    found = intake(ward, labelled=True)
    found.take(batch(np.arange(16), np.random.default_rng(1).uniform(1, 90, (16, 7)), np.arange(16) * 60_000))
    assert (found.ready, found.told(0)) == (False, None)
    found.tell([Label(str(entity), "death", None, entity % 2) for entity in range(16)])
    assert (found.ready, found.windows()) == (True, [])
    fresh, _ = found.told(0)
    assert 0 < len(fresh) <= 16


def test_what_one_rank_draws_another_does_not():
    faults = [intake(rank=rank).lesson(filled().windows()).targets.faulty_N.tolist() for rank in (0, 0, 1)]
    assert faults[0] == faults[1] != faults[2]


def test_from_a_step_on_one_draws_as_a_restart_would():
    worn, fresh = intake(), intake()
    worn.lesson(filled().windows())
    for each in (worn, fresh):
        each.draw_anew(7)
    faults = [each.lesson(filled().windows()).targets.faulty_N.tolist() for each in (worn, fresh)]
    assert faults[0] == faults[1]


def test_windows_that_wait_go_over_with_their_partition():
    one, other = filled(), intake()
    other.add_shares({TOPIC: one.share_of(TOPIC, [])})
    mine, theirs = one.windows(), other.windows()
    assert len(mine) == len(theirs) == PER_STEP
    assert all(np.array_equal(a.values, b.values, equal_nan=True) for a, b in zip(mine, theirs, strict=True))


def test_of_more_entities_than_a_rank_holds_those_heard_of_last_stay_with_their_own_windows():
    beside, one, small = Partition("vitals", 1), intake(), intake(limit=16)
    for rows in STREAM:
        one.take(batch(*rows))
        one.take(replace(batch(*rows), partitions=(beside,)))
    last = batch(np.arange(8), STREAM[-1][1][:8], STREAM[-1][2][:8] + 60_000)
    one.take(last)
    for rows in STREAM:
        small.take(batch(rows[0] + 100, *rows[1:]))

    small.add_shares({each: one.share_of(each, []) for each in (TOPIC, beside)})

    held = {each: small.share_of(each, [])["entities"] for each in (TOPIC, beside)}
    assert held == {TOPIC: [str(each) for each in range(8)], beside: [str(each) for each in range(8, 16)]}
    for each in (TOPIC, beside):
        before, after = windows_of(one, each), windows_of(small, each)
        assert len(after) == len(held[each])
        assert all(np.array_equal(after[entity], before[entity], equal_nan=True) for entity in held[each])


def test_without_labels_nothing_is_told():
    assert filled().told(0) is None
