"""What an action is called with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from msgspec import UNSET

from gateway.auth.authenticator import Authenticator
from gateway.auth.authorisation import Authorisation
from gateway.auth.identity import Identity
from gateway.auth.trusts import Trusts
from gateway.delivery.confirmations import Confirmations
from gateway.delivery.deliveries import Deliveries
from gateway.http.access import Access
from gateway.limits.rates import Rates
from gateway.limits.sockets import OpenSockets
from gateway.limits.usage import Usage
from gateway.metrics import Metrics
from gateway.push.arrivals import Arrivals
from gateway.push.consumers import Consumers
from gateway.push.hub import Hub
from gateway.push.subscriber import Sink
from gateway.settings import Settings
from gateway.workers.worker import Worker
from protocol import envelope
from protocol.codec import Form
from protocol.envelope import Incoming
from storage.base import Catalog
from storage.encryption import Keyring
from storage.redis.changes import CatalogChanges
from storage.router import Router
from storage.stores import Stores

Answer = tuple[int, Any]
"""What an action returns: the status and the body of the reply."""


class Authentication(Protocol):
    """Who speaks on a connection."""

    async def authenticate(self, token: str) -> None:
        """Let whom the token speaks for speak from now on. AuthenticationFailed, Unavailable: all stays."""


class Client(Sink, Protocol):
    """The connection that a request came on."""

    identity: Identity | None
    """Who has authenticated on it; None: nobody, or nobody has to."""

    @property
    def authentication(self) -> Authentication | None:
        """Lets it authenticate; None: nobody has to."""


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
    arrivals: Arrivals
    deliveries: Deliveries
    changes: CatalogChanges
    metrics: Metrics
    notification_url: str
    access: Access
    """Who may connect."""
    authorisation: Authorisation
    open_sockets: OpenSockets
    signing_keys: Sequence[bytes] = ()
    """Secret keys: the first signs URLs, signatures of all are accepted; none: nothing is signed."""
    keyring: Keyring = field(default_factory=Keyring)
    """Keys by which messages are encrypted."""
    confirmations: Confirmations | None = None
    """Asks subscribers that are not sockets to confirm; None: they need not."""
    trusts: Trusts | None = None
    """Lets the gateway speak for who has a token of Keystone's; None: nobody has."""
    authenticator: Authenticator | None = None
    """Finds out whom a token speaks for; None: nobody has to authenticate."""
    rates: Rates | None = None
    """How fast requests may come; None: as fast as they can."""
    usage: Usage | None = None
    """How many bytes each project has; None: it may have any number."""
    worker: Worker | None = None
    """This process as one of several; None if it is the only one."""
    draining: bool = False
    """Whether the node is about to stop: no request is taken up any more."""

    async def all_metrics(self) -> bytes:
        """What the whole node has counted. ChannelClosed, TimeoutError: its supervisor does not say so."""
        return self.metrics.text() if self.worker is None else await self.worker.node_metrics()


class Call:
    """One request whose types and ranges are right, and who sent it."""

    __slots__ = ("body", "client", "form", "incoming", "node", "project", "router")

    def __init__(self, node: Node, client: Client, incoming: Incoming) -> None:
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


def given(value: Any, default: Any) -> Any:
    """A field of the body, or what stands for it where it was left out."""
    return default if value is UNSET else value
