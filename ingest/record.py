"""A record as a broker hands it over."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

Headers = list[tuple[str, bytes]]


class Record(Protocol):
    """What decoding reads of a record. kafka-python's ConsumerRecord fits as it is; `timestamp` is epoch ms."""

    @property
    def key(self) -> bytes | None:
        """The record's key."""

    @property
    def value(self) -> bytes | None:
        """The record's value; None is a tombstone."""

    @property
    def offset(self) -> int:
        """Position in its partition."""

    @property
    def timestamp(self) -> int:
        """Epoch milliseconds, -1 where unknown."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """Name and value."""


class PlainRecord(NamedTuple):
    """A record that came from no broker."""

    key: bytes | None
    value: bytes | None
    offset: int
    timestamp: int = -1
    headers: Sequence[tuple[str, bytes]] = ()
