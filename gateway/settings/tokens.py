"""Which JSON Web Tokens are taken, and what is read in them: settings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from gateway.settings.kinds import check_file, choice, seconds, text
from gateway.settings.listening import is_loopback
from gateway.settings.setting import setting


def check_keys_url(text: str) -> str:
    """Where keys are published: https, so that nobody else tells ours; http on this machine only."""
    url = urlsplit(text)
    host = url.hostname or ""
    safe = url.scheme == "https" or (url.scheme == "http" and is_loopback(host))
    if not safe or not host or url.username is not None or not re.fullmatch(r"[!-~]{1,2048}", text):
        raise ValueError(text)
    _ = url.port  # raises ValueError if it is none
    return text


def check_claim(text: str) -> str:
    """The name of a claim."""
    if not text or len(text) > 255 or not text.isprintable():
        raise ValueError(text)
    return text


def _claim(default: str, help: str) -> str:
    kind = text("CLAIM", "the name of a claim, 1 to 255 characters", check_claim)
    name: str = setting(default, kind, help)
    return name


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """JSON Web Tokens."""

    jwt_algorithm: str = setting(
        "HS256",
        choice("HS256", "RS256", "ES256", "EdDSA"),
        "the one algorithm that tokens are signed with; what a token says of itself does not count",
    )
    jwt_key_file: Path | None = setting(  # noqa: RUF009  # it makes a field
        None,
        text("FILE", "a file", check_file),
        "file to check signatures by: a secret (HS256), a public key in PEM form, or a JSON Web Key Set",
        default_text="not set",
        optional=True,
    )
    jwt_keys_url: str | None = setting(
        None,
        text("URL", "an https URL; http on this machine only", check_keys_url),
        "where the issuer publishes its JSON Web Key Set, in place of jwt_key_file",
        default_text="not set",
        optional=True,
        secret=True,
    )
    jwt_keys_max_age: float = setting(
        86_400.0,
        seconds(60, 31_536_000),
        "seconds for which keys from jwt_keys_url are used while it does not answer",
    )
    jwt_issuer: str | None = setting(
        None,
        text("ISSUER", "what stands in the claim iss", check_claim),
        "the issuer that tokens must have",
        default_text="any",
        optional=True,
    )
    jwt_audience: str | None = setting(
        None,
        text("AUDIENCE", "what stands in the claim aud", check_claim),
        "the audience that tokens must be for",
        default_text="not set: tokens that name an audience are refused",
        optional=True,
    )
    jwt_leeway: float = setting(
        10.0, seconds(0, 300), "seconds by which the clocks of issuer and gateway may differ"
    )
    jwt_project_claim: str = _claim("project", "claim with the project, which a token must have")
    jwt_user_claim: str = _claim("sub", "claim with the user's id, for the log")
    jwt_roles_claim: str = _claim("roles", "claim with the roles: a list, or words with spaces between")
    jwt_rights_claim: str = _claim(
        "rights", "claim with what the token is restricted to; without it, nothing is"
    )
