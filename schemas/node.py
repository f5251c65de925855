"""Authentication, and the node itself: requests and replies (protocol.md sections 3 and 8)."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType


class Authenticate(Struct, frozen=True):
    """Authenticate this connection with the token in the headers."""


class GetHomeDoc(Struct, frozen=True):
    """Read what the service offers."""


class CheckNodeHealth(Struct, frozen=True):
    """Try the store and the catalog."""


class PingNode(Struct, frozen=True):
    """See whether the node answers."""


class AuthenticateReply(Struct, frozen=True, kw_only=True):
    """The connection has authenticated."""

    message: str


class HomeDocReply(Struct, frozen=True, kw_only=True):
    """A home document: one entry per relation."""

    resources: dict[str, Any]


class OperationStatus(Struct, frozen=True, kw_only=True):
    """How one operation of the health check went. `seconds` it took; `ref` finds it in the log."""

    succeeded: bool
    seconds: float
    ref: str | None


class PoolHealth(Struct, frozen=True, kw_only=True):
    """Whether a pool's message store can be reached, and what was tried there."""

    storage_reachable: bool
    operation_status: dict[str, OperationStatus]


class HealthReply(Struct, frozen=True, kw_only=True):
    """What the node can reach, and what it tried. `pools` are those beside the default one."""

    storage_reachable: bool
    catalog_reachable: bool
    operation_status: dict[str, OperationStatus]
    pools: dict[str, PoolHealth] | UnsetType = UNSET


class Describe(Struct, frozen=True, kw_only=True):
    """Read what the node offers, and within which limits. Only on sockets that agreed on the extension."""

    schemas: bool | UnsetType = UNSET


class LimitsView(Struct, frozen=True, kw_only=True):
    """The limits in force. Sizes in bytes, durations in seconds. 0: the operator has set none."""

    max_frame_bytes: int
    max_frame_parts: int
    max_requests_in_flight: int
    max_messages_per_post: int
    max_page: int
    max_message_ttl: int
    max_message_delay: int
    max_claim_ttl: int
    max_request_id_characters: int
    max_dedup_id_bytes: int
    dedup_window: int
    max_requests_per_second: int
    max_project_requests_per_second: int
    request_burst: float
    max_subscriptions_per_socket: int
    max_consumers_per_socket: int
    max_queues_per_project: int
    max_queue_messages: int
    max_queue_bytes: int
    max_project_bytes: int


class DescribeReply(Struct, frozen=True, kw_only=True):
    """What the node offers. `server_time` is the node's own clock, in UTC; the store goes by its own."""

    version: str
    subprotocol: str
    server_time: str
    actions: list[str]
    features: list[str]
    limits: LimitsView
    schemas: dict[str, dict[str, Any]] | UnsetType = UNSET
