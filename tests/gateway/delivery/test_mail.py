"""Mail to subscribers, taken by a real mail server, and what becomes of it when that will not."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred

from gateway.delivery import smtp as smtp_client
from gateway.delivery.mail import make_mail_sender
from gateway.delivery.sender import Notice, Result, Sender, Sent
from gateway.settings import Settings, SettingsError
from gateway.settings.sources import load
from storage.records import Queue, Subscription
from tests.support.reactor import eventually, reactor, run, wait_until
from tests.support.smtp import PASSWORD, USER, SmtpServer, start_smtp

BODY = json.dumps({"ttl": 60, "body": {"text": "Grüße\n.\r\n"}, "Message_Type": "Notification"}).encode()

MESSAGE_ID = "01234567-89ab-8def-8123-456789abcdef"

QUEUE = Queue("project", "jobs", 5)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmtpServer]:
    with start_smtp(tmp_path_factory.mktemp("mail") / "starttls") as running:
        yield running


def settings_for(server: SmtpServer, **further: Any) -> Settings:
    names = [option.removeprefix("--").replace("-", "_") for option in server.options()[::2]]
    given = dict(zip(names, server.options()[1::2], strict=True))
    return load({"data_dir": str(server.folder), **given, **further}, {})[0]


def notice(
    subscriber: str, options: Mapping[str, Any] | None = None, message_id: str | None = MESSAGE_ID
) -> Notice:
    return Notice(QUEUE, Subscription(7, subscriber, 600, 0, options or {}, True), BODY, message_id)


def sent(settings: Settings, *notices: Notice) -> list[Sent]:
    """What comes of sending notices, one after the other."""

    async def scenario() -> list[Sent]:
        sender = make_mail_sender(reactor, settings)
        try:
            return [await sender.send(each) for each in notices]
        finally:
            await sender.stop()

    return run(scenario, timeout=60)


DELIVERED = Sent(Result.DELIVERED)


def test_a_message_comes_as_mail(server: SmtpServer) -> None:
    before = len(server.mails())
    assert sent(settings_for(server), notice("mailto:ada%40example.org?Subject=News%20for%20%C3%84da")) == [
        DELIVERED
    ]
    mail = server.mails()[before]
    assert (mail.sender, mail.recipients) == ("gateway@zaqar.test", ["ada@example.org"])
    assert (mail.tls, mail.user) == (True, USER)
    assert mail.message["From"] == "Gateway <gateway@zaqar.test>"
    assert mail.message["To"] == "ada@example.org"
    assert mail.message["Subject"] == "News for Äda"
    assert mail.message["Date"]
    assert mail.message["Auto-Submitted"] == "auto-generated"
    assert mail.text.rstrip("\n") == BODY.decode()
    # Mail as it has to be on its way: lines of ASCII that end with both characters.
    assert mail.raw.isascii()
    assert mail.raw.count(b"\n") == mail.raw.count(b"\r\n")


def test_options_say_from_whom_and_about_what(server: SmtpServer) -> None:
    before = len(server.mails())
    options = {"from": "Ada Løve <ada@example.com>", "subject": "Söme " * 50}
    assert sent(settings_for(server), notice("mailto:b@example.org", options)) == [DELIVERED]
    mail = server.mails()[before]
    assert mail.message["From"] == options["from"]
    assert mail.message["Sender"] == "Gateway <gateway@zaqar.test>"
    assert mail.message["Subject"].split() == options["subject"].split()
    # To this address it comes back, whoever is shown as the sender.
    assert mail.sender == "gateway@zaqar.test"


def test_the_subject_has_a_default_and_a_repeat_is_known(server: SmtpServer) -> None:
    before = len(server.mails())
    again = notice("mailto:b@example.org", {"from": None, "subject": None})
    other = notice("mailto:b@example.org", message_id=MESSAGE_ID.replace("0", "1"))
    assert sent(settings_for(server), again, again, other) == [DELIVERED] * 3
    first, second, third = (mail.message for mail in server.mails()[before:])
    assert first["Subject"] == "Message in the queue jobs"
    assert first["Message-ID"] == second["Message-ID"] != third["Message-ID"]
    assert first["Message-ID"].startswith(f"<{MESSAGE_ID}.")


@pytest.mark.parametrize(
    ("mode", "user"), [("tls", USER), ("none", None)], ids=["TLS from the start", "without TLS"]
)
def test_other_ways_to_the_server(tmp_path: Path, mode: str, user: str | None) -> None:
    with start_smtp(tmp_path / "mail", mode) as server:
        assert sent(settings_for(server), notice("mailto:b@example.org")) == [DELIVERED]
        assert [mail.user for mail in server.mails()] == [user]


def test_what_is_refused_for_now_is_tried_again_and_what_is_refused_is_not(server: SmtpServer) -> None:
    to = notice("mailto:b@example.org")
    server.answer("451 4.2.0 mx7.inside.test is busy")
    assert sent(settings_for(server), to) == [Sent(Result.AGAIN, "The mail server answered 451 4.2.0.")]
    server.answer("550 Nobody here")
    assert sent(settings_for(server), to) == [Sent(Result.REFUSED, "The mail server answered 550.")]
    server.answer(None)
    assert sent(settings_for(server), to, notice("mailto:full@example.org")) == [
        DELIVERED,
        Sent(Result.REFUSED, "The mail server answered 552 5.2.2."),
    ]


AGAIN = Sent(Result.AGAIN, "The mail server could not be asked.")


@pytest.mark.parametrize(
    "wrong",
    [
        {"smtp_port": "1"},
        {"smtp_host": "no-such-host.invalid"},
        {"smtp_ca_file": None},
        {"smtp_host": "127.0.0.2"},
        {"smtp_tls": "tls"},
        {"smtp_user": "somebody"},
    ],
    ids=[
        "refused",
        "unknown host",
        "unknown authority",
        "another's certificate",
        "no TLS from the start",
        "unknown user",
    ],
)
def test_a_server_that_cannot_be_asked_says_nothing_about_the_mail(
    server: SmtpServer, wrong: dict[str, Any]
) -> None:
    assert sent(settings_for(server, **wrong), notice("mailto:b@example.org")) == [AGAIN]


def test_time_is_bounded(server: SmtpServer) -> None:
    settings = settings_for(server, smtp_timeout="0.5")
    assert sent(settings, notice("mailto:slow@example.org")) == [AGAIN]


class Talker:
    """A server that says what it is told, whatever it hears: one text for each line that comes."""

    def __init__(self, *texts: str) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._texts = texts
        self.port = self._listener.getsockname()[1]
        self.heard: list[bytes] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        # The other side may end it at any time.
        with suppress(OSError), connection, connection.makefile("rb") as lines:
            connection.settimeout(20)
            for text in self._texts:
                connection.sendall(text.encode())
                try:
                    self.heard.append(lines.readline())
                except ConnectionResetError:
                    self.heard.append(b"")


@pytest.mark.parametrize(
    "texts",
    [
        ["554 go away\r\n"],
        ["nonsense\r\n"],
        ["220 hello\r\n", "500 what?\r\n"],
        ["220 hello\r\n", "250-mail.test\r\n250 AUTH PLAIN LOGIN\r\n"],
        ["220 hello\r\n", "250-mail.test\r\n250 STARTTLS\r\n", "454 not now\r\n"],
        ["220 hello\r\n", "250-mail.test\r\n250 STARTTLS\r\n", "220 go on\r\n", "no TLS at all\r\n"],
    ],
    ids=["refuses", "no SMTP", "no EHLO", "no STARTTLS", "TLS refused", "no TLS"],
)
def test_the_password_is_told_to_nobody_else(server: SmtpServer, texts: list[str]) -> None:
    talker = Talker(*texts)
    try:
        settings = settings_for(server, smtp_port=str(talker.port))
        assert sent(settings, notice("mailto:b@example.org")) == [AGAIN]
    finally:
        talker.close()
    assert not any(b"AUTH" in line or PASSWORD.encode() in line for line in talker.heard)


def test_what_came_before_tls_is_not_the_servers_word(server: SmtpServer) -> None:
    # Somebody on the way has put a reply behind the server's: it is not to be taken for one over TLS.
    talker = Talker("220 hello\r\n", "250-mail.test\r\n250 STARTTLS\r\n", "220 go on\r\n250 AUTH PLAIN\r\n")
    try:
        settings = settings_for(server, smtp_port=str(talker.port))
        assert sent(settings, notice("mailto:b@example.org")) == [AGAIN]
        wait_until(lambda: len(talker.heard) == 3, 30)
        assert talker.heard[1:] == [b"STARTTLS\r\n", b""]
    finally:
        talker.close()


def test_connections_are_bounded_and_what_waits_too(
    server: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp_client, "MAX_AT_ONCE", 2)
    monkeypatch.setattr(smtp_client, "MAX_WAITING", 1)
    settings = settings_for(server)
    slow = notice("mailto:slow@example.org")

    async def scenario() -> None:
        sender: Any = make_mail_sender(reactor, settings)
        under_way = [Deferred.fromCoroutine(sender.send(slow)) for _ in range(3)]
        await eventually(lambda: len(sender._server._open) == 2)
        assert await sender.send(slow) == AGAIN  # at once
        # Who gives up gives the turn back, waiting or not.
        for each in under_way:
            each.addErrback(lambda failure: failure.trap(CancelledError) and None)
            each.cancel()
        await eventually(lambda: not sender._server._open)
        assert await sender.send(notice("mailto:b@example.org")) == DELIVERED
        await sender.stop()
        await eventually(lambda: not sender._server._open)

    run(scenario)


def test_stopping_ends_what_is_under_way(server: SmtpServer) -> None:
    async def scenario() -> Sent:
        sender: Any = make_mail_sender(reactor, settings_for(server))
        under_way = Deferred.fromCoroutine(sender.send(notice("mailto:slow@example.org")))
        await eventually(lambda: sender._server._open)
        await sender.stop()
        answer: Sent = await under_way
        return answer

    assert run(scenario) == AGAIN


def test_without_a_server_nothing_is_sent(tmp_path: Path) -> None:
    sender: Sender = make_mail_sender(reactor, Settings(data_dir=tmp_path))
    answer = run(sender.send, notice("mailto:b@example.org"))
    assert answer.result is Result.REFUSED
    assert "smtp_host" in answer.error
    run(sender.stop)


@pytest.mark.parametrize("subscriber", ["mailto:a b@c", "mailto:a@b%0d%0aRCPT%20TO:<x@y>", "mailto:"])
def test_what_was_stored_wrong_is_refused(server: SmtpServer, subscriber: str) -> None:
    (answer,) = sent(settings_for(server), notice(subscriber))
    assert answer.result is Result.REFUSED


def test_settings_that_cannot_be_used(server: SmtpServer, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    binary = tmp_path / "binary"
    binary.write_bytes(b"subject\n{2}\xff")
    cases: list[tuple[dict[str, Any], str]] = [
        ({"smtp_password_file": None}, "smtp_password_file: is not set, and smtp_user needs it"),
        ({"smtp_password_file": str(empty)}, "its first line is empty"),
        ({"smtp_ca_file": str(empty)}, "smtp_ca_file: .*holds no certificate"),
        ({"smtp_ca_file": str(tmp_path / "none")}, "smtp_ca_file: .*cannot be read"),
        ({"confirmation_mail_file": str(tmp_path / "none")}, "confirmation_mail_file: .*cannot be read"),
        ({"confirmation_mail_file": str(empty)}, "confirmation_mail_file: .*has the link"),
        ({"unsubscription_mail_file": str(binary)}, "unsubscription_mail_file: .*UTF-8"),
    ]
    for wrong, told in cases:
        with pytest.raises(SettingsError, match=told):
            make_mail_sender(reactor, settings_for(server, **wrong))


def test_the_port_follows_from_the_way(server: SmtpServer) -> None:
    for mode, port in (("starttls", 587), ("tls", 465)):
        sender = make_mail_sender(reactor, settings_for(server, smtp_tls=mode, smtp_port=None))
        assert sender.endpoint("mailto:b@example.org").port == port
