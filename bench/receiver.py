"""The receiver of webhooks: drives the C program `bench/native/receiver.c`."""

from __future__ import annotations

import subprocess
import tempfile
from contextlib import suppress
from types import TracebackType
from typing import IO, Self

from bench.load import LoadError
from bench.paths import RECEIVER
from bench.peers.peer import MARK


class Receiver:
    """A running receiver; leaving the context ends it.

    :param addresses: at how many loopback addresses it listens: each is a server of its own to who delivers.
    :param patience: seconds without a message after which there is no hope for those that are waited for.
    """

    def __init__(self, addresses: int, patience: float = 20.0) -> None:
        # A file, not a pipe: nobody reads it while messages come.
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # __exit__ closes it
        self._process = subprocess.Popen(
            [
                str(RECEIVER),
                *("--addresses", str(addresses), "--message", MARK, "--patience", str(patience)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        port = int(self._line())
        self.urls = [f"http://127.0.0.{number}:{port}/" for number in range(1, addresses + 1)]

    def wait(self, messages: int) -> None:
        """Wait until so many have come since the start. Raises `LoadError` if nothing comes for long."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has failed, and says why
            self._process.stdin.write(b"wait %d\n" % messages)
            self._process.stdin.flush()
        self._line()

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            raise LoadError(self._errors.read().decode(errors="replace").strip())
        return line

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()
        self._errors.close()
