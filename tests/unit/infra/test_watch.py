"""What is said when the time of a watch is over."""

from infra.progress import Seen
from infra.watch import unread


def test_only_monitors_that_read_nothing_are_told_that_starting_takes_time() -> None:
    (said,) = unread([Seen("health", events=3), Seen("pumps")])
    assert said.startswith("pumps: nothing was read in that time: --seconds counts from when the command began")
