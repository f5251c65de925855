"""Which request and which reply belong to an action."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from msgspec import Struct

from schemas import claims, flavors, messages, node, pools, queues, subscriptions
from schemas.envelope import AuthenticateHeaders, RequestHeaders


class Shape(NamedTuple):
    """The types of one action's body, reply body and headers."""

    request: type[Struct]
    reply: Any
    headers: type[RequestHeaders] | type[AuthenticateHeaders] = RequestHeaders


SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        "authenticate": Shape(node.Authenticate, node.AuthenticateReply, AuthenticateHeaders),
        "get_home_doc": Shape(node.GetHomeDoc, node.HomeDocReply),
        "check_node_health": Shape(node.CheckNodeHealth, node.HealthReply),
        "ping_node": Shape(node.PingNode, queues.EmptyReply),
        "describe": Shape(node.Describe, node.DescribeReply),
        "queue_create": Shape(queues.QueueCreate, str),
        "queue_get": Shape(queues.QueueGet, dict[str, Any]),
        "queue_list": Shape(queues.QueueList, queues.QueueListReply),
        "queue_delete": Shape(queues.QueueDelete, str),
        "queue_get_stats": Shape(queues.QueueGetStats, queues.StatsReply),
        "queue_purge": Shape(queues.QueuePurge, queues.EmptyReply),
        "queue_share": Shape(queues.QueueShare, queues.QueueShareReply),
        "queue_update": Shape(queues.QueueUpdate, dict[str, Any]),
        "message_post": Shape(messages.MessagePost, messages.MessagePostReply),
        "message_list": Shape(messages.MessageList, messages.MessageListReply),
        "message_get": Shape(messages.MessageGet, messages.MessageGetReply),
        "message_get_many": Shape(messages.MessageGetMany, messages.MessagesReply),
        "message_delete": Shape(messages.MessageDelete, queues.EmptyReply),
        "message_delete_many": Shape(messages.MessageDeleteMany, messages.MessageDeleteManyReply),
        "claim_create": Shape(claims.ClaimCreate, claims.ClaimCreateReply),
        "claim_get": Shape(claims.ClaimGet, claims.ClaimGetReply),
        "claim_update": Shape(claims.ClaimUpdate, str),
        "claim_delete": Shape(claims.ClaimDelete, str),
        "claim_subscribe": Shape(claims.ClaimSubscribe, claims.ClaimSubscribeReply),
        "claim_unsubscribe": Shape(claims.ClaimUnsubscribe, str),
        "message_release": Shape(claims.MessageRelease, queues.EmptyReply),
        "subscription_create": Shape(
            subscriptions.SubscriptionCreate, subscriptions.SubscriptionCreateReply | str
        ),
        "subscription_list": Shape(subscriptions.SubscriptionList, subscriptions.SubscriptionListReply),
        "subscription_get": Shape(subscriptions.SubscriptionGet, subscriptions.SubscriptionView),
        "subscription_update": Shape(subscriptions.SubscriptionUpdate, queues.EmptyReply),
        "subscription_confirm": Shape(subscriptions.SubscriptionConfirm, queues.EmptyReply),
        "subscription_delete": Shape(subscriptions.SubscriptionDelete, str),
        "pool_create": Shape(pools.PoolCreate, str),
        "pool_list": Shape(pools.PoolList, pools.PoolListReply),
        "pool_get": Shape(pools.PoolGet, pools.PoolView),
        "pool_update": Shape(pools.PoolUpdate, pools.PoolView),
        "pool_delete": Shape(pools.PoolDelete, str),
        "flavor_create": Shape(flavors.FlavorCreate, str),
        "flavor_list": Shape(flavors.FlavorList, flavors.FlavorListReply),
        "flavor_get": Shape(flavors.FlavorGet, flavors.FlavorView),
        "flavor_update": Shape(flavors.FlavorUpdate, flavors.FlavorView),
        "flavor_delete": Shape(flavors.FlavorDelete, str),
    }
)
