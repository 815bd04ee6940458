"""What arrives together: a group of signals, a camera's frames, or vectors."""

from enum import StrEnum
from typing import Literal, Self

from pydantic import Field, model_validator

from schemas.components import Cell
from schemas.duration import Duration
from schemas.frozen import Frozen
from schemas.names import Identifier
from schemas.signal import ABSURD, Signal


class Scope(StrEnum):
    """Whom a modality's observations concern: one entity, every entity, or one entity for good (age, sector)."""

    ENTITY = "entity"
    GLOBAL = "global"
    STATIC = "static"


class ModalityKind(StrEnum):
    """What arrives: numbers by name, a camera's frame, or a vector from the user's own encoder (text, audio)."""

    SIGNALS = "signals"
    IMAGE = "image"
    EMBEDDING = "embedding"


class Frame(Frozen):
    """The size that a camera's frames are brought to, whatever it sends; 1 channel is grey, 3 are red, green, blue."""

    channels: Literal[1, 3] = 1
    height: int = Field(default=32, ge=4, le=512)
    width: int = Field(default=32, ge=4, le=512)


class Modality(Frozen):
    """What arrives together. `max_age` masks a global value older than that; `cell` stands in place of `model.cell`.

    An image or embedding has no signals of its own: `carried` are derived from each frame or vector, so that all that
    is done for signals (statistics, age, forecasts, rules) is done for it. The frame or vector goes beside them.
    """

    name: Identifier
    kind: ModalityKind = ModalityKind.SIGNALS
    scope: Scope = Scope.ENTITY
    signals: tuple[Signal, ...] = ()
    frame: Frame | None = None
    size: int | None = Field(default=None, ge=1, le=65_536, description="numbers of an embedding")
    max_age: Duration | None = None
    cell: Cell | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        image, embedding = self.kind is ModalityKind.IMAGE, self.kind is ModalityKind.EMBEDDING
        if bool(self.signals) == (image or embedding):
            expected = "none" if self.signals else "at least one"
            raise ValueError(f"signals: expected {expected} for a modality of kind {self.kind}")
        if (self.size is None) == embedding:
            expected = (
                "how many numbers an embedding has" if embedding else f"kind embedding beside it, not {self.kind}"
            )
            raise ValueError(f"size: expected {expected}")
        if self.frame is not None and not image:
            raise ValueError(f"frame: expected kind image beside it, not {self.kind}")
        if self.shape and self.scope is not Scope.ENTITY:
            raise ValueError(f"scope: expected entity for a modality of kind {self.kind}")
        return self

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a frame, [channels, height, width] of bytes, or of a vector, [size] of float32; () for signals."""
        if self.kind is ModalityKind.IMAGE:
            frame = self.frame or Frame()
            return frame.channels, frame.height, frame.width
        return () if self.size is None else (self.size,)

    @property
    def carried(self) -> tuple[Signal, ...]:
        """Its signals: as configured; of an image brightness and contrast (mean and deviation of white = 1); a norm."""
        if self.kind is ModalityKind.IMAGE:
            return tuple(Signal(name=f"{self.name}.{name}", range=(0.0, 1.0)) for name in ("brightness", "contrast"))
        return self.signals if self.size is None else (Signal(name=f"{self.name}.norm", range=(0.0, ABSURD)),)
