"""Frames of a camera to vectors: two convolutions, each followed by pooling.

N frames, C channels, H height, W width, D width of the vector.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

_FIRST, _SECOND = 32, 64


class FrameEncoder(nn.Module):
    """Convolution (32) - pooling - convolution (64) - pooling, padded, then one linear layer.

    Args:
        shape: [C, H, W] of a frame; H and W are at least 4.
        width: of the vector.
    """

    def __init__(self, shape: tuple[int, int, int], width: int) -> None:
        super().__init__()
        channels, height, across = shape
        self.first = nn.Conv2d(channels, _FIRST, 3, padding=1)
        self.second = nn.Conv2d(_FIRST, _SECOND, 3, padding=1)
        self.out = nn.Linear(_SECOND * (height // 4) * (across // 4), width)

    def forward(self, frame_NCHW: Tensor) -> Tensor:
        """Vectors, [N, D], of frames in [0, 1]."""
        half = functional.max_pool2d(functional.relu(self.first(frame_NCHW)), 2)
        quarter = functional.max_pool2d(functional.relu(self.second(half)), 2)
        encoded_ND: Tensor = functional.relu(self.out(torch.flatten(quarter, 1)))
        return encoded_ND
