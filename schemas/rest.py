"""The bodies of REST's answers, where they are others than the WebSocket's (protocol.md section 8)."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET, Raw, Struct, UnsetType

from schemas.flavors import FlavorView
from schemas.pools import PoolView
from schemas.subscriptions import SubscriptionView


class Refusal(Struct, frozen=True, kw_only=True):
    """Why a request was not done. `code` is stable; the texts are for people."""

    title: str
    description: str
    code: str


class Link(Struct, frozen=True, kw_only=True):
    """Where to go on."""

    rel: Literal["next"]
    href: str


class Queue(Struct, frozen=True, kw_only=True):
    """A queue, or a topic, in a list; `metadata` where `detailed` was asked for."""

    name: str
    href: str
    metadata: dict[str, Any] | UnsetType = UNSET


class QueuePage(Struct, frozen=True, kw_only=True):
    """A page of queues. `count`, of all of them, where `with_count` was asked for."""

    queues: list[Queue]
    links: list[Link]
    count: int | UnsetType = UNSET


class TopicPage(Struct, frozen=True, kw_only=True):
    """The same of topics."""

    topics: list[Queue]
    links: list[Link]
    count: int | UnsetType = UNSET


class Message(Struct, frozen=True, kw_only=True):
    """A message. `ttl` and `age` in seconds; `href` is where it is deleted, with the claim that holds it."""

    id: str
    href: str
    claim_id: str | None
    ttl: int
    age: int
    body: Raw
    checksum: str | UnsetType = UNSET
    claim_count: int | UnsetType = UNSET


class CountedMessage(Message, frozen=True, kw_only=True):
    """A message in statistics, with the time when it was posted."""

    created: str


class MessagePage(Struct, frozen=True, kw_only=True):
    """A page of messages."""

    messages: list[Message]
    links: list[Link]


class Messages(Struct, frozen=True, kw_only=True):
    """Messages that were found, claimed or taken."""

    messages: list[Message]


class Posted(Struct, frozen=True, kw_only=True):
    """The paths of the new messages, in the order of the post."""

    resources: list[str]


class Counts(Struct, frozen=True, kw_only=True):
    """How many messages a queue holds, and which are its newest and oldest."""

    claimed: int
    free: int
    total: int
    newest: CountedMessage | UnsetType = UNSET
    oldest: CountedMessage | UnsetType = UNSET


class Stats(Struct, frozen=True, kw_only=True):
    """The statistics of a queue."""

    messages: Counts


class Claim(Struct, frozen=True, kw_only=True):
    """A claim. `age` and `ttl` in seconds."""

    href: str
    age: int
    ttl: int
    messages: list[Message]


class Subscribed(Struct, frozen=True, kw_only=True):
    """A new subscription."""

    subscription_id: str
    signature_secret: str | UnsetType = UNSET


class SubscriptionPage(Struct, frozen=True, kw_only=True):
    """A page of subscriptions."""

    subscriptions: list[SubscriptionView]
    links: list[Link]


class Pool(PoolView, frozen=True, kw_only=True):
    """A pool. Its `uri` has no password."""

    href: str


class PoolPage(Struct, frozen=True, kw_only=True):
    """A page of pools."""

    pools: list[Pool]
    links: list[Link]


class Flavor(FlavorView, frozen=True, kw_only=True):
    """A flavor."""

    href: str


class FlavorPage(Struct, frozen=True, kw_only=True):
    """A page of flavors."""

    flavors: list[Flavor]
    links: list[Link]


class MediaType(Struct, frozen=True, kw_only=True):
    """A media type, and the general one that it is a kind of."""

    base: str
    type: str


class VersionLink(Struct, frozen=True, kw_only=True):
    """Where a version is."""

    href: str
    rel: Literal["self"]


class Version(Struct, frozen=True, kw_only=True, rename={"media_types": "media-types"}):
    """A version of the API."""

    id: str
    status: str
    updated: str
    media_types: list[MediaType]
    links: list[VersionLink]


class Versions(Struct, frozen=True, kw_only=True):
    """The versions of the API."""

    versions: list[Version]
