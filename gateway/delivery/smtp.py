"""Hands mail over to a mail server, each mail on a connection of its own (RFC 5321).

Everything is bounded: connections at once, mails that wait for one, and the time of each. A server that
speaks TLS has to prove who it is.
"""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path
from typing import Any, Final, NamedTuple

from OpenSSL import SSL
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IStreamClientEndpoint
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.ssl import optionsForClientTLS
from twisted.mail.smtp import DNSNAME, ESMTPClient, LOGINAuthenticator, PLAINAuthenticator
from twisted.python.failure import Failure

from gateway.http.client import trust_root

MAX_AT_ONCE = 8
"""Connections to the mail server at the same time."""

MAX_WAITING = 1_000
"""Mails that wait for one of those to end; more fail at once."""

_ENHANCED: Final = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}(?= |$)")
"""An enhanced status code (RFC 3463), as a reply's text begins with it."""


class MailServerError(Exception):
    """The mail server has not said whether it takes the mail. The message is for the log of the operator."""


class Reply(NamedTuple):
    """What the mail server says of a mail, or of its sender or recipient if that is as far as it came."""

    code: int
    """2xx: it has taken the mail; 4xx: not now; 5xx: never (RFC 5321 section 4.2.1)."""
    enhanced: str
    """The enhanced status code; empty if it told none."""

    def __str__(self) -> str:
        return f"{self.code} {self.enhanced}".rstrip()


class Login(NamedTuple):
    """Who the gateway is to the mail server."""

    user: str
    password: str


class MailServer:
    """The server that takes all mail. `stop` is called once, when nobody sends any more.

    :param host: a name or an address; a certificate has to be for it.
    :param tls: `starttls`, `tls` or `none`: TLS after the greeting, from the start, or not at all.
    :param login: None: without. Not with `none`.
    :param ca_file: certificates in PEM form that are trusted in place of the system's.
    :param timeout: seconds that all of one mail may take, waiting for others included.
    :raises OSError: the file cannot be read.
    :raises ValueError: it holds no certificate.
    """

    def __init__(
        self,
        reactor: Any,
        host: str,
        port: int,
        *,
        tls: str,
        login: Login | None,
        ca_file: Path | None,
        timeout: float,
    ) -> None:
        self._reactor = reactor
        self._login = login
        self._timeout = timeout
        options = optionsForClientTLS(host, trust_root(ca_file))
        self._starttls = options if tls == "starttls" else None
        self._endpoint: IStreamClientEndpoint = HostnameEndpoint(reactor, host, port, timeout=timeout)
        if tls == "tls":
            self._endpoint = wrapClientTLS(options, self._endpoint)
        self._turns = DeferredSemaphore(MAX_AT_ONCE)
        self._open: set[_Handover] = set()

    async def hand_over(self, sender: str, recipient: str, mail: bytes) -> Reply:
        """Hand one mail over; the server's last word on it. May be cancelled: then that is not known.

        :param sender: the address that it comes back to; a legal one, as `recipient`.
        :param mail: lines that end with a newline, and none of which begins with a dot.
        :raises MailServerError: it could not be reached, did not prove who it is, did not let the gateway in,
            or did not answer in time.
        """
        if len(self._turns.waiting) >= MAX_WAITING:
            raise MailServerError("Too many mails wait for the mail server.")
        handover = _Handover(sender, recipient, mail, self._login, self._starttls, self._timeout)
        work = Deferred.fromCoroutine(self._in_turn(handover))
        return await work.addTimeout(self._timeout, self._reactor, self._too_late)

    async def stop(self) -> None:
        """End all connections, whatever is still said on them."""
        for handover in list(self._open):
            handover.abort()

    async def _in_turn(self, handover: _Handover) -> Reply:
        await self._turns.acquire()
        try:
            await self._endpoint.connect(Factory.forProtocol(lambda: handover))
        except (ConnectError, DNSLookupError, ConnectionClosed, SSL.Error) as error:
            self._turns.release()
            raise MailServerError(_reason(error)) from error
        except BaseException:  # cancelled, or anything else: the turn is another's
            self._turns.release()
            raise
        self._open.add(handover)
        handover.closed.addCallback(self._closed, handover)
        return await handover.done

    def _closed(self, _: None, handover: _Handover) -> None:
        self._open.discard(handover)
        self._turns.release()

    def _too_late(self, result: object, timeout: float) -> Reply:
        if isinstance(result, Reply):
            return result
        raise MailServerError(f"The mail server did not take the mail within {timeout:g} seconds.")


class _Handover(ESMTPClient):
    """One connection, on which one mail is handed over.

    `done` is the server's last word, or fails with MailServerError; cancelling it ends the connection.
    `closed` comes when the connection has ended, a little later.
    """

    transport: Any
    timeout: Any
    debug = False  # it would keep what was said, the password too, and show it in errors
    heloFallback = False

    def __init__(
        self,
        sender: str,
        recipient: str,
        mail: bytes,
        login: Login | None,
        starttls: IOpenSSLClientConnectionCreator | None,
        timeout: float,
    ) -> None:
        super().__init__(login.password.encode() if login else b"", starttls, DNSNAME)
        self.done: Deferred[Reply] = Deferred(lambda _: self.abort())
        self.closed: Deferred[None] = Deferred()
        self.timeout = timeout
        self.requireTransportSecurity = starttls is not None
        self.requireAuthentication = login is not None
        if login is not None:
            for kind in (PLAINAuthenticator, LOGINAuthenticator):
                self.registerAuthenticator(kind(login.user.encode()))
        self._sender: str | None = sender
        self._recipient = recipient
        self._mail = mail

    def abort(self) -> None:
        """End the connection at once."""
        if self.transport is not None:
            self.transport.abortConnection()

    # What the conversation asks for

    def getMailFrom(self) -> str | None:
        sender, self._sender = self._sender, None
        return sender

    def getMailTo(self) -> list[str]:
        return [self._recipient]

    def getMailData(self) -> BytesIO:
        return BytesIO(self._mail)

    # What it tells

    def esmtpState_starttls(self, code: int, resp: bytes) -> None:
        # What came in one piece with the consent is not the server's word: it was sent in the clear.
        if self.clearLineBuffer():
            self._fail("The mail server spoke on before TLS.")
            self.abort()
        else:
            super().esmtpState_starttls(code, resp)

    def sentMail(
        self, code: int, resp: bytes | str, taken: int, addresses: list[tuple[Any, int, bytes]], _: object
    ) -> None:
        if not taken and addresses:  # it did not come to the mail itself
            resp = addresses[-1][2]
        text = resp.decode("utf-8", "replace") if isinstance(resp, bytes) else resp
        enhanced = _ENHANCED.match(text)
        if not self.done.called:
            self.done.callback(Reply(code, enhanced[0] if enhanced else ""))

    def sendError(self, exc: Exception) -> None:
        self._fail(_reason(exc))
        super().sendError(exc)

    def timeoutConnection(self) -> None:
        self._fail("The mail server did not answer in time.")
        self.abort()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self._fail(_reason(reason.value or ConnectionClosed()))
        self.closed.callback(None)

    def _fail(self, reason: str) -> None:
        if not self.done.called:
            self.done.errback(MailServerError(reason))


def _reason(error: BaseException) -> str:
    """An error in one short line."""
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
