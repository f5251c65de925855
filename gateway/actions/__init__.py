"""One function per action, for every transport: it takes a `Call` and returns a status and a reply body."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from gateway.actions import (
    authentication,
    claims,
    consumers,
    describe,
    flavors,
    messages,
    node,
    pools,
    queues,
    sharing,
    subscriptions,
)
from gateway.actions.call import Answer, Call

Action = Callable[[Call], Awaitable[Answer]]

ACTIONS: Mapping[str, Action] = {
    "authenticate": authentication.authenticate,
    "get_home_doc": node.get_home_doc,
    "check_node_health": node.check_node_health,
    "ping_node": node.ping_node,
    "describe": describe.describe,
    "queue_create": queues.queue_create,
    "queue_list": queues.queue_list,
    "queue_get": queues.queue_get,
    "queue_update": queues.queue_update,
    "queue_delete": queues.queue_delete,
    "queue_get_stats": queues.queue_get_stats,
    "queue_purge": queues.queue_purge,
    "queue_share": sharing.queue_share,
    "message_post": messages.message_post,
    "message_list": messages.message_list,
    "message_get": messages.message_get,
    "message_get_many": messages.message_get_many,
    "message_delete": messages.message_delete,
    "message_delete_many": messages.message_delete_many,
    "claim_create": claims.claim_create,
    "claim_get": claims.claim_get,
    "claim_update": claims.claim_update,
    "claim_delete": claims.claim_delete,
    "claim_subscribe": consumers.claim_subscribe,
    "claim_unsubscribe": consumers.claim_unsubscribe,
    "message_release": consumers.message_release,
    "subscription_create": subscriptions.subscription_create,
    "subscription_list": subscriptions.subscription_list,
    "subscription_get": subscriptions.subscription_get,
    "subscription_update": subscriptions.subscription_update,
    "subscription_confirm": subscriptions.subscription_confirm,
    "subscription_delete": subscriptions.subscription_delete,
    "pool_create": pools.pool_create,
    "pool_list": pools.pool_list,
    "pool_get": pools.pool_get,
    "pool_update": pools.pool_update,
    "pool_delete": pools.pool_delete,
    "flavor_create": flavors.flavor_create,
    "flavor_list": flavors.flavor_list,
    "flavor_get": flavors.flavor_get,
    "flavor_update": flavors.flavor_update,
    "flavor_delete": flavors.flavor_delete,
}
"""Every action of protocol.registry, by name."""
