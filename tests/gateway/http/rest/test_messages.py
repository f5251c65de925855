"""Messages and claims over REST, beyond what is recorded of Zaqar."""

from __future__ import annotations

import pytest

from tests.support.rest import Rest

MESSAGES = "/v2/queues/q/messages"
CLAIMS = "/v2/queues/q/claims"


def post(rest: Rest, *bodies: object) -> list[str]:
    """Post messages; their paths."""
    answer = rest.ask("POST", MESSAGES, {"messages": [{"body": body} for body in bodies]})
    assert answer.status == 201
    resources: list[str] = answer.body["resources"]
    return resources


def test_a_claim_from_its_making_to_its_end(rest: Rest) -> None:
    post(rest, 1, 2, 3)
    made = rest.ask("POST", f"{CLAIMS}?limit=2", {"ttl": 100, "grace": 60})
    claim = made.headers["location"]
    first, second = made.body["messages"]
    assert (first["body"], second["body"]) == (1, 2)
    claim_id = claim.rpartition("/")[2]
    assert first["href"].endswith(f"{first['id']}?claim_id={claim_id}")

    told = rest.done("GET", claim)
    assert (told["ttl"], told["href"], len(told["messages"])) == (100, claim, 2)
    assert rest.ask("PATCH", claim, {"ttl": 200}).status == 204
    assert rest.done("GET", claim)["ttl"] == 200

    path = first["href"].partition("?")[0]
    assert rest.refused(403, "DELETE", path) == "forbidden"
    assert rest.ask("DELETE", first["href"]).status == 204  # the href is what a worker deletes with
    assert rest.ask("DELETE", claim).status == 204
    assert rest.refused(404, "GET", claim) == "not_found"
    assert rest.refused(404, "PATCH", claim, {"ttl": 100}) == "not_found"
    assert rest.done("GET", "/v2/queues/q/stats")["messages"]["free"] == 2


def test_nothing_to_claim_is_204_without_a_body(rest: Rest) -> None:
    answer = rest.ask("POST", CLAIMS)
    assert (answer.status, answer.body) == (204, None)
    assert "location" not in answer.headers


@pytest.mark.parametrize("limit", ["0", "21", "x", "1.5"])
def test_claims_of_no_such_size(rest: Rest, limit: str) -> None:
    rest.refused(400, "POST", f"{CLAIMS}?limit={limit}")


def test_messages_are_popped(rest: Rest) -> None:
    post(rest, "a", "b", "c")
    popped = rest.done("DELETE", f"{MESSAGES}?pop=2")["messages"]
    assert [message["body"] for message in popped] == ["a", "b"]
    assert rest.done("GET", f"{MESSAGES}?echo=true")["messages"][0]["body"] == "c"


def test_messages_are_deleted_by_their_ids(rest: Rest) -> None:
    ids = [path.rpartition("/")[2] for path in post(rest, 1, 2)]
    assert rest.ask("DELETE", f"{MESSAGES}?ids={','.join(ids)}").status == 204
    assert rest.refused(404, "GET", f"{MESSAGES}?ids={','.join(ids)}") == "not_found"


def test_ids_may_come_in_parts(rest: Rest) -> None:
    ids = [path.rpartition("/")[2] for path in post(rest, 1, 2, 3)]
    parts = f"ids={ids[0]}&ids={ids[1]},{ids[2]}"
    assert [found["body"] for found in rest.done("GET", f"{MESSAGES}?{parts}")["messages"]] == [1, 2, 3]
    rest.done("DELETE", f"{MESSAGES}?{parts}")
    assert rest.done("GET", "/v2/queues/q/stats")["messages"]["total"] == 0


def test_of_other_parameters_the_last_counts(rest: Rest) -> None:
    post(rest, 1, 2, 3)
    assert len(rest.done("GET", f"{MESSAGES}?echo=true&limit=1&limit=2")["messages"]) == 2


@pytest.mark.parametrize("query", ["", "?ids=", "?ids=x&pop=1", "?pop=0", "?pop=x", f"?ids={'x,' * 20}x"])
def test_a_deletion_that_says_not_what(rest: Rest, query: str) -> None:
    rest.refused(400, "DELETE", f"{MESSAGES}{query}")


def test_who_follows_the_links_sees_every_message_once(rest: Rest) -> None:
    post(rest, *range(7))
    seen, path = [], f"{MESSAGES}?echo=true&limit=3"
    while path:
        page = rest.done("GET", path)
        seen += [message["body"] for message in page["messages"]]
        path = page["links"][0]["href"] if page["links"] else ""
    assert seen == list(range(7))


@pytest.mark.parametrize(
    "document",
    [
        b'{"messages":[{"body":1}]}{"queue_name":"other"}',
        b'{"messages":[{"body":1}],"queue_name":"other"}}',
        b'{"messages":[{"body":"\xff"}]}',
        b'{"messages":[{"body":1]}',
        b"[" * 100_000,
        b'{"messages":[{"body":' + b"[" * 101 + b"]" * 101 + b"}]}",
    ],
)
def test_a_document_that_is_not_one(rest: Rest, document: bytes) -> None:
    rest.refused(400, "POST", MESSAGES, document)
    assert rest.done("GET", "/v2/queues")["queues"] == []


def test_the_path_says_which_queue(rest: Rest) -> None:
    rest.done("POST", MESSAGES, {"messages": [{"body": 1}], "queue_name": "other"})
    assert [queue["name"] for queue in rest.done("GET", "/v2/queues")["queues"]] == ["q"]
