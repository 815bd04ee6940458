"""What a learner does about drift and harm, on the real path."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
import torch

from infra.memory import MemoryRegistry
from ingest.decode import Decoder
from ingest.record import PlainRecord
from schemas.label import Label
from tests.laws.ward import TOPIC, TRAINING, autoregressive, batch, layout
from trainer.checkpoint import packed, unpacked
from trainer.learner import Learner
from trainer.offer import Offer
from trainer.weights import save_weights


def stream(steps, seed, drift_at=None, entities=16):
    """Entities whose signals turn around from a step on: what rose before falls now, four times as far."""
    for step, (entity, values, time_ms) in enumerate(autoregressive(steps, entities, seed)):
        turned = drift_at is not None and step >= drift_at
        level = np.array([80.0, 120.0, 60.0, 16.0, 9.0, 30.0, 60.0])
        yield entity, level - 4.0 * np.roll(values - level, 1, axis=1) if turned else values, time_ms


def learner_of(registry=None, **settings):
    return Learner(layout(TRAINING | settings), 0, registry or MemoryRegistry())


def learned(learner, rows, first=0):
    reports = []
    for number, each in enumerate(rows, first):
        reports += learner.observe(batch(*each, first_offset=number * len(each[0])))
    return reports


def weights(learner):
    return save_weights(learner.candidate.network)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (1e30, "a value that nothing measures"),
        (1e6, "impossible beside all that was seen: rr"),
        (-1e12, "impossible beside all that was seen: rr"),
    ],
)
def test_an_absurd_value_leaves_no_trace_in_the_weights_and_a_row_in_the_quarantine(value, reason):
    registry, rows = MemoryRegistry(), list(stream(60, 0))
    poisoned = [tuple(np.array(column) for column in each) for each in rows]
    poisoned[30][1][5, 3] = value
    without = [
        (e, v, t) if n != 30 else tuple(np.delete(c, 5, axis=0) for c in (e, v, t)) for n, (e, v, t) in enumerate(rows)
    ]
    one, other = learner_of(registry), learner_of()
    learned(one, poisoned)
    learned(other, without)
    assert weights(one) == weights(other)
    assert registry.quarantined == [(reason, {TOPIC: (485, 486)})]


@pytest.mark.parametrize("value", [1e6, 1e9, 1e12, 1e18])
@pytest.mark.parametrize("steps", [20, 160])
def test_a_batch_of_impossible_values_changes_no_bit_of_the_weights(steps, value):
    registry = MemoryRegistry()
    learner = learner_of(registry)
    learned(learner, stream(steps, 1))
    before, taken = weights(learner), learner.steps
    rows = list(stream(steps + 16, 1))[steps:]
    learned(learner, [(entity, values * value, at) for entity, values, at in rows], first=steps)
    assert (weights(learner) == before, learner.steps) == (True, taken)
    assert [ranges for _, ranges in registry.quarantined] == [
        {TOPIC: (16 * step, 16 * step + 16)} for step in range(steps, steps + 16)
    ]


@pytest.mark.parametrize("absurd", ["NaN", "-Infinity", "1e999"])
def test_what_is_no_number_is_a_dead_letter_and_teaches_what_a_missing_value_does(absurd):
    names = [signal.name for signal in layout().signals]
    sound = [
        (b"%d" % entity, json.dumps({"entity": str(entity), "time": int(time), **dict(zip(names, row, strict=True))}))
        for entities, values, times in stream(60, 0)
        for entity, row, time in zip(entities, values.tolist(), times, strict=True)
    ]
    key, line = sound[500]
    found = []
    for said in (absurd, "null"):
        decoder, learner = Decoder(layout(), lambda: datetime(2100, 1, 1, tzinfo=UTC)), learner_of()
        told = [*sound[:500], (key, re.sub(r'(?<="rr": )[^,]+', said, line)), *sound[501:]]
        records = [PlainRecord(key, line.encode(), offset) for offset, (key, line) in enumerate(told)]
        batches = [decoder.decode({TOPIC: records[first : first + 16]}) for first in range(0, len(records), 16)]
        assert sum(len(learner.observe(each)) for each in batches) > 4
        found.append((weights(learner), [letter.offset for each in batches for letter in each.dead_letters]))
    (weights_after, letters), (without, none) = found
    assert (letters, none) == ([500], [])
    assert weights_after == without


def test_an_adversarial_burst_changes_no_bit_of_the_weights_and_is_quarantined():
    registry, rng = MemoryRegistry(), np.random.default_rng(1)
    learner = learner_of(registry)
    calm = learned(learner, stream(160, 1))
    before = weights(learner)
    burst = [
        (entity, values * 10.0 ** rng.uniform(-3, 3, values.shape), time_ms)
        for entity, values, time_ms in list(stream(184, 1))[160:]
    ]
    told = learned(learner, burst, first=160)
    refused = [report for report in told if report.refused]
    assert (len(calm) >= 12, len(told), len(refused)) == (True, 3, len(told))
    assert weights(learner) == before
    assert registry.quarantined == [(report.refused, report.ranges) for report in refused]


def test_a_burst_right_after_another_version_came_to_serve_is_refused_too():
    registry = MemoryRegistry()
    learner = learner_of(registry)
    learned(learner, stream(160, 1))
    registry.publish(weights(learner), None, {})
    assert learner.follow(registry.newest, 0)
    before, rng = weights(learner), np.random.default_rng(1)
    burst = [(each, values * 10.0 ** rng.uniform(-3, 3, values.shape), at) for each, values, at in stream(184, 1)]
    told = learned(learner, burst[160:], first=160)
    assert [report.refused is None for report in told] == [False] * 3
    assert weights(learner) == before


def test_a_rehearsal_that_is_refused_is_a_row(monkeypatch):
    registry = MemoryRegistry()
    learner = learner_of(registry, drift={"adapt_every": 64})
    rows = list(stream(60, 4))
    learned(learner, rows)
    learner.candidate.adaptation._refresher.count(64, resting=True)
    before, ways = weights(learner), learner.candidate.descent.ways

    def steep(outputs, targets):
        """Of what is rehearsed alone: everything else is learned from for the first time."""
        found = ways(outputs, targets)
        return replace(found, shared=[replace(each, loss_N=each.loss_N * torch.nan) for each in found.shared])

    monkeypatch.setattr(learner.candidate.descent, "ways", steep)
    (action,) = learner.candidate.adaptation._adapt(step=learner.steps)
    assert (action.kind, action.why) == ("rehearsal refused", "loss is not finite")
    assert weights(learner) == before


def test_drift_is_met_and_every_action_is_a_row():
    registry = MemoryRegistry()
    learner = learner_of(registry, drift={"threshold": 4.0}, refuse_in_a_row=0)
    learned(learner, stream(420, 2, drift_at=220))
    steps = [step for _, step, _, action in registry.actions if action.kind == "alarm"]
    assert "hurry" in {action.kind for *_, action in registry.actions}
    assert min(steps) >= 220 // 8 - 3


def test_without_drift_the_ladder_changes_no_bit():
    on, off = learner_of(), learner_of(drift={"detector": "off"}, canary={"windows": 0})
    for learner in (on, off):
        learned(learner, stream(160, 3))
    assert weights(on) == weights(off)


def refreshed_by(labels, **drift):
    """Rows of actions, whether adapters learn, and the learner."""
    registry = MemoryRegistry()
    learner = Learner(layout(TRAINING | {"drift": {"detector": "off", **drift}}), 0, registry, labelled=True)
    rows = list(stream(40, 4))
    learned(learner, rows)
    entities = [(str(entity), int(at)) for who, _, time_ms in rows for entity, at in zip(who, time_ms, strict=True)]
    learner.teach([Label(entity, "anomaly", at, value=False) for entity, at in entities[-labels:]])
    return registry.actions, learner


def test_enough_labels_start_a_burst_of_adapters_without_an_alarm_and_it_goes_on_after_a_restart():
    actions, learner = refreshed_by(300, adapt_every=64, burst_steps=64)
    other = learner_of(drift={"detector": "off", "adapt_every": 64, "burst_steps": 64})
    other.load_state_dict(learner.state_dict())
    assert {(action.kind, action.task) for *_, action in actions} == {("burst", "")}
    assert (
        other.candidate.adaptation.state_dict()["refresher"] == learner.candidate.adaptation.state_dict()["refresher"]
    )
    assert learner.candidate.adaptation._refresher.bursting


@pytest.mark.parametrize(("drift", "kept"), [({}, False), ({"adapt_every": 64}, True)])
def test_windows_are_kept_to_be_rehearsed_where_labels_alone_start_a_burst(drift, kept):
    _, learner = refreshed_by(0, **drift)
    assert bool(learner.candidate.adaptation._kept.replay.held) is kept


def test_without_a_number_of_labels_no_burst_starts():
    actions, _ = refreshed_by(300)
    assert actions == []


@torch.no_grad()
def ruin(network):
    generator = torch.Generator().manual_seed(0)
    for weight in network.parameters():
        weight.add_(torch.randn(weight.shape, generator=generator))


def test_a_candidate_that_forgot_the_canaries_goes_back_until_they_are_outdated():
    learner = learner_of(canary={"vetoes": 2})
    learned(learner, stream(160, 5, entities=64))
    assert learner.candidate.adaptation.harm() == []
    good, told = weights(learner), []
    for _ in range(3):
        ruin(learner.candidate.network)
        told.append(({action.kind for action in learner.candidate.adaptation.harm()}, weights(learner) == good))
    assert told == [({"went back"}, True), ({"went back"}, True), ({"renewed"}, False)]
    assert learner.candidate.adaptation._kept.canary.held == []


def test_before_a_version_is_published_the_canaries_judge_what_is_offered_not_what_learns():
    learner = learner_of(average=20)
    learned(learner, stream(160, 5, entities=64))
    candidate, whole = learner.candidate, Offer(trunk=True, crossed=())
    assert not candidate.harmed(whole)
    good = weights(learner)
    ruin(candidate.average.network)
    assert candidate.adaptation.harm() == []
    assert candidate.harmed(whole)
    assert weights(learner) == good
    assert save_weights(candidate.average.network) == good


def burst(registry, **training):
    """A learner of 200 rows of each entity and 80 spoiled ones, and the rows that follow, by number."""
    rng, rows = np.random.default_rng(3), list(stream(340, 1))
    learner = learner_of(registry, **training)
    learned(learner, rows[:200])
    noisy = [(each, values + 5.0 * rng.normal(size=values.shape), at) for each, values, at in rows[200:280]]
    learned(learner, noisy, first=200)
    return learner, list(enumerate(rows))[280:]


def until_returned(learner, registry, following):
    """The number after that of the last row."""
    for number, row in following:
        learned(learner, [row], first=number)
        if "returned" in {action.kind for *_, action in registry.actions}:
            return number + 1
    raise AssertionError("nothing was returned to")


def test_after_a_burst_the_weights_from_before_it_are_returned_to_bit_for_bit():
    registry, other = MemoryRegistry(), learner_of()
    learner, following = burst(registry)
    other.load_state_dict(learner.state_dict())
    (pinned,) = other.candidate.adaptation.pinned._kept
    assert {past.regime for past in learner.candidate.adaptation._kept.replay.held} == {0, 1}
    end = until_returned(learner, registry, following)
    found = learner.candidate.network.state_dict()
    assert found.keys() == pinned.weights.keys()
    assert all(torch.equal(weight, pinned.weights[name]) for name, weight in found.items())
    why, ranges = registry.quarantined[-1]
    assert why.startswith("returned: ")
    assert ranges[TOPIC][0] < 16 * 200 < 16 * 280 < ranges[TOPIC][1] <= 16 * end


def test_once_the_weights_are_returned_to_nothing_of_the_burst_comes_back():
    registry = MemoryRegistry()
    learner, following = burst(registry, drift={"patience": 8, "burst_steps": 64})
    adaptation = learner.candidate.adaptation
    until_returned(learner, registry, following)
    assert "burst" in {action.kind for *_, action in registry.actions}
    returned_to = learner.candidate.network.state_dict()
    assert all(torch.equal(weight, returned_to[name]) for name, weight in adaptation.pinned._kept[0].weights.items())
    assert all(torch.equal(weight, returned_to[name]) for name, weight in adaptation._good.items())
    assert (adaptation._ladder.resting, adaptation._ladder.rate) == (True, 1.0)
    assert {past.regime for kept in (adaptation._kept.replay, adaptation._kept.canary) for past in kept.held} == {0}


def test_a_learner_that_is_started_again_within_a_burst_returns_to_the_same_weights():
    registry, again = MemoryRegistry(), MemoryRegistry()
    learner, following = burst(registry)
    state, share = packed(learner.state_dict()), packed(learner.share_of(TOPIC))
    learner.load_state_dict(unpacked(state))  # draws begin anew at a checkpoint, for both
    other = learner_of(again)
    other.load_state_dict(unpacked(state))
    other.add_shares({TOPIC: unpacked(share)})
    ends = [until_returned(each, told, following) for each, told in ((learner, registry), (other, again))]
    assert ends[0] == ends[1]
    assert weights(learner) == weights(other)
    assert again.quarantined[-1][1][TOPIC][0] < 16 * 200


def test_an_anchored_learner_stays_nearer_to_what_serves():
    def moved(anchor):
        learner = learner_of(anchor=anchor)
        learned(learner, stream(60, 0))
        pairs = zip(learner.candidate.network.parameters(), learner.candidate.serving.parameters(), strict=True)
        return sum(float((mine - proved).detach().square().sum()) for mine, proved in pairs) ** 0.5

    free, held = moved(0.0), moved(0.5)
    assert 0.0 < held < 0.5 * free


@pytest.mark.parametrize("rank", [0, 2, 8])
def test_adapters_of_another_rank_begin_anew_after_a_restart(rank):
    _, learner = refreshed_by(300, adapt_every=64, burst_steps=64)
    learned(learner, stream(40, 4))
    held = learner.state_dict()
    assert "adapters" in held["descent"]
    drift = {"detector": "off", "burst_steps": 64, "adapter_rank": rank} | ({"adapt_every": 64} if rank else {})
    other = learner_of(drift=drift)
    other.load_state_dict(held)
    before = weights(other)
    learned(other, stream(40, 5))
    assert weights(other) != before
