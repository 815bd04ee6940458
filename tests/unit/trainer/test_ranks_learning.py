"""Several ranks learn as one: same weights, nothing lost when they are counted anew."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import numpy as np
import pytest
import torch
from torch import distributed

from infra.memory import MemoryRegistry
from tests.laws.ward import TOPIC, TRAINING, autoregressive, batch, layout
from trainer.checkpoint import packed, unpacked
from trainer.learner import Learner
from trainer.network import Network
from trainer.weights import save_weights


def together(ranks, work):
    """What `work(rank, group)` gives on each of the ranks, which are threads."""
    with ThreadPoolExecutor(ranks) as pool:
        return list(pool.map(work, range(ranks), joined(pool, ranks)))


def joined(pool, ranks, tries=3):
    """A group for each rank. On an overloaded machine gloo loses a connection now and then while it makes them."""
    store = distributed.HashStore()
    try:
        return list(pool.map(lambda rank: group_of(store, rank, ranks), range(ranks)))
    except RuntimeError:
        if tries == 1:
            raise
    return joined(pool, ranks, tries - 1)


def group_of(store, rank, ranks):
    return distributed.ProcessGroupGloo(store, rank, ranks, timedelta(seconds=30))


def registry_of():
    """A first version stands in it: torch's seed belongs to all threads, of which each would draw its own."""
    registry = MemoryRegistry()
    registry.publish_first(save_weights(Network(layout(TRAINING))))
    return registry


def rank_of(group, registry):
    return Learner(layout(TRAINING), 0, registry, group=group)


def stepped(learner, group, stream):
    """Rounds until no rank has anything left: each takes a batch of its own, then all step if one is ready."""
    reports = []
    for rows in stream:
        if rows is not None:
            learner.take(batch(*rows))
        ready = torch.tensor(int(learner.ready))
        distributed.all_reduce(ready, group=group)
        if ready:
            reports.append(learner.step())
            learner.publish_if_proved()
    return reports


def weights(learner):
    return save_weights(learner.candidate.network)


def test_ranks_that_see_other_rows_hold_the_same_weights_and_count_what_all_saw():
    def rank(number, group):
        learner = rank_of(group, registry)
        reports = stepped(learner, group, list(autoregressive(40, 16, number)))
        return weights(learner), [report.losses for report in reports], learner.events

    registry = registry_of()
    first, second = together(2, rank)
    assert first == second
    assert len(first[1]) >= 2
    assert first[2] == 2 * len(first[1]) * 16 * 8


def test_a_rank_without_rows_hinders_nobody():
    def rank(number, group):
        learner = rank_of(group, registry)
        reports = stepped(learner, group, list(autoregressive(40, 16, 3)) if number == 0 else [None] * 40)
        return weights(learner), [report.losses for report in reports]

    registry = registry_of()
    first, second = together(2, rank)
    assert first == second
    assert first[1][-1]["forecast"] < 1.5


def test_what_one_rank_saw_that_is_not_finite_is_refused_by_all(monkeypatch):
    def rank(number, group):
        learner = rank_of(group, registry)
        before = weights(learner)
        learner.take(batch(*map(np.concatenate, zip(*autoregressive(24, 16, number), strict=True))))
        if number == 1:
            for window in learner.intake._queue:
                window.values[:] = np.inf
        report = learner.step()
        return report.refused, before == weights(learner)

    registry = registry_of()
    first, second = together(2, rank)
    assert first == second
    assert first[0] is not None
    assert first[1]
    assert len(registry.quarantined) == 2


@pytest.mark.parametrize("weighting", ["equal", "dwa", "gradnorm", "rlw"])
def test_a_learner_that_goes_on_from_what_another_held_takes_the_same_steps(weighting):
    stream = list(autoregressive(60, 16, 5))
    settings = TRAINING | {"weighting": weighting, "gradients_every": 2}
    one, registry = Learner(layout(settings), 0, MemoryRegistry()), MemoryRegistry()
    for rows in stream[:33]:
        one.observe(batch(*rows))
    state, share = packed(one.state_dict()), packed(one.share_of(TOPIC))
    one.load_state_dict(unpacked(state))
    other = Learner(layout(settings), 0, registry)
    other.load_state_dict(unpacked(state))
    other.add_shares({TOPIC: unpacked(share)})
    reports = [[report for rows in stream[33:] for report in each.observe(batch(*rows))] for each in (one, other)]
    assert reports[0] == reports[1]
    assert len(reports[0]) >= 1
    assert weights(one) == weights(other)
