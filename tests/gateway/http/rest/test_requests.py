"""What is the same for all requests over REST: who may ask, in what form, how much."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.gateway import Gateway, start_gateway
from tests.support.metrics import value
from tests.support.raw import RawSocket, split_response
from tests.support.rest import Rest
from tests.support.tokens import Issuer

MESSAGES = "/v2/queues/q/messages"
UNKNOWN = "11111111-1111-4111-8111-111111111111"


def test_each_request_authenticates_for_itself(tmp_path: Path) -> None:
    issuer = Issuer.new()
    with (
        start_gateway(tmp_path / "data", *issuer.arguments(tmp_path)) as gateway,
        Rest(gateway.http_url, project=None) as rest,
    ):
        answer = rest.ask("GET", "/v2/queues")
        assert (answer.status, answer.body["code"]) == (401, "authentication_failed")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        token = issuer.token(project="p")
        rest.done("PUT", "/v2/queues/q", X_Auth_Token=token)
        rest.done("GET", "/v2/queues/q", Authorization=f"Bearer {token}")
        rest.refused(401, "GET", "/v2/queues", X_Auth_Token=token + "x")
        rest.refused(401, "GET", "/v2/queues")  # the one before has authenticated nobody
        assert rest.refused(403, "GET", "/v2/queues", X_Auth_Token=token, X_Project_ID="o") == "other_project"
        other = issuer.token(project="o")
        assert rest.done("GET", "/v2/queues", X_Auth_Token=other)["queues"] == []
        # Nobody becomes an administrator by saying so.
        assert rest.refused(403, "GET", "/v2/pools", X_Auth_Token=token, X_Roles="admin") == "admin_only"
        assert rest.done("GET", "/v2/pools", X_Auth_Token=issuer.token(roles=["admin"]))["pools"]


def test_a_signature_opens_what_it_was_made_for(tmp_path: Path) -> None:
    issuer, keys = Issuer.new(), tmp_path / "keys"
    keys.write_text("a key that only this test has")
    arguments = [*issuer.arguments(tmp_path), "--signing-key-file", str(keys)]
    with (
        start_gateway(tmp_path / "data", *arguments) as gateway,
        Rest(gateway.http_url, project="p", token=issuer.token(project="p")) as owner,
        Rest(gateway.http_url, project="p") as guest,
    ):
        owner.done("POST", MESSAGES, {"messages": [{"body": "hello"}]})
        url = owner.done("POST", "/v2/queues/q/share", {"methods": ["GET", "POST"]})
        signed = {
            "URL_Signature": url["signature"],
            "URL_Expires": url["expires"],
            "URL_Methods": ",".join(url["methods"]),
            "URL_Paths": ",".join(url["paths"]),
        }
        (message,) = guest.done("GET", MESSAGES, **signed)["messages"]
        assert guest.done("GET", message["href"], **signed)["body"] == "hello"
        guest.done("POST", MESSAGES, {"messages": [{"body": 2}]}, **signed)
        guest.refused(404, "DELETE", message["href"], **signed)
        guest.refused(404, "GET", "/v2/queues/q", **signed)
        guest.refused(404, "GET", "/v2/queues/other/messages", **signed)
        guest.refused(404, "GET", MESSAGES, **{**signed, "X_Project_ID": "o"})
        guest.refused(401, "GET", MESSAGES)


def test_only_who_may_ask_uses_up_the_rate_of_a_project(tmp_path: Path) -> None:
    issuer, keys = Issuer.new(), tmp_path / "keys"
    keys.write_text("a key that only this test has")
    arguments = [*issuer.arguments(tmp_path), "--signing-key-file", str(keys), "--request-burst", "10"]
    arguments += ["--max-project-requests-per-second", "1"]  # ten at once
    forged = {
        "URL_Signature": "0" * 64,
        "URL_Expires": "2099-01-01T00:00:00",
        "URL_Methods": "GET",
        "URL_Paths": MESSAGES,
    }
    with (
        start_gateway(tmp_path / "data", *arguments) as gateway,
        Rest(gateway.http_url, project="p", token=issuer.token(project="p")) as owner,
        Rest(gateway.http_url, project="p") as guest,
    ):
        for _ in range(20):
            guest.refused(404, "GET", MESSAGES, **forged)
            guest.refused(401, "GET", MESSAGES)
        owner.done("GET", MESSAGES)
        url = owner.done("POST", "/v2/queues/q/share", {"methods": ["GET"]})
        signed = {
            "URL_Signature": url["signature"],
            "URL_Expires": url["expires"],
            "URL_Methods": ",".join(url["methods"]),
            "URL_Paths": ",".join(url["paths"]),
        }
        found = {guest.ask("GET", MESSAGES, **signed).status for _ in range(50)}
        assert found == {200, 429}


def test_the_rate_of_a_connection_counts_before_its_tokens(tmp_path: Path) -> None:
    issuer = Issuer.new()
    arguments = [*issuer.arguments(tmp_path), "--max-requests-per-second", "1", "--request-burst", "3"]
    with (
        start_gateway(tmp_path / "data", *arguments) as gateway,
        Rest(gateway.http_url, token="no token of anybody's") as stranger,
    ):
        assert {stranger.ask("GET", MESSAGES).status for _ in range(50)} == {401, 429}


def test_signatures_for_claims_and_subscriptions(tmp_path: Path) -> None:
    issuer, keys = Issuer.new(), tmp_path / "keys"
    keys.write_text("a key that only this test has")
    arguments = [*issuer.arguments(tmp_path), "--signing-key-file", str(keys)]
    claims, subscriptions = "/v2/queues/q/claims", "/v2/queues/q/subscriptions"
    with (
        start_gateway(tmp_path / "data", *arguments) as gateway,
        Rest(gateway.http_url, project="p", token=issuer.token(project="p")) as owner,
        Rest(gateway.http_url, project="p") as guest,
    ):
        owner.done("POST", MESSAGES, {"messages": [{"body": "hello"}]})

        def signed(path: str, *methods: str) -> dict[str, str]:
            asked = {"paths": [path], "methods": methods}
            url = owner.done("POST", "/v2/queues/q/share", asked)
            return {
                "URL_Signature": url["signature"],
                "URL_Expires": url["expires"],
                "URL_Methods": ",".join(url["methods"]),
                "URL_Paths": ",".join(url["paths"]),
            }

        good = signed("claims", "POST", "GET", "PATCH")
        claim = guest.ask("POST", claims, {"ttl": 100, "grace": 60}, **good).headers["location"]
        assert guest.done("GET", claim, **good)["messages"]
        guest.done("PATCH", claim, {"ttl": 200}, **good)
        guest.refused(404, "DELETE", claim, **good)
        guest.refused(404, "GET", MESSAGES, **good)
        guest.refused(404, "GET", subscriptions, **good)

        good = signed("subscriptions", "POST", "GET", "PUT")
        asked = {"subscriber": "http://example.org/"}
        path = f"{subscriptions}/{guest.done('POST', subscriptions, asked, **good)['subscription_id']}"
        assert len(guest.done("GET", subscriptions, **good)["subscriptions"]) == 1
        guest.done("PUT", f"{path}/confirm", {"confirmed": True}, **good)
        assert guest.done("GET", path, **good)["confirmed"]
        guest.refused(404, "PATCH", path, {"ttl": 100}, **good)
        guest.refused(404, "DELETE", path, **good)
        guest.refused(404, "POST", claims, {}, **good)

        # Over the WebSocket neither opens anything, nor does a signature for messages open these.
        good = signed("messages", "POST", "GET", "PUT", "PATCH", "DELETE")
        guest.refused(404, "GET", subscriptions, **good)
        guest.refused(404, "POST", claims, {}, **good)
        with Client(gateway.url, project="p") as client:
            good = signed("subscriptions", "GET")
            headers = {
                "URL-Signature": good["URL_Signature"],
                "URL-Expires": good["URL_Expires"],
                "URL-Methods": ["GET"],
                "URL-Paths": [subscriptions],
            }
            assert client.request("subscription_list", {"queue_name": "q"}, headers).status == 403


def test_a_body_that_is_too_large(tmp_path: Path) -> None:
    with (
        start_gateway(tmp_path / "data", "--max-frame-bytes", "2048") as gateway,
        Rest(gateway.http_url) as rest,
    ):
        fits = {"messages": [{"body": "x" * (2048 - 28)}]}
        assert len(json.dumps(fits)) == 2048
        rest.done("POST", MESSAGES, fits)
        before = value(gateway, "refused_total", limit="max_frame_bytes")
        assert rest.refused(413, "POST", MESSAGES, b" " * 2049) == "body_too_large"
        assert value(gateway, "refused_total", limit="max_frame_bytes") == before + 1
        rest.done("POST", MESSAGES, fits)


def test_a_body_in_chunks(gateway: Gateway) -> None:
    with RawSocket(gateway.http_url, handshake=False) as raw:
        head = (
            f"POST {MESSAGES} HTTP/1.1\r\nHost: {raw.host}\r\nTransfer-Encoding: chunked\r\n"
            "Client-ID: 11111111-1111-4111-8111-111111111111\r\nX-Project-ID: chunks\r\n\r\n"
        )
        raw.send(head.encode())
        for chunk in (b'{"messages": [', b'{"body": 1}', b"]}", b""):
            raw.send(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        assert split_response(raw.receive_head())[0] == 201


def test_methods(rest: Rest) -> None:
    answer = rest.ask("OPTIONS", "/v2/queues/q/messages")
    assert (answer.status, answer.headers["allow"]) == (200, "POST, GET, DELETE")
    answer = rest.ask("PUT", "/v2/queues/q/messages")
    assert (answer.status, answer.headers["allow"]) == (405, "POST, GET, DELETE")
    assert rest.refused(405, "BREW", "/v2/queues") == "method_not_allowed"


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/json", 200),
        ("text/html, */*;q=0.1", 200),
        ("Application/JSON; charset=utf-8", 200),
        ("application/*", 200),
        ("text/html", 406),
        ("application/json;q=0", 406),
    ],
)
def test_what_a_client_accepts(rest: Rest, accept: str, status: int) -> None:
    assert rest.ask("GET", "/v2/queues", Accept=accept).status == status


@pytest.mark.parametrize(
    "kind",
    ["application/x-www-form-urlencoded", "multipart/form-data", "multipart/form-data; boundary=b"],
)
def test_forms_are_refused_as_everything_else_is(rest: Rest, kind: str) -> None:
    for body in (b"", b"a=b&c=d", b"--b\r\n\r\n"):
        assert rest.refused(400, "POST", "/v2/queues/q/purge", body, Content_Type=kind) == "bad_request"
    rest.done("GET", "/v2/queues")


def test_each_answer_has_an_id(rest: Rest) -> None:
    ids = {rest.ask("GET", path).headers["x-openstack-request-id"] for path in ("/v2/queues", "/v2/x")}
    assert len(ids) == 2


def test_requests_are_counted_with_those_of_sockets(gateway: Gateway, rest: Rest) -> None:
    before = value(gateway, "requests_total", action="queue_create", status="201")
    rest.done("PUT", "/v2/queues/q")
    assert value(gateway, "requests_total", action="queue_create", status="201") == before + 1


def test_a_project_is_slowed_down_at_both_doors(tmp_path: Path) -> None:
    arguments = ("--max-project-requests-per-second", "1", "--request-burst", "2")
    with (
        start_gateway(tmp_path / "data", *arguments) as gateway,
        Rest(gateway.http_url) as rest,
        Client(gateway.url, project=rest.project) as client,
    ):
        rest.done("GET", "/v2/queues")
        assert client.request("queue_list").status == 200
        answers = [rest.ask("GET", "/v2/queues") for _ in range(3)]
        late = [answer for answer in answers if answer.status == 429]
        assert late
        assert int(late[0].headers["retry-after"]) >= 1


def test_pages_of_other_sites(tmp_path: Path) -> None:
    origin = "https://app.example"
    with (
        start_gateway(tmp_path / "data", "--allowed-origins", origin) as gateway,
        Rest(gateway.http_url) as rest,
    ):
        asks = {"Origin": origin, "Access_Control_Request_Method": "PUT"}
        told = rest.ask("OPTIONS", "/v2/queues/q", **asks)
        assert told.status == 200
        assert told.headers["access-control-allow-origin"] == origin
        assert "PUT" in told.headers["access-control-allow-methods"]
        assert "Client-ID" in told.headers["access-control-allow-headers"]
        made = rest.ask("PUT", "/v2/queues/q", Origin=origin)
        assert (made.status, made.headers["access-control-allow-origin"]) == (201, origin)
        assert "Location" in made.headers["access-control-expose-headers"]
        other = rest.ask("PUT", "/v2/queues/r", Origin="https://evil.example")
        assert (other.status, other.body["code"]) == (403, "not_permitted")
        assert "access-control-allow-origin" not in other.headers
        assert [queue["name"] for queue in rest.done("GET", "/v2/queues")["queues"]] == ["q"]
        assert "access-control-allow-origin" not in rest.ask("GET", "/v2/queues").headers


@pytest.mark.parametrize(
    ("method", "path", "headers", "title"),
    [
        ("GET", "/v2/queues", {"Client_ID": "x"}, "Wrong UUID value"),
        ("GET", "/v2/queues", {"X_Project_ID": ""}, "Empty project header not allowed"),
        ("PUT", "/v2/queues/a%20b", {}, "Invalid queue identification"),
        ("DELETE", f"{MESSAGES}/{{message}}?claim_id=x", {}, "Unable to delete"),
        (
            "DELETE",
            f"{MESSAGES}/{{message}}?claim_id=11111111-1111-4111-8111-111111111111",
            {},
            "Unable to delete",
        ),
        ("GET", "/v2/queues?limit=0", {}, "Invalid API request"),
    ],
    ids=["client", "project", "queue", "no-claim", "unknown-claim", "limit"],
)
def test_titles_are_those_of_upstream(
    rest: Rest, method: str, path: str, headers: dict[str, str], title: str
) -> None:
    (message,) = rest.done("POST", MESSAGES, {"messages": [{"body": 1}]})["resources"]
    answer = rest.ask(method, path.format(message=message.rpartition("/")[2]), **headers)
    assert (answer.status, answer.body["title"]) == (400, title)


@pytest.mark.parametrize(
    ("missing", "title"), [("Client-ID", "Missing header value"), ("X-Project-ID", "Project-Id Missing")]
)
def test_headers_that_are_missing(gateway: Gateway, missing: str, title: str) -> None:
    with Rest(gateway.http_url) as rest:
        del rest.headers[missing]
        answer = rest.ask("GET", "/v2/queues")
    assert (answer.status, answer.body["title"], answer.body["code"]) == (400, title, "bad_request")
