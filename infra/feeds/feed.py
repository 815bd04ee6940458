"""What a demo input is, and which one a shipped monitor gets."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from schemas.errors import InputError
from schemas.topics import Topics


class Message(NamedTuple):
    """One record to produce. `time_ms`: when it reaches Kafka, epoch milliseconds UTC."""

    topic: str
    key: bytes
    value: bytes
    time_ms: int


@dataclass(frozen=True, slots=True)
class Feed:
    """A demo input.

    Attributes:
        title: what the user is shown: where the numbers come from, and whether they are real.
        rows: how many messages there are.
        messages: starts an iterator over them, in order of `time_ms`.
    """

    title: str
    rows: int
    messages: Callable[[], Iterator[Message]]


def feed_of(monitor: str, topics: Topics, environment: Mapping[str, str] = os.environ) -> Feed:
    """The demo input of a shipped monitor. Raises InputError when the monitor has none."""
    if monitor == "finance":
        from infra.feeds.finance import finance

        return finance(topics)
    if monitor == "health":
        folder = shared_folder(environment)
        if folder is not None and (folder / "icu2012a" / "events.parquet").is_file():
            from infra.feeds.icu import icu

            return icu(topics, folder / "icu2012a" / "events.parquet")
        from infra.feeds.physiology import physiology

        return physiology(topics)
    raise InputError(f"monitor {monitor}: got no demo input; expected health or finance, or your own through `produce`")


def shared_folder(environment: Mapping[str, str]) -> Path | None:
    """Folder of real data sets: BELLWETHER_SHARED, else ../shared/data beside the working directory or the checkout."""
    named = environment.get("BELLWETHER_SHARED")
    beside = [Path.cwd().parent, Path(__file__).resolve().parents[2].parent]
    candidates = [Path(named)] if named else [parent / "shared" / "data" for parent in beside]
    return next((folder for folder in candidates if folder.is_dir()), None)
