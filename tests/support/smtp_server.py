"""A mail server that keeps what it takes as files. Runs as a program of its own.

python -m tests.support.smtp_server FOLDER PORT MODE CERTIFICATE KEY

MODE is `starttls`, `tls` or `none`. Who has a user's password may send; with `none` nobody has to log in. The
file `answer` in FOLDER, if it is there, is what recipients are answered: `451 4.2.0 Later`.
"""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import sys
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.support.smtp import PASSWORD, USER


class _Keeper:
    """Takes all mail, unless it is told to refuse it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self._folder / "answer"
        if address.startswith("slow@"):
            await asyncio.sleep(3600)
        if answer.exists():
            return answer.read_text()
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if envelope.rcpt_tos[0].startswith("full@"):
            return "552 5.2.2 Mailbox full"
        assert isinstance(envelope.content, bytes)
        user: Any = session.auth_data
        kept = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "content": envelope.content.decode("latin-1"),
            "tls": session.ssl is not None,
            "user": None if user is None else user.decode(),
        }
        self._count += 1
        path = self._folder / f"{self._count:06}.json"
        path.with_suffix(".part").write_text(json.dumps(kept))
        path.with_suffix(".part").rename(path)
        return "250 2.0.0 Taken"


def _authenticate(
    server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
) -> AuthResult:
    good = isinstance(data, LoginPassword) and data == LoginPassword(USER.encode(), PASSWORD.encode())
    return AuthResult(success=good, handled=False, auth_data=data.login if good else None)


async def main() -> None:
    """Serve until SIGTERM."""
    folder, port, mode, certificate, key = sys.argv[1:]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    keeper = _Keeper(Path(folder))

    def serve() -> SMTP:
        return SMTP(
            keeper,
            hostname="mail.test",
            tls_context=context if mode == "starttls" else None,
            require_starttls=mode == "starttls",
            auth_required=mode != "none",
            # aiosmtpd does not know that a connection which is TLS from the start needs no other.
            auth_require_tls=mode == "starttls",
            authenticator=_authenticate,
            auth_exclude_mechanism=["LOGIN"] if mode == "tls" else ["PLAIN"],
        )

    loop = asyncio.get_running_loop()
    # The certificate is not for the second.
    await loop.create_server(
        serve, ["127.0.0.1", "127.0.0.2"], int(port), ssl=context if mode == "tls" else None
    )
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(main())
