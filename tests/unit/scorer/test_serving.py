"""Which version serves, and whether it does so in place of a newer one."""

from dataclasses import replace
from datetime import timedelta

import numpy as np

from infra.assembly import first_version, shard_parts
from infra.memory import MemoryLedger, MemoryRegistry
from scorer.serving import ServingModels
from scorer.shard import SnapshotPolicy
from tests.laws.ward import TOPIC, batch, layout
from trainer.network import Network
from trainer.weights import save_weights


def registry() -> MemoryRegistry:
    made = MemoryRegistry()
    first_version(layout(), made)
    return made


def test_a_version_serves_as_the_last_good_one_while_a_newer_one_cannot_be_loaded() -> None:
    known = registry()
    serving = ServingModels(layout(), known, lambda: 0.0, every_seconds=0.0)
    seen = [(serving.version(), serving.fallback())]
    for weights in (b"no weights", save_weights(Network(layout()))):
        known.publish(weights, 1, {})
        serving.refresh()
        seen.append((serving.version(), serving.fallback()))
    assert seen == [(1, False), (1, True), (3, False)]


def test_a_version_that_cannot_be_loaded_is_read_again_only_after_a_while() -> None:
    known, now, read = registry(), [0.0], []
    load = known.load
    known.load = lambda record: read.append(record.version) or load(record)  # type: ignore[method-assign, func-returns-value]
    serving = ServingModels(layout(), known, lambda: now[0], every_seconds=0.0)
    known.publish(b"no weights", 1, {})
    for now[0] in (0.0, 1.0, 29.0, 31.0, 32.0):
        serving.refresh()
    assert (read, serving.version(), serving.fallback()) == ([1, 2, 2], 1, True)


def test_what_a_shard_scores_says_that_a_newer_version_was_rolled_back() -> None:
    known = registry()
    shard = shard_parts(layout(), MemoryLedger(), known, SnapshotPolicy(None, timedelta()), look_seconds=0.0).shard
    shard.adopt([TOPIC])
    rows = batch(np.array([0]), np.full((1, 7), 80.0), np.array([0]))
    known.publish(save_weights(Network(layout())), 1, {})
    shard.follow()
    newer = shard.score(rows)
    known.rollback(None, "anna", "worse")
    shard.follow()
    older = shard.score(replace(rows, time_ms=rows.time_ms + 1000, offset=rows.offset + 1))
    assert [(each.version.tolist(), each.fallback) for each in (newer, older)] == [([2], False), ([1], True)]
