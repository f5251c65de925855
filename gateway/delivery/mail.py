"""Mail to subscribers: by the mail server that the settings name, if they name one."""

from __future__ import annotations

from typing import Any

from gateway.delivery.mail_text import CONFIRMATION, UNSUBSCRIPTION, MailWriter, read_template
from gateway.delivery.sender import Endpoint, Notice, Result, Sender, Sent
from gateway.settings import Settings
from gateway.settings.certificates import reading_certificates
from gateway.settings.mail import PORTS
from gateway.settings.passwords import read_password
from protocol.mail_address import read_mailbox

SCHEME = "mailto"


def make_mail_sender(reactor: Any, settings: Settings) -> Sender:
    """What the settings ask for. Raises SettingsError."""
    if settings.smtp_host is None or settings.mail_from is None:
        return WithoutMailServer()
    # Only here: importing it looks up this machine's name.
    from gateway.delivery.mail_sender import MailSender  # noqa: PLC0415
    from gateway.delivery.smtp import Login, MailServer  # noqa: PLC0415

    sender = read_mailbox(settings.mail_from)
    writer = MailWriter(
        sender,
        settings.external_confirmation_url or "",
        read_template("confirmation_mail_file", settings.confirmation_mail_file, CONFIRMATION),
        read_template("unsubscription_mail_file", settings.unsubscription_mail_file, UNSUBSCRIPTION),
    )
    login = None
    if settings.smtp_user is not None:
        given = settings.smtp_password, settings.smtp_password_file
        login = Login(settings.smtp_user, read_password("smtp_password", *given, "smtp_user"))
    port = settings.smtp_port or PORTS[settings.smtp_tls]
    with reading_certificates("smtp_ca_file", settings.smtp_ca_file):
        server = MailServer(
            reactor,
            settings.smtp_host,
            port,
            tls=settings.smtp_tls,
            login=login,
            ca_file=settings.smtp_ca_file,
            timeout=settings.smtp_timeout,
        )
    return MailSender(server, Endpoint(SCHEME, settings.smtp_host, port), writer, sender.addr_spec)


class WithoutMailServer:
    """The operator has named no mail server: mail addresses may be subscribed, and nothing can be sent."""

    def endpoint(self, subscriber: str) -> Endpoint:
        """Nowhere, which answers at once."""
        return Endpoint(SCHEME, "", 0)

    async def send(self, notice: Notice) -> Sent:
        """Never delivered."""
        return Sent(Result.REFUSED, "No mail is sent here. The operator switches it on with smtp_host.")

    async def stop(self) -> None:
        """Nothing is open."""
