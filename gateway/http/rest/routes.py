"""Which action stands behind which method and path (protocol.md section 8)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from gateway.actions import ACTIONS
from gateway.actions.call import Answer, Call
from gateway.http.rest import differences, showing, waiting
from gateway.http.rest.asked import Asked
from gateway.http.rest.parameters import IN_URL, Parameter, flag, integer, names, text, wait
from gateway.http.rest.showing import Show


class Document(NamedTuple):
    """What becomes of the JSON document in a request's body.

    :ivar fields: members that become fields of the action's body; others are ignored.
    :ivar whole: the field that the document becomes as a whole; empty: its members do.
    :ivar is_list: it is an array and not an object.
    :ivar required: whether it may not be left out.
    :ivar kind: the content type that it must have; empty: any but that of a form.
    :ivar skips_null: a member that is null is as if it were not there.
    """

    fields: Sequence[str] = ()
    whole: str = ""
    is_list: bool = False
    required: bool = True
    kind: str = ""
    skips_null: bool = False


EVERY: Final = ("*",)
"""All members of a document: the action refuses those that it does not know."""


class Route(NamedTuple):
    """One method of one path. `run` does what the action does, in REST's way; None: there is no difference.

    :ivar needs: a parameter without which this is not the route.
    :ivar is_stream: it is answered with an event stream, and not with what `show` makes.
    :ivar signed_as: the action that a signature has to open for this; empty: `action`.
    :ivar name: how the operation is called; empty: as its action.
    """

    method: str
    path: str
    action: str
    show: Show
    query: Sequence[Parameter] = ()
    document: Document | None = None
    run: Callable[[Call, Asked], Awaitable[Answer]] | None = None
    needs: str = ""
    is_stream: bool = False
    signed_as: str = ""
    name: str = ""

    @property
    def operation(self) -> str:
        """How it is called."""
        return self.name or self.action

    async def answer(self, call: Call, asked: Asked) -> Answer:
        """Do it."""
        return await (ACTIONS[self.action](call) if self.run is None else self.run(call, asked))


_PAGE = (text("marker"), integer("limit"))
_STREAM = (text("from"), *(text(name, field="") for name in IN_URL))
_DETAILED = (*_PAGE, flag("detailed"))
_QUEUES = (*_DETAILED, text("name", field=""), flag("with_count", field=""))
_MESSAGES = (*_PAGE, flag("echo"), flag("include_claimed"), flag("include_delayed"), wait())
_CLAIMS = (integer("limit"), wait())
_IDS = (names("ids", "message_ids"),)
_DELETED = (*_IDS, integer("pop"), names("claim_ids", "claim_ids"))
_PATCH = "application/openstack-messaging-v2.0-json-patch"

_METADATA = Document(whole="metadata", required=False)
_STEPS = Document(whole="patch", is_list=True, kind=_PATCH)
_TERM = Document(("ttl", "grace"), required=False)
_POOL = Document(("uri", "weight", "flavor", "options"))
_FLAVOR = Document(("pool_list",))

_QUEUE = "/v2/queues/{queue_name}"
_MESSAGE = f"{_QUEUE}/messages/{{message_id}}"
_CLAIM = f"{_QUEUE}/claims/{{claim_id}}"
_SUBSCRIPTION = f"{_QUEUE}/subscriptions/{{subscription_id}}"
# Null is what Heat sends for options that a template does not give, and
# `openstack messaging subscription update` for what is to stay as it is.
_SUBSCRIBER = Document(("subscriber", "ttl", "options"), skips_null=True)

_s, _d, _w = showing, differences, waiting

# fmt: off
_OF_QUEUES: Final = (
    Route("GET",    "/v2/queues",             "queue_list",       _s.queues, _QUEUES, run=_d.queue_list),
    Route("PUT",    _QUEUE,                   "queue_create",     _s.in_its_place, document=_METADATA),
    Route("GET",    _QUEUE,                   "queue_get",        _s.metadata),
    Route("PATCH",  _QUEUE,                   "queue_update",     _s.metadata, document=_STEPS),
    Route("DELETE", _QUEUE,                   "queue_delete",     _s.nothing),
    Route("GET",    f"{_QUEUE}/stats",        "queue_get_stats",  _s.stats),
    Route("POST",   f"{_QUEUE}/purge",        "queue_purge",      _s.nothing,
          document=Document(("resource_types",), required=False)),
    Route("POST",   f"{_QUEUE}/share",        "queue_share",      _s.as_it_is, document=Document(EVERY)),

    Route("POST",   f"{_QUEUE}/messages",     "message_post",     _s.posted,
          document=Document(("messages",))),
    Route("GET",    f"{_QUEUE}/messages",     "message_get_many", _s.found, _IDS, needs="ids",
          run=_d.message_get_many),
    Route("GET",    f"{_QUEUE}/messages",     "message_list",     _s.messages, _MESSAGES,
          run=_w.message_list),
    Route("DELETE", f"{_QUEUE}/messages",     "message_delete_many", _s.taken, _DELETED),
    Route("GET",    _MESSAGE,                 "message_get",      _s.message),
    Route("DELETE", _MESSAGE,                 "message_delete",   _s.nothing, (text("claim_id"),),
          run=_d.message_delete),

    # It tells what a list does, as it comes: who may read that may read this.
    Route("GET",    f"{_QUEUE}/events",       "subscription_create", _s.nothing, _STREAM,
          is_stream=True, signed_as="message_list", name="queue_events"),
    Route("HEAD",   f"{_QUEUE}/events",       "subscription_create", _s.nothing, _STREAM,
          is_stream=True, signed_as="message_list", name="queue_events"),

    Route("POST",   f"{_QUEUE}/claims",       "claim_create",     _s.claimed, _CLAIMS, _TERM,
          run=_w.claim_create),
    Route("GET",    _CLAIM,                   "claim_get",        _s.claim),
    Route("PATCH",  _CLAIM,                   "claim_update",     _s.nothing, document=_TERM),
    Route("DELETE", _CLAIM,                   "claim_delete",     _s.nothing),

    Route("GET",    f"{_QUEUE}/subscriptions", "subscription_list", _s.subscriptions, _PAGE),
    Route("POST",   f"{_QUEUE}/subscriptions", "subscription_create", _s.subscribed, (), _SUBSCRIBER,
          run=_d.subscription_create),
    Route("GET",    _SUBSCRIPTION,            "subscription_get", _s.as_it_is),
    Route("PATCH",  _SUBSCRIPTION,            "subscription_update", _s.in_its_place, document=_SUBSCRIBER),
    Route("DELETE", _SUBSCRIPTION,            "subscription_delete", _s.nothing),
    Route("PUT",    f"{_SUBSCRIPTION}/confirm", "subscription_confirm", _s.in_its_place,
          document=Document(("confirmed",))),
)

_OF_THE_NODE: Final = (
    Route("GET",    "/v2/",                   "get_home_doc",     _s.home),
    Route("GET",    "/v2/ping",               "ping_node",        _s.nothing),
    Route("HEAD",   "/v2/ping",               "ping_node",        _s.nothing),
    Route("GET",    "/v2/health",             "check_node_health", _s.as_it_is),

    Route("GET",    "/v2/pools",              "pool_list",        _s.pools, _DETAILED),
    Route("PUT",    "/v2/pools/{pool_name}",  "pool_create",      _s.in_its_place, document=_POOL),
    Route("GET",    "/v2/pools/{pool_name}",  "pool_get",         _s.pool),
    Route("PATCH",  "/v2/pools/{pool_name}",  "pool_update",      _s.pool, document=_POOL),
    Route("DELETE", "/v2/pools/{pool_name}",  "pool_delete",      _s.nothing),

    Route("GET",    "/v2/flavors",            "flavor_list",      _s.flavors, _DETAILED),
    Route("PUT",    "/v2/flavors/{flavor_name}", "flavor_create", _s.in_its_place, document=_FLAVOR),
    Route("GET",    "/v2/flavors/{flavor_name}", "flavor_get",    _s.flavor),
    Route("PATCH",  "/v2/flavors/{flavor_name}", "flavor_update", _s.flavor, document=_FLAVOR),
    Route("DELETE", "/v2/flavors/{flavor_name}", "flavor_delete", _s.nothing),
)
# fmt: on

_OF_TOPICS: Final = tuple(
    route._replace(path=route.path.replace("/v2/queues", "/v2/topics", 1))
    for route in _OF_QUEUES
    if "/claims" not in route.path and not route.path.endswith("/share")
)
"""A topic is a queue under another path, without claims."""

ROUTES: Final = (*_OF_QUEUES, *_OF_TOPICS, *_OF_THE_NODE)
"""All that REST offers."""
