"""The receiver of webhooks: it answers each, and counts messages."""

from __future__ import annotations

import socket
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

import pytest

from bench.native_program import LoadError
from bench.peers.peer import BODY
from bench.receiver import Receiver


def post(url: str, body: str) -> int:
    """The status of the answer."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        connection.request("POST", "/", body)
        return connection.getresponse().status
    finally:
        connection.close()


def test_messages_at_every_address_count() -> None:
    with Receiver(3) as receiver:
        assert len({urlsplit(url).hostname for url in receiver.urls}) == 3
        for url in receiver.urls * 2:
            assert post(url, BODY) == 204
        receiver.wait(6)


def test_a_request_in_pieces_and_two_in_one() -> None:
    request = f"POST / HTTP/1.1\r\nHost: x\r\ncontent-length: {len(BODY)}\r\n\r\n{BODY}".encode()
    with Receiver(1) as receiver:
        url = urlsplit(receiver.urls[0])
        with socket.create_connection((url.hostname, url.port), timeout=30) as sender:
            sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in (request[:20], request[20:90], request[90:] + request + request[:5], request[5:]):
                sender.sendall(piece)
            receiver.wait(3)


def test_what_is_no_message_fails() -> None:
    with Receiver(1) as receiver:
        with pytest.raises((HTTPException, OSError)):
            post(receiver.urls[0], "something else")
        with pytest.raises(LoadError, match="without the message: something else"):
            receiver.wait(1)


def test_messages_that_do_not_come_fail() -> None:
    with Receiver(1, patience=0.3) as receiver, pytest.raises(LoadError, match="0 of 1 messages"):
        receiver.wait(1)
