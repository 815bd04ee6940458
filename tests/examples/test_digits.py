"""Images: both kinds of network learn, and the step is what it says it is."""

import math

import pytest
import torch

from schemas.components import TrainingSettings
from schemas.task import Task, TaskKind
from tests.examples.digits.__main__ import TASKS, Run, one, twins
from tests.examples.digits.images import QUESTIONS, SHAPE, Images, split
from tests.examples.digits.monitor import accuracy, fitted
from tests.examples.digits.network import Digits
from tests.examples.digits.training import Lesson, losses_of
from trainer.weighting.task_weighting import TaskWeighting

_LABELS = 300
_BAR = {"digit": 0.7, "parity": 0.85, "half": 0.8, "loop": 0.8}
"""One answer for all images reaches 0.1, 0.51, 0.5 and 0.6."""


@pytest.fixture(scope="module")
def sets() -> tuple[Images, Images, Images]:
    torch.set_num_threads(1)
    return split(0, [_LABELS] * len(TASKS))


@pytest.fixture(scope="module", params=["one encoder", "twins"])
def run(request: pytest.FixtureRequest, sets: tuple[Images, Images, Images]) -> Run:
    lesson = Lesson(epochs=12)
    return one(TASKS, lesson, None, sets) if request.param == "one encoder" else twins(lesson, *sets)


def test_the_training_loss_of_every_task_falls_every_few_epochs(run: Run) -> None:
    losses = {task: [epoch.train[task].loss for epoch in run[0]] for task in TASKS}
    assert [task for task, loss in losses.items() if not loss[0] > loss[4] > loss[8] > loss[11]] == []


def test_images_that_nothing_was_trained_on_are_told_apart(run: Run) -> None:
    figures = {task: found.accuracy for task, found in run[1].items()}
    assert [task for task, least in _BAR.items() if figures[task] < least] == []


def test_one_encoder_has_a_quarter_of_the_weights(sets: tuple[Images, Images, Images]) -> None:
    lesson = Lesson(epochs=1)
    assert one(TASKS, lesson, None, sets)[3] < 0.26 * twins(lesson, *sets)[3]


def test_every_question_is_answered_by_the_digit() -> None:
    digits = torch.arange(10)
    answers = {name: question.answer(digits).tolist() for name, question in QUESTIONS.items()}
    assert answers == {
        "digit": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        "parity": [0, 1, 0, 1, 0, 1, 0, 1, 0, 1],
        "half": [0, 0, 0, 0, 0, 1, 1, 1, 1, 1],
        "loop": [1, 0, 0, 0, 0, 0, 1, 0, 1, 1],
    }


def test_the_sets_of_a_seed_never_overlap() -> None:
    frames = [each.frame_NCHW.flatten(1) for each in split(1, [150, 150, 150, 150])]
    together = torch.cat(frames)
    assert len(together) == 1797
    assert len(together.unique(dim=0)) == len(together)


def test_the_weighted_sum_is_what_a_hand_calculates() -> None:
    """Three images: the third has no parity, none has a loop label."""
    logits = [torch.tensor([[0.0] * 9 + [math.log(3.0)]] * 3), torch.tensor([[0.0, math.log(4.0)]] * 3)]
    class_KN = torch.tensor([[9, 9, 0], [1, 0, -1]])
    shared = torch.zeros(1, requires_grad=True)
    losses = losses_of([each + 0.0 * shared for each in logits], ["digit", "parity"], class_KN)
    tasks = [Task(name="digit", kind=TaskKind.EVENT, weight=2.0), Task(name="parity", kind=TaskKind.EVENT, weight=0.5)]
    settings = TrainingSettings(similarity_every=0)
    weighed = TaskWeighting(tasks, settings, 0).backward(losses, shared, [shared])
    digit = (2.0 * math.log(12.0 / 3.0) + math.log(12.0)) / 3.0 / math.log(10.0)
    parity = (math.log(5.0 / 4.0) + math.log(5.0)) / 2.0 / math.log(2.0)
    assert weighed.loss == pytest.approx(2.0 * digit + 0.5 * parity, rel=1e-6)


def test_a_task_without_a_label_in_a_step_moves_nothing() -> None:
    network, frames = Digits(TASKS, seed=0), torch.rand(4, *SHAPE)
    class_KN = torch.full((len(TASKS), 4), -1)
    class_KN[0] = torch.arange(4)
    logits, shared_ND = network(frames)
    tasks = [Task(name=task, kind=TaskKind.EVENT) for task in TASKS]
    weights = list(network.parameters())
    TaskWeighting(tasks, TrainingSettings(), 0).backward(losses_of(logits, TASKS, class_KN), shared_ND, weights)
    moved = [bool(head.weight.grad.any()) for head in network.heads]
    assert moved == [True, False, False, False]


def test_a_task_with_fewer_labels_learns_from_those_it_has() -> None:
    learned, _, _ = split(0, [60, 20, 60, 60])
    assert (learned.class_KN >= 0).sum(1).tolist() == [60, 20, 60, 60]
    sets = split(0, [300, 100, 300, 300])
    assert one(TASKS, Lesson(epochs=12), None, sets)[1]["parity"].accuracy > 0.75


def test_a_monitor_of_recorded_frames_learns_the_same_questions(sets: tuple[Images, Images, Images], tmp_path) -> None:
    learned, _, rest = sets
    figures = accuracy(fitted(learned, 45, tmp_path), rest, tmp_path / "rest")
    assert [task for task, least in _BAR.items() if figures[task] < least] == []
