"""The OpenAPI document is one, whole, of all of REST, and what lies beside the code is it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway.http.rest import openapi
from gateway.http.rest.bodies import names_in
from gateway.http.rest.described import OPERATIONS, PARAMETERS
from gateway.http.rest.examples import REPLIES, REQUESTS
from gateway.http.rest.routes import ROUTES, Route
from gateway.http.site import OPENAPI
from protocol import metadata, retry_policy
from protocol.errors import BadRequest
from schemas.metadata import Metadata, RetryPolicy

DOCUMENT = openapi.document()
METHODS = ("get", "head", "put", "post", "patch", "delete")


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every operation with its path and its method."""
    for path, item in DOCUMENT["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def validator(schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """Of a schema that refers to the document's components."""
    return jsonschema_rs.Draft202012Validator(schema | {"components": DOCUMENT["components"]})


def test_what_is_served_is_what_is_generated() -> None:
    assert OPENAPI.read_text(encoding="utf-8") == openapi.text(), "run: make docs"


def test_it_is_an_openapi_document() -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()] == []
    broken = json.loads(openapi.text())
    del broken["paths"]["/v2/ping"]["get"]["responses"]["204"]["description"]
    assert not OpenAPIV31SpecValidator(broken).is_valid()


@pytest.mark.parametrize(
    "route", ROUTES, ids=lambda route: f"{route.method} {route.path} {route.needs}".strip()
)
def test_every_route_is_described(route: Route) -> None:
    where = "gateway/http/rest/described.py"
    assert route.operation in OPERATIONS, f"say in OPERATIONS of {where} what {route.operation} answers"
    for name in (*(parameter.name for parameter in route.query), *names_in(route.path)):
        assert name in PARAMETERS, f"say in PARAMETERS of {where} what {name} is"
    if route.document is not None:
        assert route.action in REQUESTS, f"give an example in gateway/http/rest/examples.py of {route.action}"
    told = DOCUMENT["paths"][route.path][route.method.lower()]
    assert {parameter.name for parameter in route.query} <= {
        parameter["name"] for parameter in told["parameters"] if parameter.get("in") == "query"
    }


def test_nothing_is_described_that_no_route_has() -> None:
    assert OPERATIONS.keys() == {route.operation for route in ROUTES}
    assert REQUESTS.keys() == {route.action for route in ROUTES if route.document is not None}
    assert set(DOCUMENT["paths"]) == {"/"} | {route.path for route in ROUTES}
    named = {parameter.name for route in ROUTES for parameter in route.query}
    assert PARAMETERS.keys() == named | {name for route in ROUTES for name in names_in(route.path)}


def test_operations_have_names_of_their_own() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(names) == len(set(names)) > 50
    assert {"queue_list", "topic_list", "message_list", "topic_message_post", "ping_node_head"} <= set(names)


def test_every_link_leads_to_an_operation_with_these_parameters() -> None:
    by_name = {operation["operationId"]: (path, operation) for path, _, operation in operations()}
    found = 0
    for _, _, operation in operations():
        for response in operation["responses"].values():
            for link in response.get("links", {}).values():
                path, target = by_name[link["operationId"]]
                query = {parameter.get("name") for parameter in target["parameters"]}
                assert link["parameters"].keys() <= query | set(names_in(path))
                assert set(names_in(path)) <= link["parameters"].keys()
                found += 1
    assert found > 10


def test_examples_are_what_their_schemas_say() -> None:
    found = 0
    for path, method, operation in operations():
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for content in (each for body in bodies for each in body.get("content", {}).values()):
            assert validator(content["schema"]).is_valid(content["example"]), (path, method)
            found += 1
        for parameter in (*operation.get("parameters", ()), *DOCUMENT["paths"][path].get("parameters", ())):
            if "$ref" not in parameter:
                assert validator(parameter["schema"]).is_valid(parameter["example"]), (path, parameter)
    assert found > 40
    assert all(REPLIES.values())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(
            (key, value)
            for key in metadata.DEFAULTS
            for value in (None, True, 0, 1, 60, -1, 2**53, "q", "a b")
        ),
        *(
            ("_retry_policy", {key: value})
            for key, default in retry_policy.DEFAULTS.items()
            for value in (None, True, default, -1, "x")
        ),
        *(("_flavor", value) for value in (None, "gold", 5)),
        ("_retry_policy", []),
    ],
)
def test_reserved_metadata_are_described_as_they_are_checked(key: str, value: Any) -> None:
    schema = validator({"$ref": "#/components/schemas/Metadata"})
    refused = False
    try:
        metadata.check_reserved({key: value})
    except BadRequest:
        refused = True
    assert schema.is_valid({key: value}) is not refused


def test_every_reserved_key_is_described() -> None:
    checked = set(metadata._CHECKS)
    assert set(DOCUMENT["components"]["schemas"]["Metadata"]["properties"]) == checked
    assert len(Metadata.__struct_fields__) == len(checked)
    assert set(RetryPolicy.__struct_fields__) == retry_policy.DEFAULTS.keys()
