"""A real mail server for the tests: aiosmtpd, in a process and a folder of its own.

::

    with start_smtp(tmp_path / "mail") as smtp:
        gateway = start_gateway(tmp_path / "data", *smtp.options())
        mail = smtp.wait_mails(1)[0]
        assert mail.message["To"] == "ada@example.org"
"""

from __future__ import annotations

import contextlib
import email
import email.policy
import json
import signal
import socket
import subprocess
import sys
import time
from email.message import EmailMessage
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from tests.support.certificates import Authority, pem
from tests.support.gateway import ROOT
from tests.support.reactor import wait_until
from tests.support.servers import free_port

START_TIMEOUT = 60.0
"""Seconds from its start until it takes connections, on a busy machine."""

USER = "postmaster"

PASSWORD = "tall-ships-7"
"""In a log or a reply it would be found."""

SENDER = "Gateway <gateway@zaqar.test>"


class Taken(NamedTuple):
    """A mail that the server has taken. `user`: who was logged in."""

    sender: str
    recipients: list[str]
    message: EmailMessage
    raw: bytes
    tls: bool
    user: str | None

    @property
    def text(self) -> str:
        """What stands in it."""
        return str(self.message.get_content())


class SmtpServer:
    """A mail server's process. `kill` and `start` keep what is in its folder, and its port.

    :param mode: `starttls`, `tls` or `none`.
    """

    def __init__(self, folder: Path, mode: str = "starttls") -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.mode = mode
        self.port = free_port()
        authority = Authority()
        self._certificate, self._key = authority.issue(folder, "mail")
        self.ca_file = folder / "authority.pem"
        self.ca_file.write_bytes(pem(authority.certificate))
        self.password_file = folder / "password"
        self.password_file.write_text(PASSWORD + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        command: list[str | Path] = [sys.executable, "-m", "tests.support.smtp_server", self.folder]
        command += [str(self.port), self.mode, self._certificate, self._key]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5):
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"the mail server did not start:\n{(self.folder / 'log').read_text()}")
            time.sleep(0.02)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None

    def pause(self) -> None:
        """Stop it, so that it takes connections and does not answer."""
        assert self._process is not None, "it does not run"
        self._process.send_signal(signal.SIGSTOP)

    def options(self) -> list[str]:
        """What a gateway is started with that sends its mail here."""
        options = ["--smtp-host", "localhost", "--smtp-port", str(self.port), "--smtp-tls", self.mode]
        if self.mode != "none":
            options += ["--smtp-user", USER, "--smtp-password-file", str(self.password_file)]
            options += ["--smtp-ca-file", str(self.ca_file)]
        return [*options, "--mail-from", SENDER]

    def answer(self, reply: str | None) -> None:
        """What recipients are answered from now on, such as `451 4.2.0 Later`; None: they are taken."""
        path = self.folder / "answer"
        if reply is None:
            path.unlink()
        else:
            path.write_text(reply)

    def mails(self) -> list[Taken]:
        """All that it has taken, in order."""
        return [_read(path) for path in sorted(self.folder.glob("*.json"))]

    def wait_mails(self, count: int, timeout: float = 30.0) -> list[Taken]:
        """Wait until it has taken so many; all of them."""
        wait_until(lambda: len(self.mails()) >= count, timeout, f"{count} mails did not come")
        return self.mails()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def start_smtp(folder: Path, mode: str = "starttls") -> SmtpServer:
    """Start a mail server. `folder` is made."""
    server = SmtpServer(folder.absolute(), mode)
    server.start()
    return server


def _read(path: Path) -> Taken:
    kept = json.loads(path.read_text())
    raw = kept["content"].encode("latin-1")
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return Taken(kept["from"], kept["to"], message, raw, kept["tls"], kept["user"])
