"""Whether subscribers are asked before anything is sent to them, and how: settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gateway.settings.kinds import boolean, check_file, check_web_url, text
from gateway.settings.setting import setting

_FILE = text("FILE", "a file", check_file)
_URL = "http:// or https://, a host, perhaps a port and a path"


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """Confirmation of subscriptions."""

    require_confirmation: bool = setting(
        False,
        boolean(),
        "webhooks and mail addresses get messages only after they have confirmed; needs signing_key_file",
    )
    public_url: str | None = setting(
        None,
        text("URL", _URL, check_web_url),
        "where subscribers reach the gateway: what they are sent to confirm names it",
        default_text="what Keystone's catalog says, with auth keystone; else none is named",
        optional=True,
    )
    external_confirmation_url: str | None = setting(
        None,
        text("URL", _URL, check_web_url),
        "page that mail to confirm links to; needed with require_confirmation and smtp_host",
        default_text="none",
        optional=True,
    )
    confirmation_mail_file: Path | None = setting(  # noqa: RUF009  # it makes a field
        None,
        _FILE,
        "mail to confirm: the subject, then the text, with {0} queue, {1} project, {2} link",
        default_text="a text of the gateway's own",
        optional=True,
    )
    unsubscription_mail_file: Path | None = setting(  # noqa: RUF009  # it makes a field
        None,
        _FILE,
        "the same for mail to those who have unsubscribed",
        default_text="a text of the gateway's own",
        optional=True,
    )
