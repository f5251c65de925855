"""The proxies of docs/tls.md, configured as it says, in front of a running gateway."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.certificates import Authority
from tests.support.event_source import EventSource
from tests.support.gateway import Gateway, start_gateway
from tests.support.raw import PING, RawSocket, split_response
from tests.support.raw_client import RawClient
from tests.support.reactor import wait_until
from tests.support.rest import Rest
from tests.support.servers import free_port, listens

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tls.md"
NAME = "chat.example.com"
EVENTS = "/v2/queues/streamed/events"


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return str(found)


def replaced(text: str, **words: str) -> str:
    """The text with each word replaced, which has to be there."""
    for old, new in words.items():
        assert old in text
        text = text.replace(old, new)
    return text


@contextmanager
def running(command: list[str], port: int, log: Path) -> Iterator[None]:
    """A proxy, from when it listens."""
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        deadline = time.monotonic() + 30
        while not listens(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
        yield
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The gateway as the page starts it, but for its port and that it pings at once."""
    (command,) = re.findall(r"^zaqar-gateway serve (--allowed-hosts .*)$", PAGE.read_text(), re.MULTILINE)
    folder = tmp_path_factory.mktemp("behind") / "data"
    with start_gateway(folder, *command.split(), "--ping-interval", "1") as running:
        yield running


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(params=["nginx", "haproxy"])
def proxy(
    request: pytest.FixtureRequest, gateway: Gateway, authority: Authority, tmp_path: Path
) -> Iterator[str]:
    """The URL of the proxy."""
    port, behind = free_port(), gateway.http_url.removeprefix("http://")
    certificate, key = authority.issue(tmp_path)
    config = tmp_path / "proxy.conf"
    if request.param == "nginx":
        text = replaced(
            block("nginx"),
            **{
                "listen 443": f"listen 127.0.0.1:{port}",
                "/etc/ssl/chat.example.com/fullchain.pem": str(certificate),
                "/etc/ssl/chat.example.com/privkey.pem": str(key),
                "127.0.0.1:9000": behind,
            },
        )
        paths = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        places = "".join(f"{path}_temp_path {tmp_path}/{path};\n" for path in paths)
        user = "user root;\n" if os.getuid() == 0 else ""
        config.write_text(
            f"{user}daemon off;\npid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\n"
            f"http {{\naccess_log off;\n{places}{text}}}\n"
        )
        command = ["nginx", "-p", str(tmp_path), "-c", str(config)]
    else:
        both = tmp_path / "both.pem"
        both.write_bytes(certificate.read_bytes() + key.read_bytes())
        text = replaced(
            block("haproxy"),
            **{
                "bind :443": f"bind 127.0.0.1:{port}",
                "/etc/haproxy/chat.example.com.pem": str(both),
                "127.0.0.1:9000": behind,
            },
        )
        config.write_text(text)
        command = ["haproxy", "-db", "-f", str(config)]
    with running(command, port, tmp_path / "log"):
        yield f"wss://127.0.0.1:{port}/"


class Visitor(RawClient):
    """A client of a proxy, from an address that no proxy has."""

    def __init__(self, url: str, tls: ssl.SSLContext) -> None:
        self._tls = tls
        super().__init__(url, project="p")

    def handshake(self) -> None:
        """Connect from elsewhere instead, and become a WebSocket."""
        place = self.socket.getpeername()
        self.socket.close()
        plain = socket.create_connection(place, timeout=self.timeout, source_address=("127.0.0.7", 0))
        self.socket = self._tls.wrap_socket(plain, server_hostname="localhost")
        self.send(self.upgrade_request(Host=NAME, Origin=f"https://{NAME}", X_Forwarded_For="9.9.9.9"))
        assert self.receive_head().startswith(b"HTTP/1.1 101 ")


def status(proxy: str, authority: Authority, path: str, host: str = NAME) -> int:
    """What a plain request through a proxy is answered with."""
    with RawSocket(proxy, handshake=False, tls=authority.client_context()) as raw:
        raw.send(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        return split_response(raw.receive_rest())[0]


def test_a_websocket_through_it(proxy: str, gateway: Gateway, authority: Authority) -> None:
    before = len(gateway.log_lines)
    with Visitor(proxy, authority.client_context()) as visitor:
        assert visitor.receive_frame().opcode == PING  # reaches who is quiet
        assert visitor.request("queue_create", {"queue_name": "q"})["headers"]["status"] in (201, 204)
        big = [{"body": "x" * 200_000}]
        assert (
            visitor.request("message_post", {"queue_name": "q", "messages": big})["headers"]["status"] == 201
        )

        def clients() -> list[str]:
            events = [json.loads(line) for line in gateway.log_lines[before:]]
            return [event["client"] for event in events if event["event"] == "connection_opened"]

        wait_until(clients)
        assert clients() == ["127.0.0.7"]


def test_an_event_stream_through_it(proxy: str, gateway: Gateway, authority: Authority) -> None:
    host = {"Host": NAME}
    url, tls = proxy.replace("wss", "https"), authority.client_context()
    with Rest(gateway.http_url, project="p") as rest:
        rest.done("PUT", "/v2/queues/streamed", **host)

        # HAProxy answers 503 until it has looked at /readyz for the first time.
        wait_until(lambda: status(proxy, authority, "/healthz") == 200)
        with EventSource(url, EVENTS, {"project": "p"}, headers=host, tls=tls) as events:
            for body in ("first", "second"):  # each as soon as it is there, and not when the answer ends
                rest.done("POST", "/v2/queues/streamed/messages", {"messages": [{"body": body}]}, **host)
                assert events.bodies(1) == [body]
            events.wait_comments(1)

        def gone() -> bool:
            return not rest.done("GET", "/v2/queues/streamed/subscriptions", **host)["subscriptions"]

        wait_until(gone)


@pytest.mark.parametrize(
    ("path", "host", "expected"),
    [
        ("/healthz", NAME, 200),
        ("/metrics", NAME, 403),
        ("/healthz", "evil.example", 421),
    ],
)
def test_plain_http_through_it(proxy: str, authority: Authority, path: str, host: str, expected: int) -> None:
    # HAProxy answers 503 until it has looked at /readyz for the first time.
    wait_until(lambda: status(proxy, authority, path, host) == expected)
