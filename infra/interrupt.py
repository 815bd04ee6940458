"""Ctrl-C and SIGTERM as an event, so that a command ends what it has in hand."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interruptible(stopping: threading.Event | None = None) -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set instead of tearing the program down in the middle of something.

    Begin it before anything is started: a Ctrl-C that reaches Ray while it starts is lost.
    """
    stopping = stopping or threading.Event()
    before = {number: signal.signal(number, lambda *_: stopping.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
