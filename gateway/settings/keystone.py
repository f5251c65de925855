"""How Keystone is asked whom a token speaks for: settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gateway.settings.kinds import check_file, check_web_url, seconds, text
from gateway.settings.passwords import PASSWORD, WORD, check_word
from gateway.settings.setting import setting


def check_auth_url(text: str) -> str:
    """The address of a Keystone; with or without `/v3` at its end."""
    return check_web_url(text).rstrip("/").removesuffix("/v3")


_FILE = text("FILE", "a file", check_file)


@dataclass(frozen=True, kw_only=True)
class Keystone:
    """Keystone."""

    keystone_auth_url: str | None = setting(
        None,
        text("URL", "http:// or https://, a host, perhaps a port and a path", check_auth_url),
        "Keystone that is asked about tokens; needed with auth keystone",
        default_text="none",
        optional=True,
    )
    keystone_username: str = setting(
        "zaqar", text("NAME", WORD, check_word), "user of the gateway itself, which asks"
    )
    keystone_password: str | None = setting(
        None,
        PASSWORD,
        "the user's password; not taken from the command line, which others can read",
        default_text="what keystone_password_file holds",
        optional=True,
        secret=True,
    )
    keystone_password_file: Path | None = setting(  # noqa: RUF009  # it makes a field
        None, _FILE, "file whose first line is the user's password", default_text="none", optional=True
    )
    keystone_user_domain: str = setting(
        "Default", text("NAME", WORD, check_word), "name of the user's domain"
    )
    keystone_project: str = setting(
        "service", text("NAME", WORD, check_word), "name of the project that the user asks for"
    )
    keystone_project_domain: str = setting(
        "Default", text("NAME", WORD, check_word), "name of that project's domain"
    )
    keystone_cache: float = setting(
        60.0, seconds(1, 3600), "seconds for which an answer holds; in them a revoked token loses its sockets"
    )
    keystone_timeout: float = setting(5.0, seconds(0.1, 300), "seconds Keystone has for one answer")
    keystone_ca_file: Path | None = setting(  # noqa: RUF009  # it makes a field
        None,
        _FILE,
        "certificates, PEM, of whom Keystone's has to be",
        default_text="those of the system",
        optional=True,
    )
