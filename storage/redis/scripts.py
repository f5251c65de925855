"""The store's Lua scripts, each in a file of its own under lua/."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files

_REFUSED_WHEN_FULL = (
    *("create", "post", "post_once", "claim", "lease", "subscribe", "subscription_update", "deliver"),
    *("delivery_dead_lettered", "moving/arrive", "moving/import", "registry/add"),
)
"""What adds data is refused when memory is used up; all else goes on, so that memory can be freed (OOM)."""

_READS = (
    "claim_get",
    "deliveries",
    "get",
    "list",
    "outbox",
    "resume",
    "stats",
    "subscription_find",
    "subscription_get",
    "subscription_list",
    "sweep",
    "undelivered",
)
"""What tells nobody that something was written, although what was due may have been."""

_BETWEEN = {
    **dict.fromkeys(("claim", "pop", "claim_adopt", "claim_update", "lease"), "leasing"),
    **dict.fromkeys(("deliveries", "deliveries_own", "delivered", "delivery_postponed"), "delivering"),
    **dict.fromkeys(("delivery_failed", "delivery_dead_lettered", "subscription_update"), "delivering"),
    **{"list": "listing", "undelivered": "delivering listing"},
    **{"subscribe": "lost delivering", "resume": "lost", "post": "room", "post_once": "room once"},
}
"""What stands before a script, behind what all begin with."""

_ALONE = ("create",)
"""Scripts that begin with nothing."""

_BEGINNINGS = {
    "": ("common", "opening"),
    "moving": ("common", "moving/common"),
    "registry": ("registry/common",),
}
"""What all others of a folder begin with."""


@dataclass(frozen=True, slots=True)
class Script:
    """A script as the server knows it."""

    name: str
    source: str
    sha: str
    writes: bool
    """Whether its answer tells that something was written."""
    opens: bool = False
    """Whether it begins with opening.lua, which takes the server's timeline from behind all arguments."""


def _load(name: str, file: str = "") -> Script:
    lua = files("storage.redis") / "lua"
    # `#!lua` makes every access to a key of another slot an error on a cluster, also where one node has both.
    first_line = "#!lua\n" if name in _REFUSED_WHEN_FULL else "#!lua flags=allow-oom\n"
    folder, _, _ = name.rpartition("/")
    parts = () if name in _ALONE else _BEGINNINGS[folder]
    parts += tuple(_BETWEEN.get(name, "").split())
    source = first_line + "".join((lua / f"{part}.lua").read_text() for part in (*parts, file or name))
    sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
    return Script(name, source, sha, writes=name not in _READS, opens="opening" in parts)


ARRIVED = _load("arrived")
CLAIM = _load("claim")
CLAIM_ADOPT = _load("claim_adopt")
CLAIM_GET = _load("claim_get")
CLAIM_LAPSE = _load("claim_lapse")
CLAIM_RELEASE = _load("claim_release")
CLAIM_UPDATE = _load("claim_update")
CREATE = _load("create")
DELETE = _load("delete")
DELETE_MANY = _load("delete_many")
DELIVER = _load("deliver")
DELIVERED = _load("delivered")
DELIVERIES = _load("deliveries")
DELIVERIES_OWN = _load("deliveries_own")
DELIVERY_DEAD_LETTERED = _load("delivery_dead_lettered", "delivery_failed")
DELIVERY_FAILED = _load("delivery_failed")
DELIVERY_POSTPONED = _load("delivery_postponed")
GET = _load("get")
LEASE = _load("lease")
LIST = _load("list")
OUTBOX = _load("outbox")
OUTBOX_FORGET = _load("outbox_forget")
POP = _load("pop", "claim")
POST = _load("post")
POST_ONCE = _load("post_once", "post")
PURGE = _load("purge")
RELEASE = _load("release")
REMOVE = _load("remove")
STATS = _load("stats")
RESUME = _load("resume")
SUBSCRIBE = _load("subscribe")
SUBSCRIPTION_FIND = _load("subscription_find")
SUBSCRIPTION_GET = _load("subscription_get")
SUBSCRIPTION_LIST = _load("subscription_list")
SUBSCRIPTION_UPDATE = _load("subscription_update")
SWEEP = _load("sweep")
UNDELIVERED = _load("undelivered")
UNSUBSCRIBE = _load("unsubscribe")

MOVE_ACKNOWLEDGE = _load("moving/acknowledge")
MOVE_ARRIVE = _load("moving/arrive")
MOVE_BEGIN = _load("moving/begin")
MOVE_CLEAR = _load("moving/clear")
MOVE_COPY = _load("moving/copy")
MOVE_DEPART = _load("moving/depart")
MOVE_FENCE = _load("moving/fence")
MOVE_FORGET = _load("moving/forget")
MOVE_GIVE_UP = _load("moving/give_up")
MOVE_IMPORT = _load("moving/import")
MOVE_OPEN = _load("moving/open")
MOVE_OUTBOX = _load("moving/outbox")
MOVE_SETTLE_IN = _load("moving/settle_in")
MOVE_TAKE = _load("moving/take")

REGISTRY_ADD = _load("registry/add")
REGISTRY_KEEP = _load("registry/keep")
REGISTRY_RELEASE = _load("registry/release")
REGISTRY_REMOVE = _load("registry/remove")
REGISTRY_TAKE = _load("registry/take")
