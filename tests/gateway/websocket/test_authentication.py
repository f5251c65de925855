"""Who speaks on a socket: tokens, from where they come to when they end (protocol.md section 3)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any
from urllib.request import urlopen

import pytest
from websockets.exceptions import ConnectionClosed

from protocol.extension import SUBPROTOCOL
from tests.support.client import Client, Reply
from tests.support.deflate import DeflateSocket
from tests.support.expect import claim, done, post
from tests.support.gateway import Gateway, start_gateway
from tests.support.metrics import value
from tests.support.raw import TEXT, RawSocket, make_frame
from tests.support.tokens import Issuer

Connect = Callable[..., Client]
SECRET = "the secret of these tests, which has 32 bytes and more"
SHORT = 5
"""Seconds that a token lives which is to expire: enough to be used before, on a busy machine."""
ISSUER = Issuer("HS256", SECRET)


@pytest.fixture(scope="module", params=["--fast-path", "--no-fast-path"])
def guarded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that takes ISSUER's tokens, to the second."""
    folder = tmp_path_factory.mktemp("guarded")
    arguments = [*ISSUER.arguments(folder), "--jwt-leeway", "0", request.param, "--compression"]
    with start_gateway(folder / "data", *arguments) as running:
        yield running


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One that waits for little."""
    folder = tmp_path_factory.mktemp("impatient")
    arguments = [*ISSUER.arguments(folder), "--authentication-timeout", "3"]
    with start_gateway(folder / "data", *arguments) as running:
        yield running


@pytest.fixture
def connect(guarded: Gateway) -> Iterator[Connect]:
    """Connects clients; closed at the end. Parameters are those of `Client`."""
    with ExitStack() as closing:
        yield lambda **options: closing.enter_context(Client(guarded.url, **options))


def authenticate(client: Client, token: str | None = None) -> Reply:
    """Authenticate for the client's own project, or with this token."""
    token = ISSUER.token(project=client.project) if token is None else token
    return client.request("authenticate", headers={"X-Auth-Token": token})


def not_authentified(reply: Reply) -> None:
    assert (reply.status, reply.body) == (403, {"error": "Not authentified.", "code": "not_authenticated"})


def other_project(reply: Reply) -> None:
    assert (reply.status, reply.body) == (403, {"error": "Not authenticated.", "code": "other_project"})


def closed_with(client: Client) -> tuple[int | None, str]:
    """Code and reason with which the gateway closes; what comes before goes to `notifications`."""
    try:
        while True:
            client.notifications.append(client.receive())
    except ConnectionClosed as error:
        assert error.rcvd is not None
        return error.rcvd.code, error.rcvd.reason


# A frame


@pytest.mark.parametrize("form", ["json", "msgpack"])
def test_authenticate_and_work(connect: Connect, form: str) -> None:
    client = connect(form=form)
    not_authentified(client.request("queue_create", {"queue_name": "q"}))
    not_authentified(client.request("ping_node", {}))
    reply = authenticate(client)
    assert (reply.status, reply.body) == (200, {"message": "Authentified."})
    assert "X-Auth-Token" not in json.dumps(reply.document)
    assert done(client.request("queue_create", {"queue_name": "q"}), 201) == "Queue q created."


def test_what_is_wrong_with_a_request_is_said_first(connect: Connect) -> None:
    client = connect()
    assert client.request("nope", {}).status == 400
    assert client.request("queue_create", {}).status == 400
    client.send_raw("{")
    assert client.receive_reply().status == 400
    # And what only the action would look at comes after.
    not_authentified(client.request("queue_create", {"queue_name": "a b"}))
    not_authentified(client.request("queue_get", {"queue_name": "q"}, {"X-Project-ID": ""}))


def test_the_project_is_that_of_the_token(connect: Connect) -> None:
    client, stranger = connect(), connect()
    authenticate(client)
    authenticate(stranger)
    post(stranger, "q", "secret")
    theirs = {"X-Project-ID": stranger.project}
    for action in ("message_list", "queue_get", "queue_delete", "claim_create", "subscription_create"):
        other_project(client.request(action, {"queue_name": "q"}, theirs))
    other_project(client.request("queue_list", {}, theirs))
    # As in Zaqar, authenticate takes any: the token says it.
    token = ISSUER.token(project=client.project)
    done(client.request("authenticate", headers={**theirs, "X-Auth-Token": token}), 200)
    other_project(client.request("queue_list", {}, theirs))
    assert done(client.request("queue_list", {}), 200)["queues"] == []


def test_a_failed_one_is_401_and_keeps_who_spoke_before(connect: Connect) -> None:
    client = connect()
    for token in ("", "x", Issuer.new("HS256").token(), ISSUER.token(seconds=-5)):
        reply = authenticate(client, token)
        assert (reply.status, reply.body) == (
            401,
            {"error": "Authentication failed.", "code": "authentication_failed"},
        )
        not_authentified(client.request("queue_list", {}))
    authenticate(client)
    assert authenticate(client, "x").status == 401
    done(client.request("queue_list", {}), 200)


def test_frames_behind_wait_for_the_outcome(connect: Connect) -> None:
    client = connect()
    token = ISSUER.token(project=client.project)
    client.send("queue_list", {})
    client.send("authenticate", headers={"X-Auth-Token": token})
    client.send("queue_list", {})
    client.send("authenticate", headers={"X-Auth-Token": "x"})
    client.send("queue_list", {})
    assert [client.receive_reply().status for _ in range(5)] == [403, 200, 200, 401, 200]


def test_no_role_is_no_admin(connect: Connect) -> None:
    client = connect()
    authenticate(client)
    reply = client.request("pool_list", {})
    assert (reply.status, reply.body["code"]) == (403, "admin_only")
    authenticate(client, ISSUER.token(project=client.project, roles=["Admin"]))
    done(client.request("pool_list", {}), 200)
    authenticate(client)
    assert client.request("pool_list", {}).status == 403


# The handshake


@pytest.mark.parametrize("name", ["Authorization", "X-Auth-Token"])
def test_a_header_of_the_handshake(connect: Connect, name: str) -> None:
    token = ISSUER.token(project="p")
    client = connect(project="p", headers={name: f"Bearer {token}" if name == "Authorization" else token})
    done(client.request("queue_list", {}), 200)
    assert client.socket.subprotocol is None


@pytest.mark.parametrize("first", [True, False])
def test_a_subprotocol_beside_the_real_one(connect: Connect, first: bool) -> None:
    offered = [f"bearer.{ISSUER.token(project='p')}", SUBPROTOCOL]
    client = connect(project="p", subprotocol=offered if first else offered[::-1])
    assert client.socket.subprotocol == SUBPROTOCOL
    done(client.request("describe", {}), 200)


def test_a_token_is_never_agreed_on(connect: Connect) -> None:
    client = connect(project="p", subprotocol=f"bearer.{ISSUER.token(project='p')}")
    assert client.socket.subprotocol is None
    done(client.request("queue_list", {}), 200)


def test_requests_in_the_same_segment_as_the_handshake(guarded: Gateway) -> None:
    with RawSocket(guarded.url, handshake=False) as raw:
        request = {"action": "queue_list", "headers": {"Client-ID": "c", "X-Project-ID": "p"}}
        frame = make_frame(TEXT, json.dumps(request).encode())
        head = raw.upgrade_request(Authorization=f"Bearer {ISSUER.token(project='p')}")
        raw.send(head + frame + frame)
        assert raw.receive_head().startswith(b"HTTP/1.1 101 ")
        for _ in range(2):
            assert json.loads(raw.receive_message().payload)["headers"]["status"] == 200


@pytest.mark.parametrize(
    "options",
    [
        {"headers": {"Authorization": "Bearer x"}},
        {"headers": {"X-Auth-Token": "x"}},
        {"subprotocol": ["bearer.x", SUBPROTOCOL]},
        {"subprotocol": ["bearer.", SUBPROTOCOL]},
    ],
)
def test_a_bad_token_of_the_handshake_closes(connect: Connect, options: Any) -> None:
    client = connect(**options)
    with suppress(ConnectionClosed):  # by then
        client.send("queue_list", {})
    assert closed_with(client) == (4001, "Authentication failed.")
    assert client.notifications == []


@pytest.mark.parametrize("value", ["Basic dTpw", "Bearer", "", "Bearertoken"])
def test_other_authorization_is_not_ours(connect: Connect, value: str) -> None:
    client = connect(headers={"Authorization": value})
    not_authentified(client.request("queue_list", {}))
    done(authenticate(client), 200)


def test_a_token_in_the_url_is_not_looked_at(guarded: Gateway) -> None:
    token = ISSUER.token(project="p")
    with Client(f"{guarded.url}?token={token}&access_token={token}&bearer={token}", project="p") as client:
        not_authentified(client.request("queue_list", {}))


# Until then


def test_a_socket_has_to_authenticate_in_time(impatient: Gateway) -> None:
    with Client(impatient.url) as known:
        done(authenticate(known), 200)
        with Client(impatient.url) as failing, Client(impatient.url) as silent:
            assert authenticate(failing, "x").status == 401
            for client in (failing, silent):
                assert closed_with(client) == (4002, "Nobody has authenticated in time.")
        # Its own time would have been over before theirs.
        done(known.request("queue_list", {}), 200)


@pytest.mark.parametrize("known", [False, True])
def test_a_socket_may_try_a_few_tokens(guarded: Gateway, connect: Connect, known: bool) -> None:
    before = value(guarded, "refused_total", limit="refused_tokens")
    client = connect(project="p")
    if known:
        done(authenticate(client), 200)
    with suppress(ConnectionClosed):  # by then
        for _ in range(7):
            client.send("authenticate", headers={"X-Auth-Token": "x"})
    assert [client.receive_reply().status for _ in range(5)] == [401] * 5
    assert closed_with(client) == (4004, "Too many tokens were refused.")
    assert value(guarded, "refused_total", limit="refused_tokens") == before + 1


def test_frames_are_small_until_somebody_has_authenticated(connect: Connect) -> None:
    filler = "x" * 20_000
    client = connect()
    authenticate(client)
    post(client, "q", filler)
    client = connect()
    client.send("queue_list", {"filler": filler})
    assert closed_with(client)[0] == 1009
    client = connect()
    # Right behind an authenticate that is answered at once, and before it.
    client.send("authenticate", headers={"X-Auth-Token": ISSUER.token(project=client.project)})
    client.send("queue_list", {"filler": filler})
    assert [client.receive_reply().status for _ in range(2)] == [200, 200]


def test_fragments_are_limited_too(guarded: Gateway) -> None:
    with RawSocket(guarded.url) as raw:
        raw.send_frame(TEXT, b'"' + b"x" * 10_000, fin=False)
        raw.send_frame(0, b"x" * 10_000)
        assert raw.receive_close() == 1009


def test_what_is_compressed_counts_as_it_is(guarded: Gateway) -> None:
    with DeflateSocket(guarded.url, "permessage-deflate; client_no_context_takeover") as raw:
        assert raw.agreed
        raw.send_compressed(TEXT, b'"' + b"x" * 100_000 + b'"')
        assert raw.receive_close() == 1009


# The end


def test_an_expired_token_closes(connect: Connect) -> None:
    client = connect(subprotocol=SUBPROTOCOL)
    plain = connect()
    for each in (client, plain):
        done(authenticate(each, ISSUER.token(project=each.project, seconds=SHORT)), 200)
        done(each.request("subscription_create", {"queue_name": "q"}), 201)
    assert closed_with(client) == (4003, "Authentication expired.")
    assert closed_with(plain) == (4003, "Authentication expired.")
    (notice,) = client.notifications
    assert notice.keys() == {"event", "seconds"}
    assert notice["event"] == "token_expiring"
    assert notice["seconds"] in range(SHORT)
    assert plain.notifications == []  # upstream's clients are told nothing that upstream does not tell


def test_who_renews_stays(connect: Connect) -> None:
    client, other = connect(subprotocol=SUBPROTOCOL), connect()
    short = ISSUER.token(project=client.project, seconds=SHORT)
    done(authenticate(client, short), 200)
    done(authenticate(other, short), 200)
    done(client.request("subscription_create", {"queue_name": "q"}), 201)
    (notice,) = client.wait_notifications(1)
    assert notice["event"] == "token_expiring"
    done(authenticate(client), 200)
    assert closed_with(other)[0] == 4003  # the first has expired
    post(client, "q", "x")
    assert client.wait_notifications(2)[1]["body"] == "x"


def test_a_failed_renewal_does_not_put_off_the_end(connect: Connect) -> None:
    client = connect()
    done(authenticate(client, ISSUER.token(project=client.project, seconds=SHORT)), 200)
    assert authenticate(client, "x").status == 401
    assert closed_with(client)[0] == 4003


def test_the_token_of_a_handshake_expires_too(connect: Connect) -> None:
    token = ISSUER.token(seconds=SHORT)
    client = connect(project="p", subprotocol=[SUBPROTOCOL, f"bearer.{token}"])
    assert closed_with(client)[0] == 4003
    assert [notice["event"] for notice in client.notifications] == ["token_expiring"]


# Somebody else


def test_another_project_ends_what_was_the_first_ones(connect: Connect) -> None:
    client, before = connect(subprotocol=SUBPROTOCOL), connect()
    authenticate(client)
    authenticate(before, ISSUER.token(project=client.project))
    before.project = client.project
    for name in ("q", "r"):
        done(client.request("subscription_create", {"queue_name": name}), 201)
    done(client.request("claim_subscribe", {"queue_name": "jobs", "credit": 5}), 201)
    post(before, "jobs", "job")
    client.wait_notifications(1)
    client.project = "another"
    done(authenticate(client), 200)
    ended = client.wait_notifications(4)[1:]
    assert sorted((event["event"], event["queue_name"], event["reason"]) for event in ended) == [
        ("claim_ended", "jobs", "not_permitted"),
        ("subscription_ended", "q", "not_permitted"),
        ("subscription_ended", "r", "not_permitted"),
    ]
    # In the store as well, and the leased message is free.
    assert done(before.request("subscription_list", {"queue_name": "q"}), 200)["subscriptions"] == []
    assert [message["body"] for message in claim(before, "jobs")["messages"]] == ["job"]
    post(before, "q", "not for them")
    post(client, "q", "theirs")  # creates a queue of the same name in the other project
    with pytest.raises(TimeoutError):
        client.receive(0.3)


def test_the_same_project_changes_nothing(connect: Connect) -> None:
    client = connect(subprotocol=SUBPROTOCOL)
    authenticate(client)
    done(client.request("subscription_create", {"queue_name": "q"}), 201)
    authenticate(client, ISSUER.token(project=client.project, roles=["admin"], sub="ann"))
    post(client, "q", "x")
    assert [frame["body"] for frame in client.wait_notifications(1)] == ["x"]


# What the operator sees


def test_tokens_are_counted_and_never_logged(guarded: Gateway) -> None:
    token, bad = ISSUER.token(project="seen", sub="ann"), "secret-and-wrong"
    with Client(guarded.url, project="seen", headers={"Authorization": f"Bearer {token}"}) as client:
        done(client.request("queue_list", {}), 200)
        assert authenticate(client, bad).status == 401
    with Client(f"{guarded.url}?t={bad}", subprotocol=[f"bearer.{bad}"]) as client:
        assert closed_with(client)[0] == 4001
    with urlopen(f"{guarded.http_url}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    for outcome in ("accepted", "refused"):
        assert f'zaqar_gateway_authentications_total{{outcome="{outcome}"}}' in text
    log = "\n".join(guarded.log_lines)
    assert '"event": "authenticated"' in log
    assert '"user": "ann"' in log
    assert '"event": "authentication_failed"' in log
    signature = token.rsplit(".", 1)[1]
    for secret in (token, signature, bad, SECRET):
        assert secret not in log
