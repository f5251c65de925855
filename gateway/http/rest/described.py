"""What the OpenAPI document says of each action and parameter beside what routes and types know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from schemas import limits, rest
from schemas.metadata import Metadata
from schemas.node import HealthReply, HomeDocReply
from schemas.queues import QueueShareReply
from schemas.subscriptions import SubscriptionView


class Reply(NamedTuple):
    """What is answered with one status.

    :ivar body: its type; None: there is no body.
    :ivar location: what the header Location names; empty: there is none.
    """

    about: str
    body: Any = None
    location: str = ""
    kind: str = "application/json"


class Operation(NamedTuple):
    """What an action does over REST.

    :ivar replies: the statuses of what is done, with their bodies.
    :ivar refusals: statuses with which it refuses, beside those that every operation has.
    :ivar about: what it does; empty: what its request's type says.
    :ivar needed: members of the request's body that only REST needs.
    :ivar leads_to: actions that go on with what the answer holds, by how they are called.
    """

    replies: Mapping[int, Reply]
    refusals: Sequence[int] = ()
    about: str = ""
    needed: Sequence[str] = ()
    leads_to: Mapping[str, Leads] = MappingProxyType({})


class Leads(NamedTuple):
    """An action, and where in the answer its arguments are (OpenAPI's runtime expressions)."""

    action: str
    parameters: Mapping[str, str]


_CREATED: Final = {201: Reply("It was created.", location="it")}
_DONE: Final = {204: Reply("It is done.")}
_GONE: Final = {204: Reply("It is gone, or was not there.")}

_MESSAGE: Final = {"message_id": "$response.body#/messages/0/id"}
_HELD: Final = _MESSAGE | {"claim_id": "$response.body#/messages/0/claim_id"}
_SUBSCRIPTION: Final = {"subscription_id": "$response.body#/subscription_id"}

OPERATIONS: Final[Mapping[str, Operation]] = MappingProxyType(
    {
        "get_home_doc": Operation(
            {200: Reply("The home document.", HomeDocReply, kind="application/json-home")}
        ),
        "ping_node": Operation({204: Reply("The node answers, and so does its store.")}),
        "check_node_health": Operation({200: Reply("What could be reached.", HealthReply)}),
        "queue_events": Operation(
            {200: Reply("Server-sent events (docs/events.md).", str, kind="text/event-stream")},
            about="Read what comes into a queue as server-sent events, in an answer that does not end.",
        ),
        "queue_list": Operation({200: Reply("A page of queues.", rest.QueuePage)}),
        "queue_create": Operation(
            {201: Reply("It was created.", location="it"), 204: Reply("It exists already.", location="it")}
        ),
        "queue_get": Operation({200: Reply("Its metadata, with defaults.", Metadata)}),
        "queue_update": Operation({200: Reply("All of its metadata.", Metadata)}, (409,)),
        "queue_delete": Operation(_GONE),
        "queue_get_stats": Operation({200: Reply("Its statistics.", rest.Stats)}),
        "queue_purge": Operation(_DONE),
        "queue_share": Operation({200: Reply("The signature, and what it opens.", QueueShareReply)}),
        "message_post": Operation(
            {201: Reply("They are stored.", rest.Posted, location="them")},
        ),
        "message_list": Operation(
            {200: Reply("A page of messages.", rest.MessagePage)},
            leads_to={
                "read": Leads("message_get", _MESSAGE),
                "delete": Leads("message_delete", _MESSAGE),
            },
        ),
        "message_get_many": Operation({200: Reply("Those that are there.", rest.Messages)}),
        "message_get": Operation({200: Reply("The message.", rest.Message)}),
        "message_delete": Operation(_GONE),
        "message_delete_many": Operation(
            {
                200: Reply("Those that were taken with `pop`; they are gone.", rest.Messages),
                204: Reply("They are gone, or were not there."),
            },
            about="Delete messages by their `ids`, or take and delete the first `pop` ones.",
        ),
        "claim_create": Operation(
            {
                201: Reply("The leased messages.", rest.Messages, location="the claim"),
                204: Reply("There is none to lease."),
            },
            leads_to={"acknowledge": Leads("message_delete", _HELD)},
        ),
        "claim_get": Operation({200: Reply("The claim.", rest.Claim)}),
        "claim_update": Operation(_DONE),
        "claim_delete": Operation(_GONE),
        "subscription_list": Operation({200: Reply("A page of subscriptions.", rest.SubscriptionPage)}),
        "subscription_create": Operation(
            {201: Reply("The subscription.", rest.Subscribed, location="the subscriptions")},
            (409,),
            about="Subscribe a web hook or a mail address to a queue.",
            needed=("subscriber",),
            leads_to={
                "read": Leads("subscription_get", _SUBSCRIPTION),
                "change": Leads("subscription_update", _SUBSCRIPTION),
                "confirm": Leads("subscription_confirm", _SUBSCRIPTION),
                "delete": Leads("subscription_delete", _SUBSCRIPTION),
            },
        ),
        "subscription_get": Operation({200: Reply("The subscription.", SubscriptionView)}),
        "subscription_update": Operation({204: Reply("It is changed.", location="it")}, (409,)),
        "subscription_confirm": Operation({204: Reply("It is noted.", location="it")}),
        "subscription_delete": Operation(_GONE),
        "pool_list": Operation({200: Reply("A page of pools.", rest.PoolPage)}),
        "pool_create": Operation(_CREATED, (409,)),
        "pool_get": Operation({200: Reply("The pool.", rest.Pool)}),
        "pool_update": Operation({200: Reply("The pool.", rest.Pool)}, (409,)),
        "pool_delete": Operation(_DONE, (409,)),
        "flavor_list": Operation({200: Reply("A page of flavors.", rest.FlavorPage)}),
        "flavor_create": Operation(_CREATED, (409,)),
        "flavor_get": Operation({200: Reply("The flavor.", rest.Flavor)}),
        "flavor_update": Operation({200: Reply("The flavor.", rest.Flavor)}),
        "flavor_delete": Operation(_DONE),
    }
)
"""Every action that a route has."""


class Named(NamedTuple):
    """A parameter.

    :ivar schema: of its values in a path, or where no field of the action's request has one.
    """

    about: str
    example: Any
    schema: Mapping[str, Any] | None = None


_ID: Final = {"type": "string", "minLength": 1}
_NAME: Final = {**_ID, "maxLength": limits.QUEUE_NAME_CHARACTERS, "pattern": limits.QUEUE_NAME_PATTERN}

PARAMETERS: Final[Mapping[str, Named]] = MappingProxyType(
    {
        "queue_name": Named("The queue.", "jobs", _NAME),
        "message_id": Named("The message.", "0f1ff0d8-6b37-8004-9ec4-2f9cf2cae5f5", _ID),
        "claim_id": Named("The claim.", "5a4f3ccb-5a4c-4f0e-8a5e-4f1a9d1b8c1e", _ID),
        "subscription_id": Named("The subscription.", "0f1ff0d8-6b37-8004-9ec4-2f9cf2cae5f5", _ID),
        "pool_name": Named("The pool.", "fast", _NAME),
        "flavor_name": Named("The flavor.", "gold", _NAME),
        "marker": Named("Where the page begins: what the link to the next page says.", "1764000000000000"),
        "limit": Named("How many there may be.", 10),
        "detailed": Named("Whether all is shown of each.", True),
        "name": Named("Filters nothing; it is for Zaqar's clients.", "jobs", {"type": "string"}),
        "with_count": Named("Whether all are counted.", True, {"type": "boolean"}),
        "echo": Named("Whether messages of the client itself are listed.", True),
        "include_claimed": Named("Whether claimed messages are listed.", True),
        "include_delayed": Named(
            "Whether delayed messages are listed. They are where the queue delays none by default.", True
        ),
        "ids": Named("Ids of messages.", ["0f1ff0d8-6b37-8004-9ec4-2f9cf2cae5f5"]),
        "wait": Named(
            "For how many seconds to wait for the first message, if there is none.",
            5,
            {"type": "integer", "minimum": 0, "maximum": limits.WAIT_MAX},
        ),
        "from": Named(
            "Where the stream begins: `now`, `earliest`, a marker, or the id of a message.", "earliest", _ID
        ),
        "project": Named("Stands for X-Project-ID, where no header can be sent.", "demo", _ID),
        "signature": Named("Stands for URL-Signature; what these are, `queue_share` answers.", "0" * 64, _ID),
        "expires": Named("Stands for URL-Expires.", "2035-01-01T00:00:00", _ID),
        "methods": Named("Stands for URL-Methods.", "GET", _ID),
        "paths": Named("Stands for URL-Paths.", "/v2/queues/jobs/messages", _ID),
        "pop": Named("How many are taken.", 5),
        "claim_ids": Named(
            "The claims that hold the messages, where the operator demands them.",
            ["5a4f3ccb-5a4c-4f0e-8a5e-4f1a9d1b8c1e"],
        ),
    }
)
"""What stands in a path, or behind its question mark."""
