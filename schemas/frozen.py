"""The base of every configuration model: immutable, and an unknown key is an error."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Immutable; unknown keys are refused; defaults are checked like given values."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
