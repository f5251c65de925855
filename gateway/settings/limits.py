"""What one client, project or queue may take: settings. 0 is no limit."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.settings.kinds import integer, seconds
from gateway.settings.setting import setting


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits."""

    max_sockets: int = setting(
        50_000, integer(0, 10_000_000), "WebSockets that a node may have open; 0 is no limit"
    )
    max_sockets_per_address: int = setting(
        0, integer(0, 10_000_000), "the same for each IPv4 address and each IPv6 network (/64); 0 is no limit"
    )
    max_sockets_per_project: int = setting(
        0,
        integer(0, 10_000_000),
        "the same for each project that sockets authenticate for; 0 is no limit",
    )
    max_http_connections: int = setting(
        10_000, integer(0, 10_000_000), "connections of plain HTTP that a node may have open; 0 is no limit"
    )
    max_http_connections_per_address: int = setting(
        0, integer(0, 10_000_000), "the same for each IPv4 address and each IPv6 network (/64); 0 is no limit"
    )
    max_subscriptions_per_socket: int = setting(
        1000, integer(0, 1_000_000), "subscriptions that a socket may have; 0 is no limit"
    )
    max_requests_per_second: int = setting(
        0, integer(0, 1_000_000), "requests that a socket may send per second, on average; 0 is no limit"
    )
    max_project_requests_per_second: int = setting(
        0, integer(0, 100_000_000), "the same for all sockets of a project on a node; 0 is no limit"
    )
    request_burst: float = setting(
        5.0, seconds(0.1, 3600), "seconds' worth of those requests that may come at once"
    )
    max_waiting_requests: int = setting(
        10_000,
        integer(0, 10_000_000),
        "requests over REST that may wait for messages at a time; 0 is no limit",
    )
    max_waiting_requests_per_project: int = setting(
        0, integer(0, 10_000_000), "the same for each project; 0 is no limit"
    )
    max_queues_per_project: int = setting(
        0, integer(0, 10_000_000), "queues that a project may have; 0 is no limit"
    )
    max_queue_messages: int = setting(
        0, integer(0, 1_000_000_000), "messages that a queue may hold; 0 is no limit"
    )
    max_queue_bytes: int = setting(
        0,
        integer(0, 1_000_000_000_000),
        "bytes that the messages of a queue may have, 21 and more of them for each; 0 is no limit",
    )
    max_project_bytes: int = setting(
        0,
        integer(0, 1_000_000_000_000_000),
        "the same for all queues of a project, as the sweeper adds them up; 0 is no limit",
    )
