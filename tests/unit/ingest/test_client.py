"""Waiting for a broker."""

import socket
import threading

from ingest.client import wait_for_broker


def test_one_answering_server_is_enough() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        assert wait_for_broker(f"127.0.0.1:1, 127.0.0.1:{port}", threading.Event())


def test_waiting_ends_when_told_to_stop() -> None:
    stopping = threading.Event()
    timer = threading.Timer(0.05, stopping.set)
    timer.start()

    assert not wait_for_broker("127.0.0.1:1", stopping)
