"""Frames of a camera, and vectors from the user's own encoder, to what a modality's encoder adds to its features.

N frames, C channels, H height, W width, D width of the vector, P numbers of an embedding.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

_FIRST, _SECOND = 32, 64
_AT_ONCE = 32
"""Rows of one convolution: a fixed number, so that a frame's vector does not depend on what came with it. Measured
bit-identical wherever the frame stands among them, a third faster than 96 at once, and bounded in memory."""
_WHITE = 1.0 / 255.0
_TINY = 1e-60


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
        # The largest of four, then the larger of it and 0: the same as the other way round, on a quarter of the values.
        half = functional.relu(_pooled(self.first(frame_NCHW)))
        quarter = functional.relu(_pooled(self.second(half)))
        encoded_ND: Tensor = functional.relu(self.out(torch.flatten(quarter, 1)))
        return encoded_ND


def _pooled(plane_NCHW: Tensor) -> Tensor:
    """The largest of each 2 x 2. By slices it is exact too and 14 times faster forwards, but slower with gradients."""
    if torch.is_grad_enabled():
        return functional.max_pool2d(plane_NCHW, 2)
    height, width = (size // 2 * 2 for size in plane_NCHW.shape[-2:])
    even_odd = plane_NCHW[..., 0:height:2, :width], plane_NCHW[..., 1:height:2, :width]
    row_NCHW = torch.maximum(*even_odd)
    return torch.maximum(row_NCHW[..., ::2], row_NCHW[..., 1::2])


class FrameProjection(nn.Module):
    """Frames as cameras' rows carry them, [N, C, H, W] uint8 with N a multiple of 32, to [N, D]."""

    def __init__(self, shape: tuple[int, int, int], width: int) -> None:
        super().__init__()
        self.frames = FrameEncoder(shape, width)
        self.out = nn.Linear(width, width)

    def forward(self, frame_NCHW: Tensor) -> Tensor:
        """Project. An exported program, which does not know N, takes all at once."""
        parts = [frame_NCHW] if torch.compiler.is_exporting() else frame_NCHW.split(_AT_ONCE)
        encoded = [self.frames(part.float() * _WHITE) for part in parts]
        projected_ND: Tensor = self.out(torch.cat(encoded))
        return projected_ND


class EmbeddingProjection(nn.Module):
    """Embeddings, [N, P], to [N, D]. Each is brought to length sqrt(P): its norm is a signal of its own."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.out = nn.Linear(size, width)
        self._length = size**0.5

    def forward(self, vector_NP: Tensor) -> Tensor:
        """Project."""
        # In float64: the squares of any finite float32 add up there.
        squared_N1 = vector_NP.double().square().sum(-1, keepdim=True)
        scale_N1 = squared_N1.clamp(min=_TINY).rsqrt() * self._length
        projected_ND: Tensor = self.out((vector_NP * scale_N1).float())
        return projected_ND


def projection_of(shape: tuple[int, ...], width: int) -> nn.Module:
    """The projection of a modality's frames or vectors of this shape."""
    if len(shape) == 1:
        return EmbeddingProjection(shape[0], width)
    channels, height, across = shape
    return FrameProjection((channels, height, across), width)
