"""What a server's error replies mean: each stands for an error of storage.errors, or for a way to go on."""

from __future__ import annotations

from collections.abc import Callable

import hiredis

from storage.errors import (
    MoveLapsed,
    MoveOvertaken,
    QueueFull,
    StaleQueue,
    StoreBusy,
    StoreFailed,
    StoreFull,
    StoreLoading,
    StoreReadOnly,
    StoreUnavailable,
)
from storage.redis.address import Node


class ScriptUnknown(StoreFailed):
    """The server does not have the script: it is new, was restarted, or was told to forget (SCRIPT FLUSH)."""


class Demoted(StoreReadOnly):
    """The server is a replica, or has become one: the primary is elsewhere."""


class Moved(StoreFailed):
    """Another node of the cluster serves the slot (MOVED). Nothing was done."""

    def __init__(self, slot: int, node: Node) -> None:
        super().__init__("The message store is part of a cluster: its URL must begin with redis+cluster://.")
        self.slot = slot
        self.node = node


class Asked(StoreFailed):
    """The slot is on its way to another node, which may have the key by now (ASK). Nothing was done."""

    def __init__(self, node: Node) -> None:
        super().__init__("The message store's cluster sent the request to another node too often.")
        self.node = node


class SlotMoving(StoreBusy):
    """The slot is on its way to another node, neither has all keys (TRYAGAIN). Nothing was done."""


class SlotDown(StoreUnavailable):
    """No node of the cluster serves the slot (CLUSTERDOWN). Nothing was done."""


def _node(text: str) -> Node:
    """A node as a redirect tells it. Its host is empty where the cluster does not tell one."""
    host, _, port = text.rpartition(":")
    return Node(host, int(port))


def _moved(text: str) -> Exception:
    _, slot, node = text.split(" ")
    return Moved(int(slot), _node(node))


def _full(text: str, unit: str, limit: str) -> Exception:
    most = int(text.split(" ")[1])
    return QueueFull(
        f"The queue may hold {most} {unit}, and with these it would hold more. Take or delete some first.",
        limit,
    )


_REFUSALS: dict[str, Callable[[str], Exception]] = {
    "STALE": StaleQueue,
    "LAPSED": MoveLapsed,
    "OVERTAKEN": MoveOvertaken,
    "FULL_MESSAGES": lambda text: _full(text, "messages", "max_queue_messages"),
    "FULL_BYTES": lambda text: _full(text, "bytes", "max_queue_bytes"),
    "NOSCRIPT": ScriptUnknown,
    "OOM": lambda _: StoreFull(
        "The message store's memory is full: it takes nothing new until messages are deleted."
    ),
    "READONLY": lambda _: Demoted("The message store is a read-only replica."),
    "MISCONF": lambda _: StoreReadOnly("The message store cannot write to its disk."),
    "NOREPLICAS": lambda _: StoreReadOnly("The message store has too few replicas to take writes."),
    "MASTERDOWN": lambda _: Demoted("The message store is a replica without its primary."),
    "LOADING": lambda _: StoreLoading("The message store is still loading its data."),
    "BUSY": lambda _: StoreBusy("The message store is busy with a long script."),
    "MOVED": _moved,
    "ASK": lambda text: Asked(_node(text.split(" ")[2])),
    "TRYAGAIN": lambda _: SlotMoving("The queue is on its way to another node of the message store."),
    "CLUSTERDOWN": lambda _: SlotDown("No node of the message store's cluster serves the queue."),
}


def refusal(reply: hiredis.ReplyError) -> Exception:
    """The error that stands for an error reply of the server."""
    word = str(reply).split(" ", 1)[0]
    known = _REFUSALS.get(word)
    return StoreFailed(f"The message store refused: {reply}") if known is None else known(str(reply))
