"""Fuzz targets: what strangers say of who they are and where they come from, and who believes it.

Each target is a corpus, and what is fed: it raises for whatever is a fault of ours.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import msgspec

from gateway.auth.authorisation import ByIdentity
from gateway.auth.handshake import handshake_token
from gateway.auth.jwt import JWTAuthenticator
from gateway.http.hosts import LOOPBACK, host_allowed, host_name, origin_allowed
from gateway.http.peers import client_address, is_local, parse_networks
from gateway.settings import Settings
from protocol import envelope
from protocol.codec import Form
from protocol.errors import AuthenticationFailed, NotAuthenticated
from protocol.signed_urls import ACTION_METHODS
from tests.support.tokens import Algorithm, Issuer, KnownKeys

Fuzzed = tuple[list[bytes], Callable[[bytes], object]]

LONG = 1e9
"""Seconds until what is good expires."""


def tokens(algorithm: Algorithm) -> Fuzzed:
    """Tokens of one algorithm: only what its key has signed, byte for byte, speaks for anybody."""
    issuer = Issuer.new(algorithm)
    rights = {"queues": {"orders.*": ["message_*"]}, "flavors": ["fast"], "actions": ["pool_*"]}
    good = [
        issuer.token(seconds=LONG),
        issuer.token(seconds=LONG, sub="ann", roles=["admin", "writer"], rights=rights),
        issuer.token(seconds=LONG, headers={"kid": "k1"}, iat=0, nbf=0),
    ]
    bad = [
        issuer.token(seconds=-1e6),
        issuer.token(seconds=LONG, project=None),
        issuer.token(seconds=LONG, rights={"queues": 1}),
        Issuer.new(algorithm).token(seconds=LONG),
        Issuer.new("EdDSA" if algorithm == "ES256" else "ES256").token(seconds=LONG),
        jwt.encode({"project": "p", "exp": time.time() + LONG}, "", "none"),
    ]
    signed = {token.rpartition(".")[0] for token in good}
    keys = KnownKeys(issuer.public, algorithm)
    authenticator = JWTAuthenticator(Settings(data_dir=Path(), jwt_algorithm=algorithm), keys)
    loop = asyncio.new_event_loop()

    def feed(data: bytes) -> None:
        token = data.decode("utf-8", "surrogateescape")  # as handshakes and frames may hold anything
        try:
            identity = loop.run_until_complete(authenticator.identify(token))
        except AuthenticationFailed as error:
            assert str(error) == "Authentication failed."
            assert len(error.reason) < 100  # for the log
            return
        assert token.rpartition(".")[0] in signed, "nobody has signed that"
        assert identity.project == "p"

    return [token.encode() for token in (*good, *bad)], feed


def handshakes() -> Fuzzed:
    """Headers with tokens: what is taken for one stands there, and never in the URL."""
    corpus = [
        b"authorization: Bearer a.b.c\nx-auth-token: t",
        b"x-auth-token: t",
        b"authorization: Basic YTpi\nsec-websocket-protocol: zaqar-gateway.v1, bearer.a.b.c",
        b"sec-websocket-protocol: bearer.a.b.c, bearer.d.e.f, zaqar-gateway.v1",
    ]

    def feed(data: bytes) -> None:
        headers = _headers(data)
        offered = [each.strip() for each in headers.get("sec-websocket-protocol", "").split(",")]
        token = handshake_token(headers, offered)
        assert token is None or any(token in value for value in headers.values())

    return corpus, feed


def signatures() -> Fuzzed:
    """Signed requests of nobody: only what was signed is permitted, on its queue, by its methods."""
    key, project, expires = b"the key that signs in this file", "p", "2099-01-01T00:00:00"
    authorisation = ByIdentity(signing_keys=[b"another key that signs", key])
    corpus, signed = [], set()
    for queues, methods, action, body in (
        (["q"], ["GET"], "message_list", {}),
        (["claims", "q"], ["GET", "POST"], "message_post", {"messages": [{"body": 1}]}),
        (["other"], ["DELETE"], "message_delete_many", {"pop": 1}),
    ):
        paths = [f"/v2/queues/{queue}/messages" for queue in queues]
        text = r"\n".join((",".join(paths), ",".join(methods), project, expires))
        headers: dict[str, Any] = {
            "Client-ID": "c",
            "X-Project-ID": project,
            "URL-Paths": paths,
            "URL-Methods": methods,
            "URL-Expires": expires,
            "URL-Signature": hmac.new(key, text.encode(), hashlib.sha256).hexdigest(),
        }
        frame = {"action": action, "headers": headers, "body": {"queue_name": queues[-1], **body}}
        corpus.append(msgspec.json.encode(frame))
        signed.add(text)

    def feed(data: bytes) -> None:
        incoming = envelope.read(data, Form.JSON)
        action, headers = incoming.action, incoming.headers
        if incoming.failure is not None or action is None or headers is None or action.name == "authenticate":
            return
        try:
            authorisation.check(None, incoming)
        except NotAuthenticated:
            return
        paths, methods = headers.url_paths, headers.url_methods
        lists = ",".join(sorted(paths)), ",".join(sorted(methods))
        given = (*lists, headers.project_id, headers.url_expires)
        assert r"\n".join(given) in signed, "nobody has signed that"
        assert f"/v2/queues/{incoming.body.queue_name}/messages" in paths
        assert ACTION_METHODS[action.name] in methods

    return corpus, feed


def origins() -> Fuzzed:
    """Host, Origin and X-Forwarded-For: no form that reads in two ways lets anybody in."""
    corpus = [
        b"host: localhost:9000\norigin: http://localhost:9000\nx-forwarded-for: 203.0.113.7, 10.0.0.1",
        b"host: [::1]:9000\norigin: https://[::1]\nx-forwarded-for: [2001:db8::1]:80, ::ffff:10.0.0.2",
        b"host: chat.example.com\norigin: null\nx-forwarded-for: 127.0.0.1\nvia: 1.1 proxy",
        b"host: 127.0.0.1\nsec-websocket-origin: http://evil.example\nforwarded: for=127.0.0.1",
    ]
    trusted = parse_networks(["10.0.0.0/8"])

    def feed(data: bytes) -> None:
        headers = _headers(data)
        ipaddress.ip_address(client_address("10.0.0.1", headers, trusted))
        assert client_address("203.0.113.9", headers, trusted) == "203.0.113.9"
        assert not is_local("203.0.113.9", headers, trusted)
        assert not (is_local("127.0.0.1", headers, trusted) and "x-forwarded-for" in headers)
        host, origin = headers.get("host", ""), headers.get("origin", headers.get("sec-websocket-origin"))
        if host_allowed(host, LOOPBACK):
            assert urlsplit(f"//{host}").hostname in LOOPBACK
        if origin is not None and origin_allowed(headers, LOOPBACK):
            assert urlsplit(origin).hostname in {*LOOPBACK, host_name(host)}

    return corpus, feed


def _headers(data: bytes) -> Mapping[str, str]:
    """As Autobahn gives them: names in lower case, those of one name joined."""
    found: dict[str, str] = {}
    for line in data.decode("latin-1").split("\n"):
        name, _, value = line.partition(":")
        name = name.strip().lower()
        found[name] = f"{found[name]}, {value.strip()}" if name in found else value.strip()
    return found
