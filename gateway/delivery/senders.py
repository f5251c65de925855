"""What sends to subscribers, by the schemes of their URLs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.auth.trusts import Trusts
from gateway.delivery.mail import SCHEME, make_mail_sender
from gateway.delivery.sender import Sender
from gateway.delivery.trusted_webhooks import TrustedWebhooks
from gateway.delivery.webhooks import Webhooks
from gateway.settings import Settings
from gateway.settings.certificates import reading_certificates
from protocol.subscribers import TRUSTED_SCHEMES


def make_senders(
    reactor: Any, settings: Settings, signing_keys: Sequence[bytes], trusts: Trusts | None
) -> Mapping[str, Sender]:
    """One for each scheme, what the settings ask for. Raises SettingsError.

    :param trusts: None: nobody can be spoken for, and the schemes that need it have no sender.
    """
    with reading_certificates("webhook_ca_file", settings.webhook_ca_file):
        webhooks = Webhooks(reactor, settings, signing_keys)
    senders: dict[str, Sender] = {
        "http": webhooks,
        "https": webhooks,
        SCHEME: make_mail_sender(reactor, settings),
    }
    if trusts is not None:
        senders |= dict.fromkeys(TRUSTED_SCHEMES, TrustedWebhooks(webhooks, trusts))
    return senders
