"""How mail to subscribers is sent: settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gateway.settings.kinds import check_file, check_host, choice, integer, seconds, text
from gateway.settings.passwords import PASSWORD, WORD, check_word
from gateway.settings.setting import setting
from protocol.mail_address import read_mailbox

PORTS = {"starttls": 587, "tls": 465, "none": 25}
"""The usual ports of mail servers (RFC 6409, RFC 8314, RFC 5321)."""

_FILE = text("FILE", "a file", check_file)


def check_mailbox(text: str) -> str:
    """One mail address, with or without a name before it."""
    read_mailbox(text)
    return text


@dataclass(frozen=True, kw_only=True)
class Mail:
    """Mail."""

    smtp_host: str | None = setting(
        None,
        text("HOST", "an IP address or a host name", check_host),
        "mail server that takes the gateway's mail; its certificate has to be for this name",
        default_text="none: no mail is sent",
        optional=True,
    )
    smtp_port: int | None = setting(
        None,
        integer(1, 65535),
        "port of the mail server",
        default_text=", ".join(f"{port} with smtp_tls {mode}" for mode, port in PORTS.items()),
        optional=True,
    )
    smtp_tls: str = setting(
        "starttls",
        choice(*PORTS),
        "how mail is kept secret up to the server: by TLS after its greeting, from the start, or not at all",
    )
    smtp_user: str | None = setting(
        None,
        text("NAME", WORD, check_word),
        "user that the mail server knows the gateway by",
        default_text="none: without a login",
        optional=True,
    )
    smtp_password: str | None = setting(
        None,
        PASSWORD,
        "the user's password; not taken from the command line, which others can read",
        default_text="what smtp_password_file holds",
        optional=True,
        secret=True,
    )
    smtp_password_file: Path | None = setting(  # noqa: RUF009  # it makes a field
        None, _FILE, "file whose first line is the user's password", default_text="none", optional=True
    )
    smtp_ca_file: Path | None = setting(  # noqa: RUF009  # it makes a field
        None,
        _FILE,
        "certificates, PEM, of whom the mail server's has to be",
        default_text="those of the system",
        optional=True,
    )
    smtp_timeout: float = setting(
        30.0, seconds(0.1, 300), "seconds that handing over one mail may take, from the connection to the end"
    )
    mail_from: str | None = setting(
        None,
        text("MAILBOX", "a mail address, or Name <address>", check_mailbox),
        "sender of the gateway's mail, who is told what cannot be delivered; needed with smtp_host",
        default_text="none",
        optional=True,
    )
