"""The running gateway answers as its OpenAPI document says, whatever is asked (schemathesis).

Of objects in answers the document says which members there are; here it is taken to say that there are no
others, so that a member nobody has described fails.
"""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck
from schemathesis import Case, CheckFunction
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from gateway.http.rest import openapi
from gateway.http.rest.routes import ROUTES
from schemas import limits
from tests.support.gateway import Gateway, start_gateway
from tests.support.rest import Rest
from tests.support.servers import start_valkey

PATCH = "application/openstack-messaging-v2.0-json-patch"
HEADERS = {"X-Roles": "admin"}
"""Who asks, administers."""

OPEN = ("Metadata", "RetryPolicy", "NewMessage", "PatchOperation")
"""What clients write: metadata are theirs, and what else is unknown is ignored."""


@schemathesis.serializer(PATCH)
def write_patch(context: Any, value: Any) -> Any:
    """Its content type does not say that it is JSON."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()


@schemathesis.deserializer("application/json-home")
def read_home(context: Any, response: Response) -> Any:
    """The same."""
    return json.loads(response.content)


def closed(document: dict[str, Any]) -> dict[str, Any]:
    """The document, with answers of no other members than it describes."""
    found = copy.deepcopy(document)
    for name, schema in found["components"]["schemas"].items():
        if name not in OPEN and not name.endswith("Body"):
            schema["additionalProperties"] = False
    return found


SCHEMA = schemathesis.openapi.from_dict(closed(openapi.document()))
# An answer that does not end cannot be compared with anything; those to HEAD can.
STREAMS = {openapi.operation_id(route) for route in ROUTES if route.is_stream and route.method == "GET"}
ASKED = SCHEMA.exclude(operation_id=list(STREAMS))
NAMES = sorted({"get_versions", *(openapi.operation_id(each) for each in ROUTES if not each.needs)} - STREAMS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the node and a second store live."""
    return tmp_path_factory.mktemp("openapi")


@pytest.fixture(scope="module")
def node(folder: Path) -> Iterator[Gateway]:
    """A gateway whose pools may be changed."""
    keys = folder / "keys"
    keys.write_text("a key that only these tests have")
    with start_gateway(folder / "data", "--fsync", "everysec", "--signing-key-file", str(keys)) as running:
        yield running


@pytest.fixture(scope="module")
def store(folder: Path) -> Iterator[str]:
    """The address of a second store."""
    with start_valkey(folder / "store", tcp=True) as server:
        yield f"redis://127.0.0.1:{server.tcp_port}"


@pytest.fixture
def owner(node: Gateway) -> Iterator[Rest]:
    """Whose queues there are."""
    with Rest(node.http_url) as client:
        yield client


def make(names: set[str], owner: Rest, store: str) -> dict[str, str]:
    """Make what has these names in paths; what the paths say instead. `store` is for a pool."""
    found: dict[str, str] = {}
    if "queue_name" in names:
        found |= make_queue(owner)
    if names & {"pool_name", "flavor_name"}:
        found |= make_flavor(owner, store)
    return {name: found[name] for name in names}


def make_queue(owner: Rest) -> dict[str, str]:
    """A queue with messages, of which one is claimed, and a subscription."""
    queue, subscriber = "/v2/queues/jobs", f"http://example.org/{uuid.uuid4()}"
    owner.done("PUT", queue, {"owner": "me"})
    posted = {"messages": [{"body": number} for number in range(3)]}
    messages = owner.done("POST", f"{queue}/messages", posted)["resources"]
    claim = owner.ask("POST", f"{queue}/claims?limit=1")
    subscribed = owner.done("POST", f"{queue}/subscriptions", {"subscriber": subscriber})
    return {
        "queue_name": "jobs",
        "message_id": messages[2].rpartition("/")[2],
        "claim_id": claim.headers["location"].rpartition("/")[2],
        "subscription_id": subscribed["subscription_id"],
    }


def make_flavor(owner: Rest, store: str) -> dict[str, str]:
    """A pool, which takes no queues, and a flavor of it."""
    pool, flavor = "/v2/pools/slow", "/v2/flavors/bronze"
    if owner.ask("GET", pool, X_Roles="admin").status == 404:
        owner.done("PUT", pool, {"uri": store, "weight": 0}, X_Roles="admin")
    if owner.ask("GET", flavor, X_Roles="admin").status == 404:
        owner.done("PUT", flavor, {"pool_list": ["slow"]}, X_Roles="admin")
    return {"pool_name": "slow", "flavor_name": "bronze"}


def refusals_are_told(context: Any, response: Response, case: Case[Any]) -> None:
    """A refusal says why, whatever was refused. HEAD is never answered with a body."""
    if response.status_code >= 400 and case.method != "HEAD":
        assert response.headers["content-type"] == ["application/json"], response.content
        assert json.loads(response.content).keys() >= {"title", "description"}


def ask(case: Case[Any], url: str) -> int:
    """Send a request, compare the answer with the document, and return its status."""
    hasten(case)
    response = case.call(base_url=url, headers=HEADERS)
    compare(response, case)
    return response.status_code


def hasten(case: Case[Any]) -> None:
    """Have nobody wait long for messages that do not come."""
    if case.query and case.query.get("wait") in range(2, limits.WAIT_MAX + 1):
        case.query["wait"] = 1


def compare(response: Response, case: Case[Any]) -> None:
    """Fail unless the answer is one that the document has for the request."""
    # That all a schema allows is accepted cannot be asked for: no schema tells a URL that answers.
    left_out: list[CheckFunction] = [positive_data_acceptance]
    query = urlsplit(str(response.request.url)).query
    if "" in dict(parse_qsl(query, keep_blank_values=True)).values():
        # A parameter without a value is as if it were not there (docs/rest.md).
        left_out.append(negative_data_rejection)
    case.validate_response(
        response, additional_checks=[refusals_are_told], excluded_checks=left_out, headers=HEADERS
    )


# Topics are queues under another path: more of their requests are for `make test-long`.
@ASKED.exclude(tag="topics").parametrize()
@hypothesis.settings(max_examples=3, deadline=None)
def test_any_request_is_answered_as_described(case: Case[Any], node: Gateway) -> None:
    ask(case, node.http_url)


@pytest.mark.long
@ASKED.parametrize()
@hypothesis.settings(max_examples=100, deadline=None)
def test_any_of_many_requests(case: Case[Any], node: Gateway) -> None:
    ask(case, node.http_url)


@pytest.mark.parametrize("name", NAMES)
def test_requests_for_what_exists(name: str, node: Gateway, owner: Rest, store: str) -> None:
    play(name, owner, store, node.http_url, max_examples=5)


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_many_requests_for_what_exists(name: str, node: Gateway, owner: Rest, store: str) -> None:
    play(name, owner, store, node.http_url, max_examples=100)


def play(name: str, owner: Rest, store: str, url: str, *, max_examples: int) -> None:
    """Ask for one operation as its schema allows, in a project and with names where there is something."""
    operation = SCHEMA.find_operation_by_id(name)
    there = make({parameter.name for parameter in operation.path_parameters}, owner, store)
    strategy = operation.as_strategy(path_parameters=there, headers=dict(owner.headers))

    @hypothesis.settings(max_examples=max_examples, deadline=None, suppress_health_check=list(HealthCheck))
    @hypothesis.given(strategy)
    def ask_each(case: Case[Any]) -> None:
        ask(case, url)

    ask_each()


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith(("pool_", "flavor_"))])
def test_the_examples_are_requests_that_are_done(name: str, node: Gateway, owner: Rest) -> None:
    operation = SCHEMA.find_operation_by_id(name)
    content = operation.definition.raw.get("requestBody", {}).get("content", {})
    sent = [{"media_type": kind, "body": told["example"]} for kind, told in content.items()]
    case = operation.Case(
        path_parameters=make({parameter.name for parameter in operation.path_parameters}, owner, ""),
        headers=dict(owner.headers),
        query={"pop": 2} if name.endswith("message_delete_many") else {},
        **next(iter(sent), {}),
    )
    assert ask(case, node.http_url) < 400


class Machine(ASKED.as_state_machine()):  # type: ignore[misc]  # it is made of the document
    """Goes from answers to further requests, where the document's links lead."""

    url = ""

    def get_call_kwargs(self, case: Case[Any]) -> dict[str, Any]:
        """Where to ask, and as whom."""
        return {"base_url": self.url, "headers": HEADERS | {"X-Project-ID": "linked"}}

    def before_call(self, case: Case[Any]) -> None:
        """Wait no longer than has to be."""
        hasten(case)

    def validate_response(self, response: Response, case: Case[Any], *args: Any, **kwargs: Any) -> None:
        """Compare with the document."""
        compare(response, case)


def test_links_are_followed(node: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machine, "url", node.http_url)
    Machine.run(settings=hypothesis.settings(max_examples=10, stateful_step_count=10, deadline=None))
