"""What an action is called with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from msgspec import UNSET

from gateway.http.access import Access
from gateway.metrics import Metrics
from gateway.push.consumers import Consumers
from gateway.push.hub import Hub
from gateway.push.subscriber import Sink
from gateway.settings import Settings, is_loopback
from gateway.workers.worker import Worker
from protocol import envelope
from protocol.codec import Form
from protocol.envelope import Incoming
from protocol.errors import AdminOnly
from protocol.registry import Action
from storage.base import Catalog
from storage.redis.changes import CatalogChanges
from storage.router import Router
from storage.stores import Stores

Answer = tuple[int, Any]
"""What an action returns: the status and the body of the reply."""


class Client(Sink, Protocol):
    """The connection that a request came on."""

    extended: bool
    """Whether it has agreed on protocol.extension."""


@dataclass
class Node:
    """This node: what every request may use."""

    reactor: Any
    settings: Settings
    router: Router
    catalog: Catalog
    stores: Stores
    hub: Hub
    consumers: Consumers
    changes: CatalogChanges
    metrics: Metrics
    notification_url: str
    access: Access
    """Who may connect."""
    worker: Worker | None = None
    """This process as one of several; None if it is the only one."""
    draining: bool = False
    """Whether the node is about to stop: no request is taken up any more."""

    @property
    def trusts_everybody(self) -> bool:
        """Whether all who can connect may administer. There are no roles yet: only users of this machine."""
        return is_loopback(self.settings.host) and not self.settings.allow_anonymous

    async def all_metrics(self) -> bytes:
        """What the whole node has counted. ChannelClosed, TimeoutError: its supervisor does not say so."""
        return self.metrics.text() if self.worker is None else await self.worker.node_metrics()


class Call:
    """One request whose types and ranges are right, and who sent it."""

    __slots__ = ("body", "client", "form", "incoming", "node", "project", "router")

    def __init__(self, node: Node, client: Sink, incoming: Incoming) -> None:
        assert incoming.headers is not None
        self.node = node
        self.router = node.router
        self.client = client
        self.incoming = incoming
        self.form: Form = incoming.form
        self.body: Any = incoming.body
        self.project: str = incoming.headers.project_id

    @property
    def client_id(self) -> bytes:
        """The Client-ID as 16 bytes; only for actions that demand a UUID."""
        return envelope.client_id(self.incoming)


def authorise(node: Node, action: Action) -> None:
    """Raise AdminOnly if nobody here may do what only administrators may."""
    if action.admin and not node.trusts_everybody:
        raise AdminOnly(
            f"{action.name} is for administrators. As long as nobody authenticates it is answered only by a "
            "gateway that listens on loopback, without --allow-anonymous."
        )


def given(value: Any, default: Any) -> Any:
    """A field of the body, or what stands for it where it was left out."""
    return default if value is UNSET else value
