"""Judging: figures of all pieces at once, whatever they are cut into on the way."""

import numpy as np
import pytest

from schemas.label import Label
from schemas.layout import Layout
from schemas.task import Task
from tests.laws.ward import autoregressive, awake, batch, layout
from trainer import judging
from trainer.history import pieces_of, streams_of
from trainer.judging import judge
from trainer.network import Network
from trainer.weights import save_weights


def ward() -> Layout:
    """The ward, and an event."""
    monitor = layout({"window": 8}, width=8, private=8).monitor
    return Layout(monitor.model_copy(update={"tasks": (*monitor.tasks, Task(name="death", kind="event"))}))


def kept(of: Layout, entities: int, rows: int = 24):
    """Pieces of entities, each shorter than the one before, every third with an outcome."""
    batches = [batch(*each) for each in autoregressive(rows, entities, 0)]
    told = [(Label(str(each), "death", None, each % 2 == 0), 10**15) for each in range(0, entities, 3)]
    found = streams_of(batches, of, {}, told)
    return pieces_of([found[name].until(rows - place % (rows // 2)) for place, name in enumerate(sorted(found))], of)


def network(of: Layout) -> Network:
    return awake(Network(of))


def test_judging_changes_nothing_and_repeats_itself():
    of = ward()
    judged, pieces = network(of), kept(of, 6)
    before = save_weights(judged)
    first, second = judge(judged, pieces), judge(judged, pieces)
    assert (first.losses, first.metrics) == (second.losses, second.metrics)
    assert save_weights(judged) == before


def test_every_task_is_judged_and_its_loss_is_the_mean_over_pieces_that_say_something_of_it():
    of = ward()
    found = judge(network(of), kept(of, 70))
    assert list(found.losses) == ["forecast", "anomaly", "soon", "death"]
    assert np.nanmean(found.loss_WK, 0) == pytest.approx(list(found.losses.values()))
    assert np.isnan(found.loss_WK[:, 3]).sum() == len(found.loss_WK) - 24


@pytest.mark.parametrize("entities", [12, 70])
def test_figures_do_not_depend_on_how_many_pieces_are_looked_at_together(entities, monkeypatch):
    of = ward()
    judged, pieces = network(of), kept(of, entities)
    at_once = judge(judged, pieces)
    monkeypatch.setattr(judging, "_TOGETHER", 5)
    in_turn = judge(judged, pieces)
    assert in_turn.losses == pytest.approx(at_once.losses, rel=1e-6)
    assert in_turn.metrics == pytest.approx(at_once.metrics, rel=1e-6)
    assert len(in_turn.loss_WK) == len(at_once.loss_WK)


def test_windows_are_told_apart_where_pieces_are_few():
    of = ward()
    copies, windows = 0.3, 3
    few, many = judge(network(of), kept(of, 20, rows=40)), judge(network(of), kept(of, 64, rows=40))
    assert len(many.loss_WK) <= 64 * (1 + copies) + 1
    assert len(few.loss_WK) >= 20 * windows
