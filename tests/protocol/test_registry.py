"""What is derived from the schemas about each action."""

from __future__ import annotations

import pytest

from protocol.registry import ACTIONS, Bound
from schemas.actions import SHAPES
from schemas.envelope import AuthenticateHeaders, RequestHeaders


def test_every_shape_is_an_action() -> None:
    assert set(ACTIONS) == set(SHAPES)
    for name, action in ACTIONS.items():
        assert action.name == name
        assert action.request is SHAPES[name].request
        assert action.headers is (AuthenticateHeaders if name == "authenticate" else RequestHeaders)


@pytest.mark.parametrize(
    ("trait", "names"),
    [
        ("needs_client_uuid", {"message_post", "message_list"}),
        ("secrets", {"pool_create", "pool_update"}),
        (
            "new_name",
            {
                "queue_create",
                "queue_update",
                "queue_share",
                "message_post",
                "subscription_create",
                "claim_subscribe",
            }
            | {"pool_create", "flavor_create"},
        ),
    ],
)
def test_traits(trait: str, names: set[str]) -> None:
    assert {name for name, action in ACTIONS.items() if getattr(action, trait)} == names


def test_what_is_for_administrators() -> None:
    of_pools = {name for name in ACTIONS if name.startswith(("pool_", "flavor_"))}
    assert len(of_pools) == 10
    assert {name for name, action in ACTIONS.items() if action.admin} == {"check_node_health", *of_pools}


def test_the_names_of_what_may_be_created() -> None:
    assert ACTIONS["message_post"].new_name == "queue_name"
    assert ACTIONS["pool_create"].new_name == "pool_name"
    assert ACTIONS["flavor_create"].new_name == "flavor_name"


def test_bodies_that_may_be_left_out() -> None:
    assert {name for name, action in ACTIONS.items() if not action.body_required} == {
        "queue_list",
        "pool_list",
        "flavor_list",
        "authenticate",
        "get_home_doc",
        "check_node_health",
        "ping_node",
        "describe",
    }


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        ("queue_get", ()),
        ("queue_list", (Bound("limit", 1, 20, items=False),)),
        ("message_post", (Bound("messages", 1, 1000, items=True),)),
        ("message_get_many", (Bound("message_ids", 1, 20, items=True),)),
        (
            "message_delete_many",
            (Bound("message_ids", 1, 20, items=True), Bound("pop", 1, 20, items=False)),
        ),
        (
            "claim_create",
            (
                Bound("ttl", 60, 43200, items=False),
                Bound("grace", 60, 43200, items=False),
                Bound("limit", 1, 20, items=False),
            ),
        ),
        ("subscription_create", (Bound("ttl", 60, None, items=False),)),
        ("pool_update", (Bound("weight", 0, 2**32 - 1, items=False),)),
        ("flavor_update", (Bound("pool_list", 1, 100, items=True),)),
    ],
)
def test_bounds(name: str, bounds: tuple[Bound, ...]) -> None:
    assert ACTIONS[name].bounds == bounds
