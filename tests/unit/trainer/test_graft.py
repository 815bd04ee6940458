import pytest
import torch

from tests.laws.ward import awake, different, layout, run, stream
from trainer.graft import graft
from trainer.network import Network

SOON = 2
ALONE = [False, False, True]


def epochs_of(detached, best):
    """A version for all and the version that was best for the state task, with who was detached in each."""
    version, other = awake(Network(layout())), awake(Network(layout()))
    with torch.no_grad():
        for weight in other.parameters():
            weight.mul_(1.5)
    version.private.detach_tasks(detached)
    other.private.detach_tasks(best)
    return version, other


def test_a_detached_task_answers_as_in_its_best_epoch_and_no_other_answer_changes_by_a_bit():
    version, other = epochs_of(ALONE, ALONE)
    rows = stream(120, 9, 3)
    before, best = run(version, *rows)[0], run(other, *rows)[0]
    assert graft(version, lambda _: other) == ["soon"]
    after = run(version, *rows)[0]
    assert different(before, after) == ["state0"]
    assert (after["state0"] == best["state0"]).all()


@pytest.mark.parametrize(("detached", "best"), [([False] * 3, ALONE), (ALONE, [False] * 3)])
def test_who_shares_in_either_epoch_gives_up_nothing(detached, best):
    version, other = epochs_of(detached, best)
    assert graft(version, lambda _: other) == []


def test_a_task_that_nothing_kept_aside_judged_keeps_its_path():
    version, _ = epochs_of(ALONE, ALONE)
    assert graft(version, lambda _: None) == []
