"""A learner's state as bytes: what all ranks hold alike, and each partition's share."""

import io
from collections.abc import Mapping
from typing import Any
from zipfile import BadZipFile

import torch

from schemas.errors import ModelError


def packed(state: Mapping[str, Any]) -> bytes:
    """Tensors, numbers, text, and what is made of them, as bytes."""
    file = io.BytesIO()
    torch.save(dict(state), file)
    return file.getvalue()


def unpacked(content: bytes) -> dict[str, Any]:
    """What `packed` was given, on the CPU; nothing but data is read. Raises ModelError when the content is torn."""
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (RuntimeError, ValueError, EOFError, OSError, BadZipFile) as error:
        raise ModelError(f"checkpoint: got {len(content)} bytes that are no whole one") from error
    return state
