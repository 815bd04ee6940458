"""A version tried in the shadow changes nothing that is served, and serves only if it is the better one."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import torch
from sqlalchemy import select

from infra.assembly import shard_parts
from infra.database import connect, migrate
from infra.registry import SqlRegistry
from schemas.layout import Layout
from schemas.shadow import Outcome, Settlement
from schemas.tables import AlertEventRow, AlertRow
from schemas.versions import ModelEventRow, ShadowAlertRow, ShadowRow, ShadowTallyRow
from scorer import shadow
from scorer.ledger import SqlLedger
from scorer.questions import question_template
from scorer.run import run
from scorer.shard import SnapshotPolicy
from scorer.verdict import compared
from tests.laws.test_recovery_laws import BATCH, ROWS, Records, monitor, ward
from tests.laws.ward import TOPIC
from trainer.network import Network
from trainer.weights import save_weights

TRIED = 400


def clock():
    return datetime(2026, 1, 1, tzinfo=UTC)


def trying(rows: int = TRIED) -> Layout:
    whole = monitor("0s").monitor
    return Layout(whole.model_copy(update={"training": whole.training.model_copy(update={"shadow_rows": rows})}))


def plain(layout: Layout) -> bytes:
    """A fresh network's weights: its forecast is persistence."""
    torch.manual_seed(0)
    return save_weights(Network(layout))


def sabotaged(layout: Layout, noise: float = 1.0) -> bytes:
    """The same with noise in every weight."""
    torch.manual_seed(0)
    network, generator = Network(layout), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(noise * torch.randn(weight.shape, generator=generator))
    return save_weights(network)


class World:
    """A database with a version that serves and maybe one that challenges it, and shards that live on it."""

    def __init__(self, directory, layout, serving, challenger=None):
        self.layout, self.directory = layout, directory
        self.engine = connect(f"sqlite:///{directory / 'bellwether.db'}")
        migrate(self.engine)
        self.registry = SqlRegistry(self.engine, "ward", directory, clock, layout.monitor.training.shadow_rows)
        self.registry.publish_first(serving)
        if challenger is not None:
            self.registry.publish(challenger, 1, {})

    def promote(self, weights):
        """Let a version serve as if it had proved itself."""
        self.registry.publish(weights, self.registry.standing()[0], {})
        self.registry.settle(self.registry.shadow(), Settlement(Outcome.PROMOTED, "made so"))

    def live(self, whole, lengths=(ROWS,), every=timedelta(0)):
        """Shards live, one after the other, so many batches each; the last one's scores."""
        scores = []
        for number, length in enumerate(lengths):
            parts = self.parts(number, every)
            scores += [each.predictions for each in run(Records(whole, length), parts.shard, parts.pipeline) if each]
        return scores

    def parts(self, number=0, every=timedelta(0)):
        """A shard that owns nothing yet."""
        ledger = SqlLedger(self.engine, "ward", "c", f"o-{number}", clock, timedelta(seconds=9), lambda _: "t")
        policy = SnapshotPolicy(self.directory / "snapshots", every)
        return shard_parts(self.layout, ledger, self.registry, policy, look_seconds=0.0, shadows=self.registry)

    def rows(self, table):
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(select(table.__table__)).mappings()]

    def alerts(self):
        """What became of alerts, whenever that was written down."""
        return Counter(tuple(v for n, v in row.items() if n != "recorded_at") for row in self.rows(AlertEventRow))

    def settled(self):
        return [(row["champion"], row["challenger"], row["role"], row["outcome"]) for row in self.rows(ShadowRow)]


def test_a_better_challenger_is_promoted_and_then_watched(tmp_path):
    layout = trying()
    world = World(tmp_path, layout, sabotaged(layout), plain(layout))
    world.live(ward(0))
    assert world.settled() == [(1, 2, "trial", "promoted"), (2, 1, "watch", "kept")]
    assert world.registry.standing() == (2, 0)


def test_a_sabotaged_challenger_is_refused_and_raises_no_alert(tmp_path):
    layout = trying()
    world = World(tmp_path, layout, plain(layout), sabotaged(layout))
    world.live(ward(0))
    assert world.settled() == [(1, 2, "trial", "refused")]
    assert {row["model_version"] for row in world.rows(AlertEventRow)} == {1}
    assert world.registry.get(2).status == "retired"


def test_a_version_that_turns_out_worse_is_rolled_back_by_itself(tmp_path):
    layout = trying(800)
    world = World(tmp_path, layout, plain(layout))
    world.promote(sabotaged(layout))
    world.live(ward(0))
    assert world.settled() == [(1, 2, "trial", "promoted"), (2, 1, "watch", "rolled back")]
    assert (world.registry.standing(), world.registry.get(2).status) == ((1, 0), "rolled back")
    assert [row["who"] for row in world.rows(ModelEventRow)][-2:] == ["shadow", "shadow"]


def test_versions_that_turn_out_worse_bit_by_bit_are_rolled_back_though_one_follows_the_other(tmp_path):
    layout = trying(600)
    world = World(tmp_path, layout, plain(layout))
    world.promote(sabotaged(layout, 0.03))
    world.live(ward(0), (3,))
    assert world.registry.standing() == (2, 0)
    world.promote(sabotaged(layout, 0.3))
    world.live(ward(0), (3,))
    assert world.settled()[1::2] == [(2, 1, "watch", "rolled back"), (3, 1, "watch", "rolled back")]
    assert world.registry.standing() == (1, 0)
    *_, alone = world.rows(ShadowTallyRow)
    assert compared({name: tuple(sums) for name, sums in alone["sums"].items()}) == {}


def test_a_shadow_that_another_program_wrote_begins_anew_and_the_champion_does_not(tmp_path, monkeypatch):
    layout = trying(10 * ROWS)
    world = World(tmp_path, layout, plain(layout), sabotaged(layout))
    world.live(ward(0), (6,))
    monkeypatch.setattr(
        shadow, "question_template", lambda each: question_template(each) | {"question.new": np.zeros(1)}
    )
    assert world.parts(1).shard.adopt([TOPIC]) == {TOPIC: 6 * BATCH}
    world.live(ward(0))
    [tally] = world.rows(ShadowTallyRow)
    assert tally["next"] == ROWS


@pytest.mark.parametrize("seed", range(2))
def test_what_is_served_does_not_change_by_a_shadow(tmp_path, seed):
    found = []
    for name, rows in (("alone", 0), ("beside", 10 * ROWS)):
        (tmp_path / name).mkdir()
        layout = trying(rows)
        world = World(tmp_path / name, layout, plain(layout), sabotaged(layout) if rows else None)
        scores = world.live(ward(seed))
        found.append((world.alerts(), [(each.score.tobytes(), each.forecast.tobytes()) for each in scores]))
    assert len(found[0][0]) > 20
    assert found[0] == found[1]


def test_a_restart_amid_a_shadow_loses_nothing_of_it(tmp_path):
    found = []
    for name, lengths in (("calm", (ROWS,)), ("disturbed", (3, 5, 2, 4, ROWS))):
        (tmp_path / name).mkdir()
        layout = trying(10 * ROWS)
        world = World(tmp_path / name, layout, plain(layout), sabotaged(layout))
        world.live(ward(1), lengths, timedelta(days=1))
        [tally] = world.rows(ShadowTallyRow)
        found.append((tally, world.rows(ShadowAlertRow), world.alerts()))
    (calm, *rest), (disturbed, *same) = found
    assert rest == same
    assert (calm["rows"], calm["next"]) == (disturbed["rows"], disturbed["next"])
    for name, sums in calm["sums"].items():
        np.testing.assert_allclose(disturbed["sums"][name], sums, rtol=1e-12)


def test_what_a_challenger_would_raise_is_what_it_raises_where_it_serves(tmp_path):
    layout, found = trying(10 * ROWS), []
    for name, versions, table in (
        ("beside", (plain(layout), sabotaged(layout)), ShadowAlertRow),
        ("served", (sabotaged(layout),), AlertRow),
    ):
        (tmp_path / name).mkdir()
        world = World(tmp_path / name, layout, *versions)
        world.live(ward(2))
        columns = ("entity", "task", "kind", "started_at", "ended_at")
        found.append({tuple(row[column] for column in columns) for row in world.rows(table)})
    assert len(found[0]) > 20
    assert found[0] == found[1]
