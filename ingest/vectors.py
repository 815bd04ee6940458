"""Frames and embeddings as they arrive -> arrays of the configured shape, and the signals derived from them.

Pillow is imported inside the function, so that importing `ingest` stays cheap. N rows, P numbers of an embedding.
"""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import msgspec
import numpy as np

from ingest.fault import Fault
from schemas.observation import Bool, Field, Float64
from schemas.reasons import Reason
from schemas.signal import ABSURD

ENCODINGS = ("png", "jpeg", "raw")
_MOST_PIXELS = 2**24
"""A larger picture is refused before it is decoded: a few kilobytes of PNG may unfold to gigabytes."""
_WHITE = 255.0


def read_frame(content: bytes, encoding: str, shape: tuple[int, ...]) -> Field | Fault:
    """A frame, [C, H, W] uint8. A picture of any size is brought to the shape; a raw frame has it, as [H, W, C]."""
    channels, height, width = shape
    if encoding == "raw":
        if len(content) != channels * height * width:
            expected = f"expected {height} x {width} x {channels} bytes, got {len(content)}"
            return Fault(Reason.WRONG_SIZE, expected)
        return np.frombuffer(content, dtype=np.uint8).reshape(height, width, channels).transpose(2, 0, 1)
    if encoding not in ENCODINGS:
        return Fault(Reason.MALFORMED, f"expected one of the encodings {', '.join(ENCODINGS)}, got another")
    return _read_picture(content, encoding, shape)


def read_embedding(value: object, size: int, name: str) -> Field | Fault | None:
    """An embedding, [P] float32, of a list of numbers; None where there is none."""
    if value is None:
        return None
    if not isinstance(value, list) or any(isinstance(each, bool | str | list | dict | None) for each in value):
        return Fault(Reason.WRONG_TYPE, "expected a list of numbers, got something else", name)
    if len(value) != size:
        return Fault(Reason.WRONG_SIZE, f"expected {size} numbers, got {len(value)}", name)
    with np.errstate(over="ignore"):
        vector = np.array(list(map(float, value))).astype(np.float32)
    if not np.isfinite(vector).all():
        return Fault(Reason.NOT_FINITE, "expected finite numbers of single precision", name)
    if derived(vector[None])[0, 0] > ABSURD:
        return Fault(Reason.IMPLAUSIBLE, f"expected a norm of at most {ABSURD:g}", name)
    return vector


def read_frames(files: Sequence[tuple[Path, str]], shape: tuple[int, ...]) -> tuple[Field, Float64, Bool]:
    """Pictures (file, encoding) to frames, [N, C, H, W], their brightness and contrast, [N, 2], and what was sound."""
    frame = np.zeros((len(files), *shape), dtype=np.uint8)
    sound = np.zeros(len(files), dtype=np.bool_)
    for row, (path, encoding) in enumerate(files):
        found = read_frame(path.read_bytes(), encoding, shape)
        if not isinstance(found, Fault):
            frame[row], sound[row] = found, True
    return frame, np.where(sound[:, None], derived(frame), np.nan), sound


def read_embeddings(cells: Sequence[object], size: int, name: str) -> tuple[Field, tuple[Float64, Bool]]:
    """Lists, or their JSON as a CSV has it, to vectors, [N, P], and their norms with what was unreadable, [N] both."""
    vector = np.zeros((len(cells), size), dtype=np.float32)
    sound, unreadable = (np.zeros(len(cells), dtype=np.bool_) for _ in range(2))
    for row, cell in enumerate(cells):
        found = read_embedding(_listed(cell), size, name)
        if isinstance(found, Fault):
            unreadable[row] = True
        elif found is not None:
            vector[row], sound[row] = found, True
    return vector, (np.where(sound, derived(vector)[:, 0], np.nan), unreadable)


def derived(vectors: Field) -> Float64:
    """What stands for frames or embeddings among the signals: brightness and contrast, [N, 2], or the norm, [N, 1]."""
    flat = vectors.reshape(len(vectors), -1)
    if vectors.dtype == np.uint8:
        return np.column_stack([flat.mean(axis=1), flat.std(axis=1)]) / _WHITE
    norm: Float64 = np.sqrt(np.square(flat.astype(np.float64)).sum(axis=1, keepdims=True))
    return norm


def _listed(cell: object) -> object:
    if not isinstance(cell, str):
        return cell
    try:
        return msgspec.json.decode(cell) if cell.strip() else None
    except msgspec.DecodeError:
        return cell


def _read_picture(content: bytes, encoding: str, shape: tuple[int, ...]) -> Field | Fault:
    from PIL import Image  # noqa: PLC0415

    channels, height, width = shape
    mode = "L" if channels == 1 else "RGB"
    broken = Fault(Reason.MALFORMED, f"expected a {encoding} picture, got {len(content)} bytes of something else")
    try:
        with Image.open(BytesIO(content), formats=[encoding.upper()]) as picture:
            if picture.width * picture.height > _MOST_PIXELS:
                return Fault(Reason.TOO_LARGE, f"expected at most {_MOST_PIXELS} pixels, got more")
            picture.draft(mode, (width, height))
            sized = picture.convert(mode).resize((width, height), Image.Resampling.BOX)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return broken
    return np.asarray(sized).reshape(height, width, channels).transpose(2, 0, 1)
