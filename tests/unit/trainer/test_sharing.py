"""The strategies alone, each where what it says can be seen."""

import pytest
import torch
from pydantic import ValidationError

from schemas.components import ModelSettings
from tests.laws.ward import awake, different, layout, run, stream
from trainer.network import Network, state_bytes
from trainer.sharing import STRATEGIES
from trainer.sharing.adatt import AdaTT
from trainer.sharing.cross_stitch import CrossStitch
from trainer.sharing.hard import Hard, HardAll
from trainer.sharing.mmoe import Mmoe
from trainer.sharing.mtan import Mtan
from trainer.sharing.ple import Ple

TASKS, ROWS, WIDTH, EXPERTS = 3, 32, 8, 4
MODEL = ModelSettings(width=WIDTH, experts=EXPERTS)


@pytest.fixture
def tasks():
    return torch.randn(TASKS, ROWS, WIDTH, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def shared():
    return torch.randn(1, ROWS, WIDTH, generator=torch.Generator().manual_seed(2))


def close(one, other):
    return torch.allclose(one, other, atol=1e-6)


def only(*places):
    """A gate that, read by a representation of ones, opens for one place of each task."""
    logits = torch.full((len(places), max(places) + 1), -1e3)
    for task, place in enumerate(places):
        logits[task, place] = 1e3
    return logits


@pytest.mark.parametrize("word", STRATEGIES)
def test_each_task_gets_one_representation_per_row(word, tasks, shared):
    strategy = STRATEGIES[word](TASKS, MODEL)
    assert strategy(tasks, shared[: strategy.shared_queries]).shape == tasks.shape


def test_the_configuration_offers_every_strategy_and_twins_and_nothing_else():
    assert [ModelSettings(sharing=word).sharing for word in (*STRATEGIES, "twins")] == [*STRATEGIES, "twins"]
    with pytest.raises(ValidationError, match="cross-stitch"):
        ModelSettings(sharing="soft")


def test_hard_sharing_gives_each_task_a_layer_of_its_own(tasks, shared):
    alike_KND = tasks[:1].expand(TASKS, -1, -1)
    seen_KND = Hard(TASKS, MODEL)(alike_KND, shared)
    assert not close(seen_KND[0], seen_KND[1])


def test_sharing_all_gives_tasks_that_see_the_same_the_same(tasks, shared):
    seen_KND = HardAll(TASKS, MODEL)(tasks[:1].expand(TASKS, -1, -1), shared)
    assert close(seen_KND[0], seen_KND[1])


def test_cross_stitch_units_that_keep_to_themselves_are_hard_sharing(tasks, shared):
    stitched, hard = CrossStitch(TASKS, MODEL), Hard(TASKS, MODEL)
    stitched.before_KK.data = stitched.after_KK.data = torch.eye(TASKS)
    hard.load_state_dict({name: part for name, part in stitched.state_dict().items() if not name.endswith("_KK")})
    assert close(stitched(tasks, shared), hard(tasks, shared))


def test_a_cross_stitch_unit_starts_with_nine_tenths_of_its_own():
    own = torch.eye(TASKS)
    assert close(CrossStitch(TASKS, MODEL).after_KK, 0.9 * own + 0.05 * (1.0 - own))


def test_untrained_gates_mix_all_experts_evenly(tasks, shared):
    mmoe = Mmoe(TASKS, MODEL)
    experts_XND = torch.nn.functional.gelu(shared @ mmoe.expert_XDD.mT)
    assert close(mmoe(tasks, shared), experts_XND.mean(0).expand(TASKS, -1, -1))


def test_a_gate_may_choose_one_expert(shared):
    mmoe = Mmoe(TASKS, MODEL)
    mmoe.gate_KXD.data = only(3, 0, 1)[..., None].expand(-1, -1, WIDTH)
    experts_XND = torch.nn.functional.gelu(shared @ mmoe.expert_XDD.mT)
    assert close(mmoe(torch.ones(TASKS, ROWS, WIDTH), shared), experts_XND[[3, 0, 1]])


def test_in_ple_no_task_reads_the_private_expert_of_another_but_through_what_is_shared(tasks, shared):
    ple = Ple(TASKS, MODEL)
    ple.over_private_KD.data.fill_(-1e3)
    before_KND = ple(tasks, shared.abs())
    for level in (ple.first, ple.second):
        level.private_KDD.data[1].add_(1.0)
    moved = (ple(tasks, shared.abs()) != before_KND).flatten(1).any(1)
    assert moved.tolist() == [False, True, False]


def test_in_ple_what_is_shared_takes_from_private_experts(tasks, shared):
    ple = Ple(TASKS, MODEL)
    before_KND = ple(tasks, shared)
    ple.first.private_KDD.data[1].add_(1.0)
    assert (ple(tasks, shared) != before_KND).flatten(1).any(1).all()


def test_an_adatt_level_adds_the_mixture_of_all_experts_to_the_native_one(tasks):
    level = AdaTT(TASKS, MODEL).first
    expert_KND = torch.nn.functional.gelu(tasks @ level.expert_KDD.mT)
    assert close(level(tasks.mT).mT, expert_KND + expert_KND.mean(0))


def test_a_closed_mask_lets_nothing_of_the_shared_features_through(tasks, shared):
    mtan = Mtan(TASKS, MODEL)
    mtan.outer_K1D.data[1] = -1e3
    seen = mtan(tasks, shared).flatten(1).any(1)
    assert seen.tolist() == [True, False, True]


def test_twins_keep_as_many_hidden_states_as_there_are_tasks_and_all_others_one():
    bytes_of = {word: state_bytes(layout(sharing=word))["hidden"] for word in (*STRATEGIES, "twins")}
    assert bytes_of == dict.fromkeys(STRATEGIES, bytes_of["hard"]) | {"twins": TASKS * bytes_of["hard"]}


def test_one_twin_says_nothing_to_another():
    network = awake(Network(layout(sharing="twins")))
    before, _ = run(network, *stream(60, 5, 0))
    with torch.no_grad():
        for weight in [*network.trunk.encoders[2].parameters(), *network.trunk.fusions[2].parameters()]:
            weight.add_(0.1)
    after, _ = run(network, *stream(60, 5, 0))
    assert different(before, after) == ["attention_NKM", "state0"]
