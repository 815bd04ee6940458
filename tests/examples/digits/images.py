"""Scikit-learn's digits as four questions, with labels of some questions withheld.

N images of C = 1 channel, H = W = 8, K tasks.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor

SHAPE = (1, 8, 8)
_BRIGHTEST = 16.0
_VALIDATION = 500


@dataclass(frozen=True, slots=True)
class Question:
    """One task: how many answers there are, and which one a digit has."""

    classes: int
    answer: Callable[[Tensor], Tensor]


QUESTIONS: Mapping[str, Question] = {
    "digit": Question(10, lambda digit_N: digit_N),
    "parity": Question(2, lambda digit_N: digit_N % 2),
    "half": Question(2, lambda digit_N: (digit_N >= 5).long()),
    "loop": Question(2, lambda digit_N: torch.isin(digit_N, torch.tensor([0, 6, 8, 9])).long()),
}
"""Odd? At least five? Is there a closed loop, as in 0, 6, 8 and 9 (written by hand, most 4 are open)?"""


@dataclass(frozen=True, slots=True)
class Images:
    """Frames in [0, 1] and what is known of them: `class_KN` is -1 where a label is missing."""

    frame_NCHW: Tensor
    class_KN: Tensor


def split(seed: int, labels: Sequence[int]) -> tuple[Images, Images, Images]:
    """Images to train on, to choose on (500), and to report on (the rest); the first two differ from seed to seed.

    Args:
        seed: of the order.
        labels: of each task, how many of the first images have one.
    """
    pixels, digits = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(digits))
    frame_NCHW = torch.from_numpy(pixels[order]).float().view(-1, *SHAPE) / _BRIGHTEST
    digit_N = torch.from_numpy(digits[order]).long()
    class_KN = torch.stack([question.answer(digit_N) for question in QUESTIONS.values()])
    train = max(labels)
    parts = [slice(0, train), slice(train, train + _VALIDATION), slice(train + _VALIDATION, None)]
    learned, chosen, reported = (Images(frame_NCHW[part], class_KN[:, part].clone()) for part in parts)
    for class_N, known in zip(learned.class_KN, labels, strict=True):
        class_N[known:] = -1
    return learned, chosen, reported
