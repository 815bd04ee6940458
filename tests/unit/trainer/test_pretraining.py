"""Hidden values are nowhere in what the network reads, and learning to tell them leaves nothing but weights behind.

N rows, S signals that are forecast.
"""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from schemas.layout import Layout
from schemas.monitor import Monitor
from tests.laws.ward import GATE, autoregressive, awake, batch, layout
from trainer.chapter import Chapter, chapter_of
from trainer.fit import meet
from trainer.history import pieces_of, streams_of
from trainer.losses import Targets
from trainer.network import Network
from trainer.pretraining import hidden, pretrain, told
from trainer.rows import pack
from trainer.weights import load_weights, save_weights


def ward_of(**fitting) -> Layout:
    monitor = layout({"window": 8}, width=8).monitor
    return Layout(monitor.model_copy(update={"fitting": monitor.fitting.model_copy(update=fitting)}))


def moving(together: float, steps: int, entities: int):
    """Rows around 100, each drawn anew; what all signals have in common moves `together`, the rest 1 - together."""
    rng = np.random.default_rng(3)
    for step in range(steps):
        common, own = rng.normal(size=(entities, 1)), rng.normal(size=(entities, 7))
        values = 100.0 + together * common + (1.05 - together) * own
        yield np.arange(entities), values, np.full(entities, 60_000 * step, dtype=np.int64)


def streams(ward: Layout, rows) -> list:
    return list(streams_of([batch(*each) for each in rows], ward, {}, []).values())


def chapter(ward: Layout, seed: int = 0):
    return chapter_of(pieces_of(streams(ward, autoregressive(20, 4, seed)), ward), ward, np.random.default_rng(0))


def same(one, other) -> bool:
    return all(
        torch.equal(torch.nan_to_num(getattr(one, each.name)), torch.nan_to_num(getattr(other, each.name)))
        for each in fields(one)
        if isinstance(getattr(one, each.name), torch.Tensor)
    )


def test_what_is_hidden_is_missing_from_the_rows_and_stands_in_the_targets_as_it_was():
    ward = ward_of()
    before = chapter(ward)
    after = hidden(before, ward, np.random.default_rng(1))
    shown_NS, was_NS = after.rows.value_NS[:, : ward.n_targets], before.rows.value_NS[:, : ward.n_targets]
    drawn_NS = ~after.targets.hidden_NS.isnan()
    assert torch.equal(after.targets.hidden_NS[drawn_NS], was_NS[drawn_NS])
    assert shown_NS[drawn_NS].isnan().all()
    assert torch.equal(shown_NS[~drawn_NS].nan_to_num(), was_NS[~drawn_NS].nan_to_num())
    assert 0.15 < float(drawn_NS[before.clean_N].float().mean()) < 0.25


def test_context_signals_and_copies_with_faults_are_never_hidden():
    ward = ward_of()
    before = chapter(ward)
    after = hidden(before, ward, np.random.default_rng(1))
    assert torch.equal(
        after.rows.value_NS[:, ward.n_targets :].nan_to_num(), before.rows.value_NS[:, ward.n_targets :].nan_to_num()
    )
    assert torch.equal(
        after.rows.value_NS[~before.clean_N].nan_to_num(), before.rows.value_NS[~before.clean_N].nan_to_num()
    )


def test_a_hidden_value_changes_nothing_that_the_network_reads_or_says():
    ward = ward_of()
    before = chapter(ward)
    drawn_NS = ~hidden(before, ward, np.random.default_rng(1)).targets.hidden_NS.isnan()
    other_NS = before.rows.value_NS.clone()
    other_NS[:, : ward.n_targets][drawn_NS] += 50.0
    other = replace(before, rows=replace(before.rows, value_NS=other_NS))
    network = awake(Network(ward))
    with torch.no_grad():
        one, two = (
            network(each.rows, each.start(network))[0]
            for each in (hidden(chapter_, ward, np.random.default_rng(1)) for chapter_ in (before, other))
        )
    assert same(one, two)
    assert same(one.observed, two.observed)


def test_the_network_has_the_same_weights_by_name_and_loads_where_it_was_made_for():
    ward = ward_of(pretrain=1)
    found = streams(ward, autoregressive(20, 4, 0))
    network = Network(ward)
    names = [*network.state_dict()]
    pieces = pieces_of(found, ward)
    [epoch] = pretrain(network, ward, pieces, pieces, 0)
    assert [*network.state_dict()] == names
    assert save_weights(load_weights(ward, save_weights(network))) == save_weights(network)
    assert epoch.refused == 0


def test_no_epoch_of_pretraining_leaves_every_weight_as_it_was():
    ward = ward_of()
    pieces = pieces_of(streams(ward, autoregressive(20, 4, 0)), ward)
    network = Network(ward)
    before = save_weights(network)
    assert list(pretrain(network, ward, pieces, pieces, 0)) == []
    assert save_weights(network) == before


def test_what_was_told_moves_nothing():
    ward = ward_of(pretrain=1)
    found = streams(ward, autoregressive(20, 4, 0))
    told = [replace(each, faulty=np.ones(len(each)), classes=np.zeros_like(each.classes)) for each in found]
    weights = []
    for each in (found, told):
        network, pieces = Network(ward), pieces_of(each, ward)
        list(pretrain(network, ward, pieces, pieces, 0))
        weights.append(save_weights(network))
    assert weights[0] == weights[1]


def test_the_same_seed_gives_the_same_weights_and_another_one_others():
    ward = ward_of(pretrain=1)
    pieces = pieces_of(streams(ward, autoregressive(20, 4, 0)), ward)
    weights = []
    for seed in (0, 0, 1):
        network = Network(ward)
        list(pretrain(network, ward, pieces, pieces, seed))
        weights.append(save_weights(network))
    assert (weights[0] == weights[1], weights[0] == weights[2]) == (True, False)


@pytest.mark.parametrize(("together", "epochs", "least", "most"), [(1.0, 5, 0.0, 0.85), (0.0, 3, 1.0, 1.3)])
def test_a_hidden_value_is_told_better_than_by_the_true_mean_where_signals_move_together_and_only_there(
    together, epochs, least, most
):
    ward = ward_of(pretrain=epochs, learning_rate=2e-2)
    found = streams(ward, moving(together, 20, 12))
    network, pieces = Network(ward), pieces_of(found[:8], ward)
    meet(network, found[:8])
    judged = chapter_of(pieces_of(found[8:], ward), ward, np.random.default_rng(2))
    judged = hidden(judged, ward, np.random.default_rng(2))
    for _ in pretrain(network, ward, pieces, pieces[:1], 0):
        outputs, _ = network.eval()(judged.rows, judged.start(network))
        said_NS = told(network, outputs).detach()[:, : ward.index["close"], 0, ward.forecast.quantiles.index(0.5)]
    truth_NS = torch.where(said_NS.isnan(), torch.nan, judged.targets.hidden_NS[:, : ward.index["close"]])
    missed = (said_NS - truth_NS).abs().nanmean() / (100.0 - truth_NS).abs().nanmean()
    assert least < float(missed) < most


def test_values_that_a_frame_or_vector_would_still_show_are_not_hidden():
    gate = Layout(Monitor.model_validate(GATE))
    rows = pack(np.zeros(40, np.int64), np.random.default_rng(0).random((40, len(gate.signals))), np.arange(40), gate)[
        0
    ]
    n = len(rows.time_N)
    nothing = Targets(torch.empty(n, gate.n_targets, 1), torch.zeros(n), rows.real_N, ())
    before = Chapter(rows, torch.empty(0), nothing, rows.real_N, torch.zeros(n), 1, torch.zeros(n), 1)
    hidden_S = (~hidden(before, gate, np.random.default_rng(0)).targets.hidden_NS.isnan()).any(0)
    assert hidden_S.tolist() == [column >= gate.n_derived for column in range(gate.n_targets)]
