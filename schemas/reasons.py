"""Why a record, or one signal of it, was refused: one word each, in headers, logs and counts."""

from enum import StrEnum


class Reason(StrEnum):
    """Dead-letter reasons."""

    MALFORMED = "malformed"
    WRONG_TYPE = "wrong-type"
    NOT_FINITE = "not-finite"
    IMPLAUSIBLE = "implausible"
    MISSING_ENTITY = "missing-entity"
    WRONG_ENTITY = "wrong-entity"
    KEY_MISMATCH = "key-mismatch"
    MISSING_TIME = "missing-time"
    WRONG_CLOCK = "wrong-clock"
    TOO_LARGE = "too-large"
    WRONG_UNIT = "wrong-unit"
    UNKNOWN_SIGNAL = "unknown-signal"
    EMPTY = "empty"
    LATE = "late"
    CONFLICT = "conflict"
