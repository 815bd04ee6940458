"""Fitting on several ranks: the same curve as on one, judged alike, and nobody waits for a shard that is shorter."""

from pathlib import Path

import pytest
import torch
from torch import distributed, multiprocessing

from schemas.layout import Layout
from tests.laws.ward import autoregressive, awake, batch, layout
from trainer.fit import Fit, meet
from trainer.history import pieces_of, streams_of
from trainer.judging import judge
from trainer.network import Network

EPOCHS = 3


def fitting() -> Layout:
    return layout({"window": 8}, width=8)


def streams(entities=41):
    """Entities of one fit, as many rows each."""
    rows = [batch(*each) for each in autoregressive(24, entities, 0)]
    found = streams_of(rows, fitting(), {}, [])
    return [found[name] for name in sorted(found)]


def fitted(rank: int, ranks: int, folder: Path) -> None:
    """One rank's validation losses and weights, into a file."""
    torch.set_num_threads(1)
    group = None
    if ranks > 1:
        distributed.init_process_group("gloo", f"file://{folder / 'meet'}", rank=rank, world_size=ranks)
        group = distributed.group.WORLD
    found, ward = streams(), fitting()
    network = Network(ward)
    meet(network, found[:32])
    fit = Fit(network, ward, pieces_of(found[:32][rank::ranks], ward), pieces_of(found[32:], ward), 0, group)
    losses = [dict(fit.epoch().validation.losses) for _ in range(EPOCHS)]
    torch.save((losses, network.state_dict()), folder / f"{ranks}-{rank}.pt")
    if ranks > 1:
        distributed.destroy_process_group()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """What one rank, and each of two (with 16 entities each to learn from, 9 to judge together), came to."""
    folder = tmp_path_factory.mktemp("ranks")
    fitted(0, 1, folder)
    multiprocessing.spawn(fitted, (2, folder), nprocs=2)
    return [torch.load(folder / name, weights_only=True) for name in ("1-0.pt", "2-0.pt", "2-1.pt")]


def test_two_ranks_end_with_the_same_weights_bit_for_bit(runs):
    _, (_, first), (_, second) = runs
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def test_two_ranks_follow_the_curve_of_one_within_noise(runs):
    (one, _), (two, _), _ = runs
    for alone, together in zip(one, two, strict=True):
        assert together["forecast"] == pytest.approx(alone["forecast"], abs=0.01)
        assert together["soon"] == pytest.approx(alone["soon"], abs=0.03)
        assert together["anomaly"] == pytest.approx(alone["anomaly"], abs=0.05)
    assert one[-1]["forecast"] < one[0]["forecast"]


def test_a_rank_with_fewer_pieces_takes_as_many_steps(tmp_path):
    multiprocessing.spawn(_unequal, (tmp_path,), nprocs=2)
    assert [int((tmp_path / f"{rank}").read_text()) for rank in (0, 1)] == [9, 9]


def _unequal(rank: int, folder: Path) -> None:
    distributed.init_process_group("gloo", f"file://{folder / 'meet'}", rank=rank, world_size=2)
    found, ward = streams(10), fitting()
    mine = pieces_of(found[:9] if rank == 0 else found[9:], ward)
    fit = Fit(Network(ward), ward, mine, mine, 0, distributed.group.WORLD)
    fit.epoch()
    (folder / f"{rank}").write_text(str(len(list(fit._chapters()))))
    distributed.destroy_process_group()


def judged(rank: int, ranks: int, folder: Path) -> None:
    """What one rank makes of the same weights on 70 pieces, too few for any of several ranks alone, and on two."""
    torch.set_num_threads(1)
    group = None
    if ranks > 1:
        distributed.init_process_group("gloo", f"file://{folder / f'meet-{ranks}'}", rank=rank, world_size=ranks)
        group = distributed.group.WORLD
    ward = fitting()
    kept = pieces_of([each.until(24 - place % 12) for place, each in enumerate(streams(70))], ward)
    found = [judge(awake(Network(ward)), pieces, group) for pieces in (kept, kept[:2])]
    torch.save([(each.losses, each.metrics, len(each.loss_WK)) for each in found], folder / f"{ranks}-{rank}.pt")
    if ranks > 1:
        distributed.destroy_process_group()


def test_a_judgement_is_the_same_on_any_number_of_ranks_even_where_one_has_nothing_to_look_at(tmp_path):
    judged(0, 1, tmp_path)
    for ranks in (2, 3):
        multiprocessing.spawn(judged, (ranks, tmp_path), nprocs=ranks)
    alone, *others = (torch.load(tmp_path / f"{of}-{rank}.pt") for of in (1, 2, 3) for rank in range(of))
    for together in others:
        for (losses, metrics, parts), expected in zip(together, alone, strict=True):
            assert losses == pytest.approx(expected[0], rel=1e-6)
            assert metrics == pytest.approx(expected[1], rel=1e-6)
            assert parts == expected[2]
