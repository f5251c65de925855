"""What requests and answers look like, for readers of the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from gateway.http.site import VERSIONS
from schemas import rest
from schemas.metadata import Metadata
from schemas.node import HealthReply, HomeDocReply
from schemas.queues import QueueShareReply
from schemas.subscriptions import SubscriptionView

_ID: Final = "0f1ff0d8-6b37-8004-9ec4-2f9cf2cae5f5"
_SUBSCRIBER: Final = {"subscriber": "https://example.org/hook", "ttl": 3600, "options": {}}
_TERM: Final = {"ttl": 300, "grace": 60}
_STEPS: Final = {"succeeded": True, "seconds": 0.0004, "ref": None}
_MESSAGE: Final = {
    "id": _ID,
    "href": f"/v2/queues/jobs/messages/{_ID}",
    "claim_id": None,
    "ttl": 3600,
    "age": 2,
    "body": {"job": 1},
}
_METADATA: Final = {"_default_message_ttl": 600, "owner": "me"}
_POOL: Final = {
    "name": "fast",
    "uri": "redis://10.0.0.5:6379",
    "weight": 10,
    "flavor": "gold",
    "flavors": ["gold"],
    "href": "/v2/pools/fast",
}
_FLAVOR: Final = {"name": "gold", "pool_list": ["fast"], "href": "/v2/flavors/gold"}
_SUBSCRIPTION: Final = {"id": _ID, "source": "jobs", "age": 2, "confirmed": True, **_SUBSCRIBER}


def _next(path: str, marker: str) -> list[dict[str, str]]:
    return [{"rel": "next", "href": f"{path}?limit=10&marker={marker}"}]


REQUESTS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "queue_create": _METADATA,
        "queue_update": [{"op": "replace", "path": "/metadata/owner", "value": "you"}],
        "queue_purge": {"resource_types": ["messages"]},
        "queue_share": {"paths": ["messages"], "methods": ["GET"], "expires": "2035-01-01T00:00:00"},
        "message_post": {"messages": [{"body": {"job": 1}}, {"ttl": 300, "body": "two"}]},
        "claim_create": _TERM,
        "claim_update": _TERM,
        "subscription_create": _SUBSCRIBER,
        "subscription_update": {"ttl": 7200},
        "subscription_confirm": {"confirmed": True},
        "pool_create": {"uri": "redis://10.0.0.5:6379", "weight": 10, "flavor": "gold"},
        "pool_update": {"weight": 20},
        "flavor_create": {"pool_list": ["fast"]},
        "flavor_update": {"pool_list": ["fast"]},
    }
)
"""The body of a request, by its action."""

REPLIES: Final[Mapping[Any, Any]] = MappingProxyType(
    {
        str: 'id: 1764000000000000\ndata: {"body": {"job": 1}}\n\n',
        HomeDocReply: {"resources": {"rel/queue": {"href-template": "/v2/queues/{queue_name}"}}},
        HealthReply: {
            "storage_reachable": True,
            "catalog_reachable": True,
            "operation_status": {"post_messages": _STEPS},
        },
        Metadata: _METADATA,
        QueueShareReply: {
            "paths": ["/v2/queues/jobs/messages"],
            "methods": ["GET"],
            "project": "demo",
            "expires": "2035-01-01T00:00:00",
            "signature": "6b88ab0aa4c1ef1e6e6c8b2f1c0ed8b2e0f8b6a7c5e8bb58d2ee2f1d0b3e9a44",
        },
        SubscriptionView: _SUBSCRIPTION,
        rest.QueuePage: {
            "queues": [{"name": "jobs", "href": "/v2/queues/jobs"}],
            "links": _next("/v2/queues", "jobs"),
        },
        rest.TopicPage: {
            "topics": [{"name": "news", "href": "/v2/topics/news"}],
            "links": _next("/v2/topics", "news"),
        },
        rest.Stats: {
            "messages": {
                "claimed": 0,
                "free": 1,
                "total": 1,
                **{end: _MESSAGE | {"created": "2035-01-01T00:00:00Z"} for end in ("newest", "oldest")},
            }
        },
        rest.Posted: {"resources": [f"/v2/queues/jobs/messages/{_ID}"]},
        rest.MessagePage: {"messages": [_MESSAGE], "links": _next("/v2/queues/jobs/messages", _ID)},
        rest.Messages: {"messages": [_MESSAGE]},
        rest.Message: _MESSAGE,
        rest.Claim: {
            "href": "/v2/queues/jobs/claims/5a4f3ccb-5a4c-4f0e-8a5e-4f1a9d1b8c1e",
            "age": 2,
            "ttl": 300,
            "messages": [_MESSAGE],
        },
        rest.SubscriptionPage: {
            "subscriptions": [_SUBSCRIPTION],
            "links": _next("/v2/queues/jobs/subscriptions", _ID),
        },
        rest.Subscribed: {"subscription_id": _ID},
        rest.PoolPage: {"pools": [_POOL], "links": _next("/v2/pools", "fast")},
        rest.Pool: _POOL,
        rest.FlavorPage: {"flavors": [_FLAVOR], "links": _next("/v2/flavors", "gold")},
        rest.Flavor: _FLAVOR,
        rest.Versions: VERSIONS,
    }
)
"""The body of an answer, by its type."""
