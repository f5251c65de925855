"""Signed URLs on sockets: made by queue_share, and taken in place of a token (protocol.md section 7)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from gateway.auth.signing_keys import SigningKeys
from gateway.settings import SettingsError
from protocol.signed_urls import SignedUrl, sign
from tests.support.client import Client, Form, Reply
from tests.support.expect import UNKNOWN_ID, done, post, refused
from tests.support.gateway import Gateway, start_gateway
from tests.support.tokens import Issuer

ISSUER = Issuer("HS256", "the secret of these tests, which has 32 bytes and more")
SIGNING, OLD, STRANGE = (
    "a key that signs and is long",
    "a key of last year's, also long",
    "a key of strangers",
)
PATIENCE = 3
"""Seconds in which a socket has to authenticate."""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with two keys. Its log, which is told all, is searched for secrets at the end."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "keys").write_text(f"{SIGNING}\n\n{OLD}\n")
    arguments = [
        *ISSUER.arguments(folder),
        "--signing-key-file",
        str(folder / "keys"),
        "--log-level",
        "debug",
    ]
    with start_gateway(folder / "data", *arguments, "--authentication-timeout", str(PATIENCE)) as running:
        yield running
        log = "\n".join(running.log_lines)
    for key in (SIGNING, OLD):
        assert key not in log
    assert "signature" not in log.lower()


@pytest.fixture(params=["json", "msgpack"])
def owner(request: pytest.FixtureRequest, guarded: Gateway) -> Iterator[Client]:
    """Somebody with a token, and a queue `q` with one message."""
    form: Form = request.param
    with Client(guarded.url, form=form) as client:
        enter(client)
        post(client, "q", {"n": 1})
        yield client


def enter(client: Client, **claims: Any) -> None:
    token = ISSUER.token(project=client.project, **claims)
    done(client.request("authenticate", {}, {"X-Auth-Token": token}), 200)


def share(client: Client, queue_name: str = "q", **body: Any) -> dict[str, Any]:
    """What queue_share answers."""
    signed: dict[str, Any] = done(client.request("queue_share", {"queue_name": queue_name, **body}), 200)
    return signed


def as_headers(signed: dict[str, Any]) -> dict[str, Any]:
    return {
        "X-Project-ID": signed["project"],
        "URL-Signature": signed["signature"],
        "URL-Expires": signed["expires"],
        "URL-Methods": signed["methods"],
        "URL-Paths": signed["paths"],
    }


def signed_with(key: str, client: Client, *methods: str, seconds: float = 600) -> dict[str, Any]:
    """What was signed elsewhere with a key."""
    expires = (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    url = SignedUrl(("/v2/queues/q/messages",), tuple(sorted(methods)) or ("GET",), client.project, expires)
    return {**url._asdict(), "signature": sign(key.encode(), url)}


def not_authentified(reply: Reply) -> None:
    assert (reply.status, reply.body) == (403, {"error": "Not authentified.", "code": "not_authenticated"})


@pytest.fixture
def guest(guarded: Gateway, owner: Client) -> Iterator[Client]:
    """Somebody without a token."""
    with Client(guarded.url, form=owner.form) as client:
        yield client


LIST = {"queue_name": "q", "echo": True}


# --- what is shared can be done -------------------------------------------------------------------


def test_guest_does_what_was_shared_and_nothing_else(owner: Client, guest: Client) -> None:
    headers = as_headers(share(owner, methods=["GET", "POST"]))
    (message,) = done(guest.request("message_list", LIST, headers), 200)["messages"]
    assert message["body"] == {"n": 1}
    one = {"queue_name": "q", "message_id": message["id"]}
    assert done(guest.request("message_get", one, headers), 200)["messages"]["id"] == message["id"]
    many = {"queue_name": "q", "message_ids": [message["id"]]}
    assert len(done(guest.request("message_get_many", many, headers), 200)["messages"]) == 1
    done(guest.request("message_post", {"queue_name": "q", "messages": [{"body": 2}]}, headers), 201)

    for action, body in [
        ("message_delete", one),
        ("message_delete_many", {"queue_name": "q", "pop": 1}),
        ("message_list", {"queue_name": "r"}),
        ("message_post", {"queue_name": "q2", "messages": [{"body": 2}]}),
        ("claim_create", {"queue_name": "q"}),
        ("subscription_create", {"queue_name": "q"}),
        ("queue_list", {}),
        ("queue_get", {"queue_name": "q"}),
        ("queue_share", {"queue_name": "q"}),
        ("pool_list", {}),
    ]:
        not_authentified(guest.request(action, body, headers))
    not_authentified(guest.request("message_list", LIST, {**headers, "X-Project-ID": "another"}))
    not_authentified(guest.request("message_list", LIST, {"X-Project-ID": owner.project}))
    assert done(owner.request("queue_list", {}), 200)["queues"] == [{"name": "q"}]
    assert len(done(owner.request("message_list", LIST), 200)["messages"]) == 2


def test_deleting_is_shared_by_its_own_method(owner: Client, guest: Client) -> None:
    headers = as_headers(share(owner, methods=["DELETE"]))
    not_authentified(guest.request("message_list", LIST, headers))
    popped = done(guest.request("message_delete_many", {"queue_name": "q", "pop": 1}, headers), 200)
    assert [message["body"] for message in popped["messages"]] == [{"n": 1}]
    done(guest.request("message_delete", {"queue_name": "q", "message_id": UNKNOWN_ID}, headers), 204)


def test_signature_for_claims_opens_no_messages(owner: Client, guest: Client) -> None:
    headers = as_headers(share(owner, paths=["claims", "subscriptions"], methods=["GET", "POST"]))
    not_authentified(guest.request("message_list", LIST, headers))
    not_authentified(guest.request("claim_create", {"queue_name": "q"}, headers))


@pytest.mark.parametrize(
    "changes",
    [
        {"URL-Signature": ""},
        {"URL-Signature": "0" * 64},
        {"URL-Signature": ["x"]},
        {"URL-Expires": "2000-01-01T00:00:00"},
        {"URL-Expires": None},
        {"URL-Methods": "GET"},
        {"URL-Methods": {}},
        {"URL-Paths": "/v2/queues/q/messages"},
        {"URL-Paths": None},
    ],
)
def test_broken_parts_are_refused_and_the_socket_goes_on(
    owner: Client, guest: Client, changes: dict[str, Any]
) -> None:
    headers = as_headers(share(owner))
    not_authentified(guest.request("message_list", LIST, {**headers, **changes}))
    missing = {name: value for name, value in headers.items() if name not in changes}
    not_authentified(guest.request("message_list", LIST, missing))
    done(guest.request("message_list", LIST, headers), 200)


def test_keys_of_the_gateway_are_accepted_and_others_not(owner: Client, guest: Client) -> None:
    assert share(owner, expires="2035-01-01T00:00:00")["signature"] == sign(
        SIGNING.encode(),
        SignedUrl(("/v2/queues/q/messages",), ("GET",), owner.project, "2035-01-01T00:00:00"),
    )
    done(guest.request("message_list", LIST, as_headers(signed_with(OLD, owner))), 200)
    not_authentified(guest.request("message_list", LIST, as_headers(signed_with(STRANGE, owner))))


def test_signature_that_has_expired(owner: Client, guest: Client) -> None:
    not_authentified(guest.request("message_list", LIST, as_headers(signed_with(SIGNING, owner, seconds=-5))))


def test_signature_is_not_repeated(owner: Client, guest: Client) -> None:
    headers = as_headers(share(owner))
    for spelled in ("URL-Signature", "url-signature"):
        signature = headers.pop("URL-Signature", None) or headers["url-signature"]
        reply = guest.request("message_list", LIST, {**headers, spelled: signature})
        assert signature not in json.dumps(reply.document)
        assert reply.request["headers"]["URL-Expires"] == headers["URL-Expires"]
        headers["url-signature"] = signature


def test_posts_behind_each_other_need_a_signature_each(owner: Client, guest: Client) -> None:
    headers = as_headers(share(owner, methods=["POST"]))
    unsigned = {"X-Project-ID": owner.project}
    wrong = {**headers, "URL-Signature": "0" * 64}
    body = {"queue_name": "q", "messages": [{"body": "post"}]}
    order = [headers, unsigned, headers, wrong, unsigned, headers, headers, unsigned]
    for each in order:
        guest.send("message_post", body, each)
    statuses = [guest.receive_reply().status for _ in order]
    assert statuses == [201 if each is headers else 403 for each in order]
    assert len(done(owner.request("message_list", LIST), 200)["messages"]) == 5


def test_whoever_has_a_token_is_judged_by_it_alone(guarded: Gateway, owner: Client) -> None:
    headers = as_headers(share(owner))
    with Client(guarded.url) as other:
        enter(other)
        assert other.request("message_list", LIST, headers).body["code"] == "other_project"
    refused(owner.request("message_list", {"queue_name": "none"}, {"URL-Signature": "broken"}), 404)


# --- the socket -----------------------------------------------------------------------------------


def test_socket_with_a_signature_stays_until_that_expires(owner: Client, guest: Client) -> None:
    done(
        guest.request("message_list", LIST, as_headers(signed_with(SIGNING, owner, seconds=PATIENCE + 2))),
        200,
    )
    assert close(guest) == (4003, "Authentication expired.")


def test_socket_whose_signatures_were_all_refused_is_closed_in_time(owner: Client, guest: Client) -> None:
    not_authentified(guest.request("message_list", LIST, as_headers(signed_with(STRANGE, owner))))
    assert close(guest)[0] == 4002


def test_socket_with_a_signature_may_send_large_frames(owner: Client, guest: Client) -> None:
    headers = as_headers(share(owner, methods=["GET", "POST"]))
    done(guest.request("message_list", LIST, headers), 200)
    large = {"queue_name": "q", "messages": [{"body": "x" * 100_000}]}
    done(guest.request("message_post", large, headers), 201)
    enter(guest)
    done(guest.request("queue_list", {}), 200)


def close(client: Client) -> tuple[int, str]:
    with pytest.raises(ConnectionClosed) as caught:
        while True:
            client.receive()
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code, caught.value.rcvd.reason


# --- making ---------------------------------------------------------------------------------------


def test_what_is_made(owner: Client) -> None:
    signed = share(
        owner, "nowhere", paths=["messages", "claims"], methods=["POST"], expires="2035-01-01T00:00:00Z"
    )
    assert signed.pop("signature")
    assert signed == {
        "paths": ["/v2/queues/nowhere/claims", "/v2/queues/nowhere/messages"],
        "methods": ["POST"],
        "project": owner.project,
        "expires": "2035-01-01T00:00:00",
    }
    tomorrow = datetime.fromisoformat(share(owner)["expires"]).replace(tzinfo=UTC)
    assert timedelta(hours=23) < tomorrow - datetime.now(UTC) <= timedelta(days=1)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"paths": ["bogus"]}, "paths"),
        ({"methods": ["get"]}, "methods"),
        ({"expires": "2001-01-01T00:00:00"}, "expires"),
        ({"expires": "12345"}, "expires"),
        ({"queue_name": "a b"}, "queue name"),
    ],
)
def test_what_cannot_be_made(owner: Client, body: dict[str, Any], word: str) -> None:
    refused(owner.request("queue_share", {"queue_name": "q", **body}), 400, word)


@pytest.mark.parametrize(
    "body", [{"unknown": 1}, {"paths": "messages"}, {"methods": "GET"}, {"expires": 12345}]
)
def test_wrong_types(owner: Client, body: dict[str, Any]) -> None:
    reply = owner.request("queue_share", {"queue_name": "q", **body})
    assert (reply.status, reply.body["code"]) == (400, "schema_violation")


def test_nobody_shares_what_they_do_not_have(owner: Client, guarded: Gateway) -> None:
    with Client(guarded.url, project=owner.project) as client:
        enter(
            client,
            rights={"queues": {"q": ["queue_share", "message_list", "message_get", "message_get_many"]}},
        )
        share(client)
        for methods in (["POST"], ["GET", "DELETE"]):
            reply = client.request("queue_share", {"queue_name": "q", "methods": methods})
            assert (reply.status, reply.body["code"]) == (403, "not_permitted")
        # What opens nothing here opens it over REST.
        for path in ("claims", "subscriptions"):
            for method in ("GET", "POST", "PATCH", "DELETE"):
                body = {"queue_name": "q", "paths": ["messages", path], "methods": ["GET", method]}
                reply = client.request("queue_share", body)
                assert (reply.status, reply.body["code"]) == (403, "not_permitted")
        enter(client, rights={"queues": {"q": ["queue_share", "claim_create"]}})
        share(client, paths=["claims"], methods=["POST"])
        assert client.request("queue_share", {"queue_name": "r"}).status == 403


def test_nothing_is_signed_without_a_key(plain_gateway: Gateway) -> None:
    with Client(plain_gateway.url) as client:
        reply = client.request("queue_share", {"queue_name": "q"})
    assert (reply.status, reply.body["code"]) == (400, "signing_disabled")


# --- keys -----------------------------------------------------------------------------------------


def test_keys_are_lines(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"\n  {SIGNING} \r\n\n{OLD}")
    assert [*SigningKeys(tmp_path / "keys")] == [SIGNING.encode(), OLD.encode()]


@pytest.mark.parametrize(
    "content", [None, b"", b"\n\n", b"fifteen letters", b"\xff" * 20, b"a good key, long\n" * 9]
)
def test_file_without_good_keys_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "keys").write_bytes(content)
    with pytest.raises(SettingsError, match=r"^signing_key_file: ") as caught:
        SigningKeys(tmp_path / "keys")
    assert "fifteen" not in str(caught.value)
