from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import numpy as np
import pytest
import torch
from torch import distributed, nn
from torchjd import aggregation
from torchjd.autojac import jac_to_grad, mtl_backward

from infra.memory import MemoryRegistry
from schemas.components import TrainingSettings
from schemas.task import Task
from tests.laws.ward import TRAINING, autoregressive, batch, layout
from trainer.learner import Learner
from trainer.losses import TaskLoss
from trainer.weighting.conflict import Projector
from trainer.weighting.methods import WEIGHTINGS
from trainer.weighting.task_weighting import TaskWeighting

NAMES = list(WEIGHTINGS)
READING = ["gradnorm", "upgrad", "mgda", "pcgrad", "cagrad", "nash-mtl", "aligned", "imtl-g"]
ROWS = 24


class Small(nn.Module):
    """A trunk, a layer that all tasks share behind the representation, and a head each."""

    def __init__(self, tasks=2):
        super().__init__()
        self.trunk, self.decoder = nn.Linear(4, 5), nn.Linear(5, 5)
        self.heads = nn.ModuleList(nn.Linear(5, 1) for _ in range(tasks))
        generator = torch.Generator().manual_seed(1)
        for weight in self.parameters():
            nn.init.normal_(weight, 0.0, 0.4, generator=generator)

    def forward(self, x_NI):
        """The representation, and each task's output."""
        shared_ND = self.trunk(x_NI).tanh()
        return shared_ND, [head(self.decoder(shared_ND).tanh()).squeeze(1) for head in self.heads]


def rows(tasks=2, n=ROWS):
    """Inputs, and targets that pull the trunk in different directions and by different forces."""
    generator = torch.Generator().manual_seed(2)
    x_NI = torch.randn(n, 4, generator=generator)
    return x_NI, [3.0**task * torch.randn(n, generator=generator) for task in range(tasks)]


def losses_of(outputs, targets, judged=None):
    """Squared errors; a task that is not judged has no row that counts."""
    judged = judged or [True] * len(targets)
    return [
        TaskLoss(str(task), (output - target) ** 2, torch.full_like(target, known / len(target)))
        for task, (output, target, known) in enumerate(zip(outputs, targets, judged, strict=True))
    ]


def weighting_of(name, tasks=2, weights=None, group=None, **settings):
    made = [Task(name=f"t{task}", kind="anomaly", weight=(weights or [1.0] * tasks)[task]) for task in range(tasks)]
    given = {"weighting": name, "gradients_every": 1, "similarity_every": 0} | settings
    return TaskWeighting(made, TrainingSettings.model_validate(given), 0, group)


def stepped(weighting, net, x_NI, targets, judged=None):
    """(what was weighed, the gradients) of one step that is taken, its update left out."""
    net.zero_grad(set_to_none=True)
    shared_ND, outputs = net(x_NI)
    weighed = weighting.backward(losses_of(outputs, targets, judged), shared_ND, list(net.parameters()))
    weighting.learn(weighed, lambda: losses_of([0.9 * output.detach() for output in outputs], targets, judged))
    return weighed, {name: weight.grad for name, weight in net.named_parameters()}


def plain(losses, weights):
    """The gradients of a sum with these weights."""

    def gradients(net, x_NI, targets):
        each = losses(net(x_NI)[1], targets)
        total = sum(weight * loss.mean() for weight, loss in zip(weights, each, strict=True))
        return dict(zip(dict(net.named_parameters()), torch.autograd.grad(total, list(net.parameters())), strict=True))

    return gradients


def assert_alike(one, other, rel=1e-4):
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=rel, atol=rel * 1e-2, msg=lambda m, name=name: name + m)


@pytest.mark.parametrize("name", ["equal", "uncertainty", "dwa", "rlw", "famo", "stch", "geometric"])
def test_the_gradient_is_that_of_the_sum_with_the_reported_weights(name):
    net, (x_NI, targets) = Small(), rows()
    weighting = weighting_of(name, weights=[1.0, 0.5])
    for _ in range(3):
        weighed, gradients = stepped(weighting, net, x_NI, targets)
    assert_alike(gradients, plain(losses_of, list(weighed.weights.values()))(net, x_NI, targets))
    assert weighed.loss == pytest.approx(sum(weighed.weights[t] * weighed.losses[t] for t in weighed.losses))


def test_equal_weights_are_the_configured_ones():
    weighed, _ = stepped(weighting_of("equal", weights=[1.0, 0.5]), Small(), *rows())
    assert weighed.weights == {"t0": 1.0, "t1": 0.5}


@pytest.mark.parametrize("name", NAMES)
def test_one_task_alone_weighs_what_is_configured(name):
    weighed, _ = stepped(weighting_of(name, tasks=1, weights=[0.25]), Small(1), *rows(1))
    assert weighed.weights == pytest.approx({"t0": 0.25}, rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_task_that_is_never_judged_changes_nothing_for_the_others(name):
    net, (x_NI, targets) = Small(3), rows(3)
    two, three = weighting_of(name, 2), weighting_of(name, 3)
    fewer = Small(2)
    fewer.load_state_dict({key: value for key, value in net.state_dict().items() if "heads.2" not in key})
    for _ in range(4):
        alone, _ = stepped(two, fewer, x_NI, targets[:2])
        beside, _ = stepped(three, net, x_NI, targets, [True, True, False])
    assert beside.weights == pytest.approx(alone.weights, rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_task_configured_to_weigh_nothing_moves_nothing_and_disturbs_nobody(name):
    net, (x_NI, targets) = Small(), rows()
    weighting = weighting_of(name, weights=[1.0, 0.0], gradients_every=2)
    alone = weighting_of(name, weights=[1.0, 1.0], gradients_every=2)
    for _ in range(2):
        _, gradients = stepped(weighting, net, x_NI, targets)
        _, expected = stepped(alone, net, x_NI, targets, [True, False])
    assert_alike(gradients, expected)
    assert gradients["heads.1.weight"].abs().max() == 0.0


@pytest.mark.parametrize("name", NAMES)
def test_a_task_without_a_gradient_gets_a_finite_weight_and_the_others_theirs(name):
    net, (x_NI, targets) = Small(3), rows(3)
    nn.init.zeros_(net.heads[1].weight)
    weighed, gradients = stepped(weighting_of(name, 3), net, x_NI, targets)
    assert np.isfinite(list(weighed.weights.values())).all()
    assert gradients["trunk.weight"].abs().max() > 0.0


@pytest.mark.parametrize("name", NAMES)
def test_a_step_with_nothing_to_judge_moves_nothing(name):
    weighed, gradients = stepped(weighting_of(name), Small(), *rows(), [False, False])
    assert (weighed.weights, weighed.loss) == ({}, 0.0)
    assert all(gradient is None or gradient.abs().max() == 0.0 for gradient in gradients.values())


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_that_is_not_finite_reaches_the_guard_and_leaves_no_trace(name):
    net, (x_NI, targets) = Small(), rows()
    hurt, whole = weighting_of(name), weighting_of(name)
    weighed, _ = stepped(hurt, net, x_NI, [targets[0], targets[1] * torch.nan])
    assert not np.isfinite(weighed.loss)
    after, expected = stepped(hurt, net, x_NI, targets)[0], stepped(whole, net, x_NI, targets)[0]
    assert after.weights == expected.weights


AGGREGATORS = {
    "upgrad": aggregation.UPGrad(projector=Projector()),
    "mgda": aggregation.MGDA(),
    "pcgrad": aggregation.PCGrad(),
    "aligned": aggregation.AlignedMTL(),
    "imtl-g": aggregation.IMTLG(),
}


@pytest.mark.parametrize(
    ("name", "tasks", "scale"),
    [("upgrad", 3, 3), ("mgda", 3, 3), ("pcgrad", 2, 1), ("aligned", 3, 3), ("imtl-g", 3, 3)],
)
def test_the_trunk_moves_as_by_torchjds_own_backward_pass_and_heads_by_their_own_task(name, tasks, scale):
    net, (x_NI, targets) = Small(tasks), rows(tasks)
    _, gradients = stepped(weighting_of(name, tasks), net, x_NI, targets)
    shared_ND = net.trunk(x_NI).tanh()
    leaf_ND = shared_ND.detach().requires_grad_()
    features_ND = leaf_ND * 1.0
    decoder = nn.Linear(5, 5).requires_grad_(False)
    decoder.load_state_dict(net.decoder.state_dict())
    outputs = [head(decoder(features_ND).tanh()).squeeze(1) for head in net.heads]
    net.zero_grad(set_to_none=True)
    mtl_backward([each.mean() for each in losses_of(outputs, targets)], features_ND)
    jac_to_grad([leaf_ND], AGGREGATORS[name])
    shared_ND.backward(leaf_ND.grad * scale)
    expected = {key: weight.grad for key, weight in net.named_parameters() if not key.startswith("decoder")}
    assert_alike(expected, gradients)


@pytest.mark.parametrize("name", READING)
def test_what_tasks_share_behind_the_representation_moves_by_the_weighted_sum(name):
    net, (x_NI, targets) = Small(3), rows(3)
    weighed, gradients = stepped(weighting_of(name, 3, [1.0, 0.5, 2.0]), net, x_NI, targets)
    expected = plain(losses_of, list(weighed.weights.values()))(net, x_NI, targets)
    shared = [key for key in expected if not key.startswith("heads")]
    assert_alike({key: expected[key] for key in shared}, gradients)


@pytest.mark.parametrize("name", READING)
def test_weights_are_held_until_gradients_are_looked_at_again(name):
    net, (x_NI, targets) = Small(3), rows(3)
    weighting = weighting_of(name, 3, gradients_every=3)
    first, gradients = stepped(weighting, net, x_NI, targets)
    again, held = stepped(weighting, net, x_NI, targets)
    assert again.weights == pytest.approx(first.weights, abs=2e-3)
    assert_alike(gradients, held, rel=5e-3)
    other = rows(3, ROWS // 2)
    unlike = [stepped(weighting, net, *other)[0].weights for _ in range(2)]
    assert unlike[0] == again.weights
    assert unlike[1] != again.weights


@pytest.mark.parametrize("name", READING)
def test_what_nobody_moved_when_gradients_were_looked_at_moves_as_soon_as_somebody_does(name):
    net, (x_NI, targets) = Small(), rows()
    heads = [head.weight.detach().clone() for head in net.heads]
    for head in net.heads:
        nn.init.zeros_(head.weight)
    weighting = weighting_of(name, gradients_every=2)
    _, still = stepped(weighting, net, x_NI, targets)
    for head, weight in zip(net.heads, heads, strict=True):
        head.weight.data.copy_(weight)
    _, moved = stepped(weighting, net, x_NI, targets)
    assert (still["decoder.weight"].abs().max() == 0.0, moved["decoder.weight"].abs().min() > 0.0) == (True, True)


def test_each_set_of_judged_tasks_holds_its_own_weights():
    net, (x_NI, targets) = Small(3), rows(3)
    weighting = weighting_of("mgda", 3, gradients_every=9)
    every, two = [True, True, True], [True, True, False]
    seen = [stepped(weighting, net, x_NI, targets, judged)[0].gramian_KK for judged in (every, two, every, two)]
    assert [gramian is not None for gramian in seen] == [True, True, False, False]


@pytest.mark.parametrize(("name", "harmed"), [("equal", True), ("upgrad", False)])
def test_where_tasks_conflict_equal_weights_harm_one_and_upgrad_none(name, harmed):
    point = nn.Parameter(torch.tensor([[1.0, 1.0]]))
    middle = [torch.tensor([0.0, 0.0]), torch.tensor([1.2, 1.3])]

    def losses_at(place):
        values = [10.0 * (place - middle[0]).square().sum(1), (place - middle[1]).square().sum(1)]
        return [TaskLoss("", value, torch.ones(1)) for value in values]

    shared = point * 1.0
    before = weighting_of(name).backward(losses_at(shared), shared, [point]).loss_K
    after = torch.stack([each.mean() for each in losses_at(point.detach() - 1e-4 * point.grad)])
    assert (after > before).tolist() == [False, harmed]


@pytest.mark.parametrize(
    ("settings", "looked"),
    [
        ({"similarity_every": 2}, [False, True, False, True]),
        ({"weighting": "upgrad", "gradients_every": 2}, [False, False, True, False]),  # heads are 0 at first
    ],
)
def test_the_learner_reports_and_records_weights_and_the_similarity_of_tasks(settings, looked):
    registry = MemoryRegistry()
    learner = Learner(layout(TRAINING | settings), 0, registry)
    reports = [report for each in autoregressive(40, 16, 2) for report in learner.observe(batch(*each))]
    recorded = [metrics for _, _, _, metrics in registry.metrics]
    names = {f"{task}.weight" for task in reports[0].losses}
    assert all(set(report.weights) == set(report.losses) for report in reports)
    assert all(names <= set(metrics) for metrics in recorded)
    assert ["forecast.similarity_anomaly" in metrics for metrics in recorded] == looked
    assert learner.candidate.similarity.diagonal().tolist() == pytest.approx([1.0] * 3)


@pytest.mark.parametrize("name", ["famo", "upgrad"])
def test_a_learner_with_another_weighting_learns_too(name):
    learner = Learner(layout(TRAINING | {"weighting": name}), 0, MemoryRegistry())
    reports = [report for each in autoregressive(110, 32, 0) for report in learner.observe(batch(*each))]
    first, last = ([report.losses["forecast"] for report in part] for part in (reports[:5], reports[-5:]))
    assert np.mean(last) < np.mean(first)
    assert {report.refused for report in reports} == {None}


def trained(name, part, group=None):
    """(weights, gradients) of the last of three steps on a part of the rows."""
    net, (x_NI, targets) = Small(3), rows(3)
    weighting = weighting_of(name, 3, group=group, gradients_every=2)
    for _ in range(3):
        weighed, gradients = stepped(weighting, net, x_NI[part], [target[part] for target in targets])
        if group is not None:
            for gradient in gradients.values():
                distributed.all_reduce(gradient.mul_(1.0 / group.size()), group=group)
        nn.utils.vector_to_parameters(
            nn.utils.parameters_to_vector(net.parameters())
            - 0.01 * torch.cat([gradient.flatten() for gradient in gradients.values()]),
            net.parameters(),
        )
    return list(weighed.weights.values()), gradients


@pytest.mark.parametrize("name", ["dwa", "famo", "gradnorm", "upgrad", "mgda", "nash-mtl"])
def test_two_ranks_with_half_of_the_rows_each_weigh_and_learn_as_one_with_all(name):
    store, parts = distributed.HashStore(), [slice(ROWS // 2), slice(ROWS // 2, ROWS)]

    def rank(number):
        return trained(name, parts[number], distributed.ProcessGroupGloo(store, number, 2, timedelta(seconds=60)))

    with ThreadPoolExecutor(2) as pool:
        (weights, gradients), (others, _) = pool.map(rank, range(2))
    expected, whole = trained(name, slice(None))
    assert weights == others == pytest.approx(expected, rel=1e-3)
    assert_alike(whole, gradients, rel=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_where_every_task_is_detached_what_is_shared_rests(name):
    net, (x_NI, targets) = Small(), rows()
    weighting = weighting_of(name, gradients_every=8, similarity_every=1)
    stepped(weighting, net, x_NI, targets)
    for _ in range(2):
        net.zero_grad(set_to_none=True)
        shared_ND, outputs = net(x_NI)
        detached = losses_of([output.detach() for output in outputs], targets, [False, False])
        weighed = weighting.backward(detached, shared_ND, list(net.parameters()))
        weighting.learn(weighed, lambda losses=detached: losses)
        assert all(weight.grad is None for weight in net.parameters())
        assert not weighed.losses
    assert stepped(weighting, net, x_NI, targets)[0].losses
