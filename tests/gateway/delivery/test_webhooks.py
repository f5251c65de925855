"""What webhooks are sent, and what comes of each way in which their servers may answer."""

from __future__ import annotations

import json
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from gateway.delivery.sender import Endpoint, Notice, Result, Sent
from gateway.delivery.webhooks import Webhooks
from gateway.settings import Settings
from protocol.webhook_signature import secret_of, signature_header
from storage.records import Queue, Subscription
from tests.support.certificates import Authority, pem
from tests.support.reactor import reactor, run
from tests.support.receiver import Answer, Receiver, endless, receiving, saying, silent
from tests.support.servers import free_port

QUEUE = Queue("project", "jobs", 5)
SUBSCRIPTION_ID = "00000000-0000-8001-8000-000000000005"
LOCAL = ("127.0.0.0/8",)


def notice(url: str, **options: Any) -> Notice:
    return Notice(QUEUE, Subscription(1, url, 60, 0, options, confirmed=False), b'{"body":1}', "id")


def send(*notices: Notice, keys: tuple[bytes, ...] = (), **settings: Any) -> list[Sent]:
    """Send one after the other."""
    given = {"webhook_allowed_networks": LOCAL, **settings}

    async def scenario() -> list[Sent]:
        webhooks = Webhooks(reactor, Settings(data_dir=Path(), **given), keys)
        try:
            return [await webhooks.send(each) for each in notices]
        finally:
            await webhooks.stop()

    return run(scenario)


def test_what_is_sent(receiver: Receiver) -> None:
    options: dict[str, Any] = {"post_headers": {"X-Own": "1"}, "post_data": '{"of": "$zaqar_message$"}'}
    assert send(notice(receiver.url + "path?a=b", **options)) == [Sent(Result.DELIVERED)]
    (received,) = receiver.received
    assert received.path == "/path?a=b"
    assert json.loads(received.data) == {"of": {"body": 1}}
    headers = dict(received.headers)
    assert headers["user-agent"].startswith("zaqar-gateway/")
    assert headers["host"] == f"127.0.0.1:{receiver.port}"
    assert headers["content-type"] == "application/json"
    assert headers["x-own"] == "1"
    assert headers["x-zaqar-message-id"] == "id"
    assert headers["x-zaqar-subscription-id"] == SUBSCRIPTION_ID
    assert "x-zaqar-signature" not in headers


def test_headers_that_the_gateway_sets_are_its_own(receiver: Receiver) -> None:
    """Those of a subscription from before they were refused."""
    own = {
        "x-zaqar-signature": "t=1,v1=forged",
        "HOST": "elsewhere",
        "X-A": "a\r\nX-B: b",
        "User-Agent": "me",
    }
    assert send(notice(receiver.url, post_headers=own)) == [Sent(Result.DELIVERED)]
    headers = receiver.received[0].headers
    assert headers["host"] == f"127.0.0.1:{receiver.port}"
    assert headers["user-agent"] == "me"
    assert not {"x-zaqar-signature", "x-a", "x-b"} & set(headers)


def test_a_signature_by_each_key(receiver: Receiver) -> None:
    send(notice(receiver.url), keys=(b"new", b"old"))
    (received,) = receiver.received
    header = received.headers["x-zaqar-signature"]
    now = int(header.removeprefix("t=").partition(",")[0])
    secrets = [secret_of(key, "project", "jobs", SUBSCRIPTION_ID) for key in (b"new", b"old")]
    assert header == signature_header(secrets, received.data, now)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_statuses_of_success(receiver: Receiver, status: int) -> None:
    receiver.answer = lambda _: status
    assert send(notice(receiver.url)) == [Sent(Result.DELIVERED)]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 599])
def test_statuses_that_are_tried_again(receiver: Receiver, status: int) -> None:
    receiver.answer = lambda _: status
    assert send(notice(receiver.url)) == [Sent(Result.AGAIN, f"HTTP {status}")]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422, 499])
def test_statuses_that_no_other_try_would_change(receiver: Receiver, status: int) -> None:
    receiver.answer = lambda _: status
    assert send(notice(receiver.url)) == [Sent(Result.REFUSED, f"HTTP {status}")]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(receiver: Receiver, status: int) -> None:
    receiver.answer = lambda _: status
    assert send(notice(receiver.url)) == [Sent(Result.REFUSED, f"HTTP {status}: redirects are not followed")]
    assert len(receiver.received) == 1


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: "


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (silent, Result.AGAIN),
        (saying(b""), Result.AGAIN),
        (saying(b"HTTP/1.1 200 OK\r\nContent-"), Result.AGAIN),
        (saying(b"SSH-2.0-OpenSSH_9.2\r\n"), Result.AGAIN),
        (endless(b"HTTP/1.1 200 OK\r\n", b"X-More: " + b"x" * 1000 + b"\r\n"), Result.AGAIN),
        (endless(b"HTTP/1.1 200 OK\r\nX-More: ", b"x" * 1000), Result.AGAIN),
        (endless(b"", b"HTTP/1.1 102 Processing\r\n\r\n"), Result.AGAIN),
        (endless(b"HTTP/1.1 102 Processing\r\n\r\n", b"HTTP/1.1 102 Processing\r\n\r\n", 0.1), Result.AGAIN),
        # Its status is known: the rest is nothing to wait for.
        (endless(HEAD + b"1000000000\r\n\r\n", b"x" * 1000), Result.DELIVERED),
        (endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1000), Result.DELIVERED),
        (endless(HEAD + b"10\r\n\r\n", b"", 0.1), Result.DELIVERED),
        (saying(HEAD + b"10\r\n\r\nxx"), Result.DELIVERED),
        (endless(b"HTTP/1.1 500 No\r\n\r\n", b"x" * 1000), Result.AGAIN),
    ],
    ids=[
        *("silent", "hangs up", "half a head", "no HTTP", "endless headers", "endless header", "endless 102"),
        *(
            "slow 102",
            "endless body",
            "endless body without length",
            "stalled body",
            "short body",
            "endless 500",
        ),
    ],
)
def test_answers_of_all_kinds(receiver: Receiver, answer: Answer, result: Result) -> None:
    receiver.answer = lambda _: answer
    # Only who is waited for in vain has to be given up.
    (sent,) = send(notice(receiver.url), webhook_timeout=30.0 if result is Result.DELIVERED else 2.0)
    assert sent.result is result
    assert len(receiver.received) == 1


def test_nobody_listens() -> None:
    (sent,) = send(notice(f"http://127.0.0.1:{free_port()}/"))
    assert sent.result is Result.AGAIN
    assert "refused" in sent.error


def test_one_who_never_accepts() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        others = [socket.create_connection(server.getsockname()) for _ in range(1)]
        (sent,) = send(notice(f"http://127.0.0.1:{server.getsockname()[1]}/"), webhook_timeout=0.3)
        for each in others:
            each.close()
    assert sent.result is Result.AGAIN


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"])
def test_this_machine_is_not_delivered_to(receiver: Receiver, host: str) -> None:
    url = f"http://{host}:{receiver.port}/"
    (sent,) = send(notice(url), webhook_allowed_networks=())
    assert sent.result is Result.REFUSED
    assert "may be delivered to" in sent.error
    assert not receiver.received


def test_a_name_that_nobody_knows() -> None:
    (sent,) = send(notice("http://nobody.invalid/"))
    assert sent.result is Result.AGAIN


@pytest.mark.parametrize("url", ["http://", "http://u:p@127.0.0.1/", "ftp://127.0.0.1/", "http://\u2488com/"])
def test_what_is_no_url(url: str) -> None:
    assert send(notice(url)) == [Sent(Result.REFUSED, "This is no URL that can be sent to.")]


@pytest.mark.parametrize("host", ["a_b.invalid", "a..b", "*.invalid", "xn--a", "%", "a" * 64 + ".invalid"])
def test_a_host_that_no_certificate_can_be_for(host: str) -> None:
    (sent,) = send(notice(f"https://{host}/"))
    assert sent.result is Result.REFUSED
    assert "certificate" in sent.error


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_address_in_a_zone_that_there_is_not(scheme: str) -> None:
    (sent,) = send(notice(f"{scheme}://[2606:4700::1%nowhere]/"))
    assert sent.result is Result.AGAIN
    assert "nowhere on this machine" in sent.error


def test_urls_are_sent_as_http_has_them(receiver: Receiver) -> None:
    base = receiver.url.rstrip("/")
    send(notice(base), notice(base + "?a=b"), notice(base + "/\u00e4?\u00fc=1#part"))
    assert [each.path for each in receiver.received] == ["/", "/?a=b", "/%C3%A4?%C3%BC=1"]


def test_connections_are_kept(receiver: Receiver) -> None:
    assert {each.result for each in send(*[notice(receiver.url)] * 3)} == {Result.DELIVERED}
    assert {each.connection for each in receiver.received} == {1}


def test_a_kept_connection_that_was_closed_is_no_failure(receiver: Receiver) -> None:
    def answer(received: Any) -> Answer:
        # The second request comes on the first connection, which says nothing any more.
        return saying(b"") if received.number == 2 else 204

    receiver.answer = answer
    assert send(*[notice(receiver.url)] * 2) == [Sent(Result.DELIVERED)] * 2
    assert [each.connection for each in receiver.received] == [1, 1, 2]


def test_a_kept_connection_that_says_nothing_is_not_asked_anew(receiver: Receiver) -> None:
    receiver.answer = lambda received: 204 if received.number == 1 else silent
    sent = send(*[notice(receiver.url)] * 2, webhook_timeout=2.0)
    assert [each.result for each in sent] == [Result.DELIVERED, Result.AGAIN]
    assert [each.connection for each in receiver.received] == [1, 1]


def test_tls_servers_have_to_prove_who_they_are(tmp_path: Path) -> None:
    authority = Authority()
    certificates = tmp_path / "ca.pem"
    certificates.write_bytes(pem(authority.certificate))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue(tmp_path))
    with receiving(context=context) as receiver:
        url = f"https://127.0.0.1:{receiver.port}/"
        assert send(notice(url), webhook_ca_file=certificates) == [Sent(Result.DELIVERED)]
        (sent,) = send(notice(url))
    assert sent.result is Result.AGAIN
    assert "certificate" in sent.error
    assert len(receiver.received) == 1


def test_endpoints() -> None:
    webhooks = Webhooks(reactor, Settings(data_dir=Path()), ())
    assert webhooks.endpoint("https://EXAMPLE.org/x") == Endpoint("https", "example.org", 443)
    with pytest.raises(ValueError, match="Only http and https"):
        webhooks.endpoint("mailto:a@b.org")
