"""Why a record, or one signal of it, was put aside."""

from enum import StrEnum


class Reason(StrEnum):
    """The closed set of dead-letter reasons, as written to the `bellwether.reason` header."""

    MALFORMED = "malformed"
    """Not a JSON object in UTF-8, or no value at all."""
    WRONG_TYPE = "wrong-type"
    """A signal that is neither a number nor null, or an embedding that is no list of numbers."""
    WRONG_SIZE = "wrong-size"
    """An embedding of another length, or a raw frame of other dimensions, than the monitor says."""
    NOT_FINITE = "not-finite"
    """NaN or an infinity."""
    IMPLAUSIBLE = "implausible"
    """Outside the signal's configured range."""
    MISSING_ENTITY = "missing-entity"
    WRONG_ENTITY = "wrong-entity"
    """Not a string, empty, too long, or with characters no database stores."""
    KEY_MISMATCH = "key-mismatch"
    """The record's key is not the entity: it may lie on another entity's partition."""
    MISSING_TIME = "missing-time"
    WRONG_CLOCK = "wrong-clock"
    """No readable event time, or one before 1900 or too far ahead of the clock."""
    TOO_LARGE = "too-large"
    WRONG_UNIT = "wrong-unit"
    UNKNOWN_SIGNAL = "unknown-signal"
    LATE = "late"
    CONFLICT = "conflict"
    EMPTY = "empty"
    """No signal at all."""
    SOURCE_ERROR = "source-error"
