"""The names that the rules of a policy file have: those of OpenStack Zaqar (protocol.md section 8)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from protocol.registry import ACTIONS

ADMIN_RULE: Final = "role:admin"
"""What is needed for an administrator's action, unless the file says otherwise."""

_OPEN: Final = frozenset({"authenticate", "get_home_doc", "describe"})
"""Actions that have no rule: they tell nothing of a project."""

RULES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "queue_create": "queues:create",
        "queue_list": "queues:get_all",
        "queue_get": "queues:get",
        "queue_update": "queues:update",
        "queue_delete": "queues:delete",
        "queue_get_stats": "queues:stats",
        "queue_purge": "queues:purge",
        "queue_share": "queues:share",
        "message_post": "messages:create",
        "message_list": "messages:get_all",
        "message_get": "messages:get",
        "message_get_many": "messages:get_all",
        "message_delete": "messages:delete",
        "message_delete_many": "messages:delete_all",
        "claim_create": "claims:create",
        "claim_get": "claims:get",
        "claim_update": "claims:update",
        "claim_delete": "claims:delete",
        "claim_subscribe": "claims:create",
        "claim_unsubscribe": "claims:delete",
        "message_release": "claims:update",
        "subscription_create": "subscription:create",
        "subscription_list": "subscription:get_all",
        "subscription_get": "subscription:get",
        "subscription_update": "subscription:update",
        "subscription_confirm": "subscription:confirm",
        "subscription_delete": "subscription:delete",
        "pool_create": "pools:create",
        "pool_list": "pools:get_all",
        "pool_get": "pools:get",
        "pool_update": "pools:update",
        "pool_delete": "pools:delete",
        "flavor_create": "flavors:create",
        "flavor_list": "flavors:get_all",
        "flavor_get": "flavors:get",
        "flavor_update": "flavors:update",
        "flavor_delete": "flavors:delete",
        "ping_node": "ping:get",
        "check_node_health": "health:get",
    }
)
"""The rule of each action but those that have none."""

ELSEWHERE: Final = frozenset(
    f"topics:{what}" for what in ("get_all", "create", "get", "delete", "update", "stats", "purge")
)
"""Rules of Zaqar for what is not here: a file of Zaqar's may have them."""


def defaults() -> dict[str, str]:
    """What each rule demands unless the file says otherwise: the role admin, or nothing."""
    return {rule: ADMIN_RULE if ACTIONS[action].admin else "" for action, rule in RULES.items()}
