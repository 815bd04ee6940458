import torch
from torch.nn import Parameter

from trainer.adapters import Adapters
from trainer.checkpoint import packed, unpacked


def moved(adapters, weights, steps, seed=0):
    """Take so many steps by random gradients."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        for weight in weights:
            weight.grad = torch.randn(weight.shape, generator=generator)
        adapters.step()


def weights_of():
    generator = torch.Generator().manual_seed(9)
    return [Parameter(torch.randn(shape, generator=generator)) for shape in [(12, 10), (3, 8, 9), (10,), (2, 6)]]


def test_matrices_move_within_the_rank_and_nothing_else_moves():
    before, weights = weights_of(), weights_of()
    moved(Adapters(weights, 2, 1e-2, 0), weights, 5)
    change = [(now - was).detach() for now, was in zip(weights, before, strict=True)]
    ranks = [torch.linalg.matrix_rank(each, atol=1e-4).max().item() for each in change[:2]]
    assert (ranks, [bool(each.any()) for each in change]) == ([2, 2], [True, True, False, False])


def test_adapters_learn_what_lies_within_their_rank():
    matrix = Parameter(torch.zeros(12, 10))
    wanted = torch.outer(torch.arange(12.0), torch.arange(10.0)) / 100
    adapters = Adapters([matrix], 1, 1e-2, 0)
    for _ in range(400):
        matrix.grad = (matrix - wanted).detach()
        adapters.step()
    assert float((matrix.detach() - wanted).norm() / wanted.norm()) < 0.05


def test_adapters_that_go_on_where_others_stood_take_the_same_steps():
    one, weights = weights_of(), weights_of()
    first, second = Adapters(one, 2, 1e-2, 0), Adapters(weights, 2, 1e-2, 0)
    moved(first, one, 3)
    for weight, held in zip(weights, one, strict=True):
        weight.data.copy_(held.data)
    second.load_state_dict(unpacked(packed(first.state_dict())))
    moved(first, one, 2, seed=1)
    moved(second, weights, 2, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(one, weights, strict=True))
