"""What is wrong with a record, or with one part of it."""

from dataclasses import dataclass

from schemas.reasons import Reason


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong. `signal` empty: the whole record."""

    reason: Reason
    detail: str
    signal: str = ""
