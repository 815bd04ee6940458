import numpy as np
import pytest
import torch

from schemas.layout import Layout
from schemas.monitor import Monitor
from tests.laws.ward import WARD, autoregressive, awake, batch
from trainer.chapter import chapter_of
from trainer.history import pieces_of, streams_of
from trainer.network import Network
from trainer.rows import pack

EVENT = 3


def ward(*events):
    tasks = [*WARD["tasks"], *({"name": name, "kind": "event"} for name in events)]
    return Layout(Monitor.model_validate(WARD | {"tasks": tasks}))


def private(layout):
    network = awake(Network(layout))
    return network.private, network.read(observed(network)).detach()


def observed(network):
    entity = np.zeros(40, dtype=np.int64)
    values = np.random.default_rng(0).normal(80.0, 9.0, (40, 7))
    rows, *_ = pack(entity, values, 60_000 * np.arange(1, 41), network.layout)
    return network.statistics.observe(network.statistics.initial(rows.waves[0]), rows)


def chapter(layout, hide_from_events):
    found = streams_of([batch(*each) for each in autoregressive(40, 4, 0)], layout, {}, [])
    return chapter_of(pieces_of(list(found.values()), layout), layout, np.random.default_rng(0), 0.0, hide_from_events)


def test_what_is_hidden_from_events_is_to_them_as_if_it_never_came_and_nothing_to_the_others():
    paths, features_GNS = private(ward("death"))
    shown_NS = torch.ones(features_GNS.shape[1:])
    shown_NS[:, 2] = 0.0
    never_GNS = features_GNS.clone()
    never_GNS[:, :, 2] = 0.0
    hidden, whole, never = paths(features_GNS, shown_NS), paths(features_GNS), paths(never_GNS)
    torch.testing.assert_close(hidden, torch.cat([whole[:EVENT], never[EVENT:]]), rtol=1e-5, atol=1e-6)
    assert not torch.allclose(hidden[EVENT], whole[EVENT])


def test_a_path_of_one_unit_tells_both_ends_from_the_middle():
    paths, features_GNS = private(ward())
    usual, low, high = (torch.full_like(features_GNS[:, :1], value) for value in (0.0, -2.0, 2.0))
    with torch.no_grad():
        for path in paths.paths:
            path.first_PI.zero_()
            path.first_PI[:, -1] = 1.0  # a distance stands last
        said_KND = paths(torch.cat([usual, low, high], 1))
    assert torch.equal(said_KND[:, 1], said_KND[:, 2])
    assert not torch.allclose(said_KND[:, 0], said_KND[:, 1])


@pytest.mark.parametrize("others", [0, 20])
def test_of_many_signals_what_is_asked_of_whole_entities_is_answered_apart_until_sharing_proved_better(others):
    tasks = [
        *WARD["tasks"],
        {"name": "death", "kind": "event"},
        {"name": "sepsis", "kind": "event", "share": "always"},
        {"name": "fall", "kind": "event", "within": 6},
    ]
    labs = {"name": "labs", "signals": [{"name": f"lab{number}"} for number in range(others)]}
    modalities = [*WARD["modalities"], *([labs] if others else [])]
    network = Network(Layout(Monitor.model_validate(WARD | {"tasks": tasks, "modalities": modalities})))
    assert network.detached == (False, False, False, others > 0, False, False)


@pytest.mark.parametrize(("events", "share"), [((), 0.5), (("death",), 0.0)])
def test_nothing_is_drawn_where_nobody_is_hidden_from(events, share):
    assert chapter(ward(*events), share).shown_NS is None


def test_each_row_lacks_other_signals_of_about_the_share_asked_for():
    shown_NS = chapter(ward("death"), 0.3).shown_NS
    assert 0.6 < float(shown_NS.mean()) < 0.8
    assert len(shown_NS.unique(dim=0)) > 16
