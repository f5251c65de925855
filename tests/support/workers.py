"""A gateway with several workers: which processes they are, and who is connected to which."""

from __future__ import annotations

from pathlib import Path

from tests.support.client import Client
from tests.support.gateway import Gateway
from tests.support.reactor import wait_until


def worker_of(gateway: Gateway, client: Client) -> int:
    """The number of the worker that a client is connected to."""
    host, port = client.socket.local_address[:2]

    def opened() -> list[int]:
        return [
            event["worker"]
            for event in gateway.events
            if event["event"] == "connection_opened" and event["peer"].endswith(f"{host}:{port}")
        ]

    wait_until(opened)
    return opened()[0]


def pids(gateway: Gateway) -> dict[int, int]:
    """The processes of the workers that listened last, by number."""
    events = [event for event in gateway.events if event["event"] == "worker_listening"]
    return {event["worker"]: event["pid"] for event in events}


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
