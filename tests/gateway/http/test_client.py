"""Requests that the gateway makes, to servers that answer well, badly, late and not at all."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet.defer import Deferred

from gateway.http import client as http_client
from gateway.http.client import HttpAnswer, HttpClient, HttpError
from tests.support.reactor import eventually, reactor, run
from tests.support.servers import free_port

Answerer = Callable[[socket.socket, bytes], None]
"""What a server does with the head of a request (and what came with it) on a connection."""


class Server:
    """A server whose every byte the test decides. It counts connections, and those that the client ended."""

    def __init__(self, answer: Answerer, context: ssl.SSLContext | None = None) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._answer = answer
        self._context = context
        self.connections = 0
        self.ended = 0
        self.heads: list[bytes] = []
        scheme = "http" if context is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}/path?a=b"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            connection.settimeout(20)
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            while True:
                head = b""
                while b"\r\n\r\n" not in head:
                    data = connection.recv(65_536)
                    if not data:
                        return
                    head += data
                self.heads.append(head)
                self._answer(connection, head)
        except OSError:
            return
        finally:
            connection.close()
            self.ended += 1


@contextmanager
def serving(answer: Answerer, context: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(answer, context)
    try:
        yield server
    finally:
        server.close()


def saying(data: bytes) -> Answerer:
    return lambda connection, _: connection.sendall(data)


def cutting(data: bytes) -> Answerer:
    """Say this, and hang up."""

    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_RDWR)

    return answer


def silent(connection: socket.socket, _: bytes) -> None:
    connection.recv(1)  # until the client gives up


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Kind: one\r\nX-KIND: two\r\n\r\nhello"


def ask(
    url: str,
    *,
    method: str = "GET",
    body: bytes | None = None,
    timeout: float = 10.0,
    max_bytes: int = 1000,
    ca_file: Path | None = None,
    times: int = 1,
) -> list[HttpAnswer]:
    async def scenario() -> list[HttpAnswer]:
        client = HttpClient(reactor, ca_file=ca_file)
        try:
            return [
                await client.request(
                    method, url, headers={"X-Own": "1"}, body=body, timeout=timeout, max_bytes=max_bytes
                )
                for _ in range(times)
            ]
        finally:
            await client.stop()

    return run(scenario)


def test_answer_is_told_and_the_connection_is_used_again() -> None:
    with serving(saying(OK)) as server:
        first, second = ask(server.url, times=2)
        assert (first.status, first.body) == (200, b"hello")
        assert first.headers["x-kind"] == "two"
        assert second == first
        assert server.connections == 1
        head = server.heads[0]
    assert head.startswith(b"GET /path?a=b HTTP/1.1\r\n")
    assert b"\r\nX-Own: 1\r\n" in head
    assert b"\r\nUser-Agent: zaqar-gateway/" in head


def test_body_is_sent() -> None:
    with serving(saying(OK)) as server:
        ask(server.url, method="POST", body=b'{"a": 1}')
        assert b"\r\nContent-Length: 8\r\n" in server.heads[0]
        assert server.heads[0].endswith(b'\r\n\r\n{"a": 1}')


def test_errors_of_the_server_are_answers() -> None:
    with serving(saying(b"HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n")) as server:
        assert ask(server.url)[0][::2] == (503, b"")


def test_redirects_are_not_followed() -> None:
    with serving(saying(OK)) as other:
        redirect = b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % other.url.encode()
        with serving(saying(redirect)) as server:
            (answer,) = ask(server.url)
        assert (answer.status, answer.headers["location"]) == (302, other.url)
        assert other.connections == 0


def test_answer_without_a_length_ends_with_the_connection() -> None:
    with serving(cutting(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello")) as server:
        assert ask(server.url)[0].body == b"hello"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(cutting(b""), id="nothing"),
        pytest.param(cutting(b"HTTP/1.1 200 OK\r\nContent-Le"), id="within the head"),
        pytest.param(cutting(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"), id="within the body"),
        pytest.param(
            cutting(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"), id="within a chunk"
        ),
        pytest.param(cutting(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), id="not HTTP"),
    ],
)
def test_answer_that_is_cut_is_an_error(answer: Answerer) -> None:
    with serving(answer) as server, pytest.raises(HttpError):
        ask(server.url)


@pytest.mark.parametrize(
    "head", [b"Content-Length: 2000\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n"]
)
def test_answer_that_is_too_large_ends_the_connection(head: bytes) -> None:
    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
        piece = b"x" * 500
        while True:
            connection.sendall(b"1f4\r\n" + piece + b"\r\n" if b"chunked" in head else piece)

    with serving(answer) as server:
        with pytest.raises(HttpError, match="too large"):
            ask(server.url)
        run(lambda: eventually(lambda: server.ended == 1))


def test_answer_as_large_as_allowed_is_taken() -> None:
    body = b"x" * 1000
    with serving(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + body)) as server:
        assert ask(server.url)[0].body == body


@pytest.mark.parametrize("told", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"])
def test_server_that_is_too_slow_is_an_error_and_its_connection_is_ended(told: bytes) -> None:
    def answer(connection: socket.socket, head: bytes) -> None:
        connection.sendall(told)
        silent(connection, head)

    with serving(answer) as server:
        with pytest.raises(HttpError, match=r"within 0\.9 seconds"):
            ask(server.url, timeout=0.9)
        run(lambda: eventually(lambda: server.ended == 1))


def test_nobody_there_is_an_error() -> None:
    with pytest.raises(HttpError, match="refused"):
        ask(f"http://127.0.0.1:{free_port()}/")


def test_requests_at_once_and_waiting_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "MAX_AT_ONCE", 2)
    monkeypatch.setattr(http_client, "MAX_WAITING", 1)
    release = threading.Event()

    def answer(connection: socket.socket, _: bytes) -> None:
        release.wait(60)
        connection.sendall(OK)

    async def scenario(server: Server) -> None:

        client = HttpClient(reactor)
        asked = [Deferred.fromCoroutine(client.request("GET", server.url, timeout=30)) for _ in range(3)]
        await eventually(lambda: server.connections == 2)
        with pytest.raises(HttpError, match="Too many"):
            await client.request("GET", server.url, timeout=30)
        assert server.connections == 2
        release.set()
        assert [(await each).status for each in asked] == [200] * 3
        await client.stop()

    with serving(answer) as server:
        run(scenario, server)


def test_server_has_to_prove_who_it_is(tmp_path: Path) -> None:
    ca_file, context = certify(tmp_path, "127.0.0.1")
    with serving(saying(OK), context) as server:
        assert ask(server.url, ca_file=ca_file)[0].body == b"hello"
        with pytest.raises(HttpError):  # nobody whom the system knows vouches for it
            ask(server.url)
    _, elsewhere = certify(tmp_path, "192.0.2.1")
    with serving(saying(OK), elsewhere) as server, pytest.raises(HttpError):
        ask(server.url, ca_file=tmp_path / "192.0.2.1.pem")


def test_file_without_certificates_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(ValueError, match=r"ca\.pem: holds no certificate"):
        HttpClient(reactor, ca_file=tmp_path / "ca.pem")
    with pytest.raises(FileNotFoundError):
        HttpClient(reactor, ca_file=tmp_path / "none.pem")


def certify(folder: Path, address: str) -> tuple[Path, ssl.SSLContext]:
    """A certificate for an address that vouches for itself, and a server's side with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / f"{address}.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file = folder / f"{address}.key"
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key_file)
    return pem, context
