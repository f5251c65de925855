"""The receiver of webhooks: drives the C program `bench/native/receiver.c`."""

from __future__ import annotations

from bench.native_program import NativeProgram
from bench.paths import RECEIVER
from bench.peers.peer import MARK


class Receiver(NativeProgram):
    """A running receiver; leaving the context ends it.

    :param addresses: at how many loopback addresses it listens: each is a server of its own to who delivers.
    :param patience: seconds without a message after which there is no hope for those that are waited for.
    """

    def __init__(self, addresses: int, patience: float = 20.0) -> None:
        options = ("--addresses", str(addresses), "--message", MARK, "--patience", str(patience))
        super().__init__(RECEIVER, options)
        port = int(self._line())
        self.urls = [f"http://127.0.0.{number}:{port}/" for number in range(1, addresses + 1)]

    def wait(self, messages: int) -> None:
        """Wait until so many have come since the start. Raises `LoadError` if nothing comes for long."""
        self._say(f"wait {messages}")
