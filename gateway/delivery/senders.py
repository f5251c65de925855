"""What sends to subscribers, by the schemes of their URLs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.delivery.mail import SCHEME, make_mail_sender
from gateway.delivery.sender import Sender
from gateway.delivery.webhooks import Webhooks
from gateway.settings import Settings, SettingsError


def make_senders(reactor: Any, settings: Settings, signing_keys: Sequence[bytes]) -> Mapping[str, Sender]:
    """One for each scheme, what the settings ask for. Raises SettingsError."""
    try:
        webhooks = Webhooks(reactor, settings, signing_keys)
    except OSError as error:
        reason = error.strerror or error
        raise SettingsError(
            f"webhook_ca_file: {settings.webhook_ca_file}: cannot be read: {reason}"
        ) from None
    except ValueError as error:
        raise SettingsError(f"webhook_ca_file: {error}") from None
    return {"http": webhooks, "https": webhooks, SCHEME: make_mail_sender(reactor, settings)}
