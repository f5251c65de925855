"""Sends notices to subscribers that are mail addresses (protocol.md section 6)."""

from __future__ import annotations

from gateway.delivery.mail_text import MailWriter
from gateway.delivery.sender import Endpoint, Notice, Result, Sent
from gateway.delivery.smtp import MailServer, MailServerError
from gateway.logs import get_logger

log = get_logger(__name__)


class MailSender:
    """Hands mails over to the one server that takes them all, and so is the endpoint of all.

    :param own_address: to which a mail comes back that cannot be delivered later on.
    """

    def __init__(self, server: MailServer, endpoint: Endpoint, writer: MailWriter, own_address: str) -> None:
        self._server = server
        self._endpoint = endpoint
        self._writer = writer
        self._own_address = own_address

    def endpoint(self, subscriber: str) -> Endpoint:
        """The mail server, whoever the subscriber is."""
        return self._endpoint

    async def send(self, notice: Notice) -> Sent:
        """Hand a mail over. Delivered: the server has taken it, and answers for the rest of the way.

        Only what it says of this mail can be final. When it cannot be reached, or lets nobody in, that is no
        fault of the mail's.
        """
        try:
            mail = self._writer.write(notice)
        except ValueError:
            return Sent(Result.REFUSED, "The subscription names what cannot stand in a mail.")
        try:
            reply = await self._server.hand_over(self._own_address, mail.recipient, mail.content)
        except MailServerError as error:
            log.warning("mail_server_failed", reason=str(error))
            return Sent(Result.AGAIN, "The mail server could not be asked.")
        if reply.code < 300:  # 2yz, 4yz, 5yz: RFC 5321 section 4.2.1
            return Sent(Result.DELIVERED)
        final = reply.code >= 500  # as above
        return Sent(Result.REFUSED if final else Result.AGAIN, f"The mail server answered {reply}.")

    async def stop(self) -> None:
        """End the connections."""
        await self._server.stop()
