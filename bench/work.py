"""The work that is compared: what is measured, on how many sockets, and with which servers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from bench.load import Load
from bench.peers import zaqar_frames
from bench.peers.gateway import Gateway, WatchedGateway, collections
from bench.peers.peer import Peer
from bench.server import Server

MISSED = 10
"""Messages that are posted while all sockets are away."""

SEVERAL = 8
"""Messages that are published in one piece."""


@dataclass(frozen=True)
class Column:
    """A figure: its key, what stands above it, and how it is shown."""

    key: str
    title: str
    digits: int = 1


@dataclass(frozen=True)
class Scale:
    """How much of it is done.

    `seconds` a measurement lasts, after `warm_up` seconds; `sockets` in the large cases, and `subscribers`
    in a fan-out.
    """

    seconds: float
    warm_up: float
    sockets: int
    subscribers: int = 1000


FULL = Scale(seconds=3.0, warm_up=1.0, sockets=5000)
QUICK = Scale(seconds=1.0, warm_up=0.3, sockets=1000)

RATES = (
    Column("cpu_us", "CPU us"),
    Column("store_us", "store us"),
    Column("per_second", "per second", 0),
    Column("p50_ms", "p50 ms", 2),
    Column("p99_ms", "p99 ms", 2),
)


class Work(ABC):
    """One measurement. `aim` is what this project wants to reach."""

    key: str
    title: str
    columns: Sequence[Column] = RATES
    aim = ""
    fresh = False
    """Whether each measurement needs a server that has done nothing yet."""

    @property
    def main(self) -> str:
        """The key of the figure that counts."""
        return self.columns[0].key

    def suits(self, peer: Peer) -> bool:
        """Whether it is asked of the server. Without echo, the gateway is asked for posts only."""
        return not (isinstance(peer, Gateway) and not peer.echo)

    @abstractmethod
    def measure(self, peer: Peer, server: Server, scale: Scale) -> dict[str, float]:
        """Do it once; returns the figures by key. Raises `LoadError` or `ServerError`."""

    def note(self, peer: Peer, scale: Scale) -> str:
        """What is not as the title says."""
        return ""

    def peer(self, peer: Peer) -> Peer:
        """The server as this work starts it."""
        return peer


def rates(load: Load, server: Server, scale: Scale) -> dict[str, float]:
    """Open and prepare the sockets, warm up, run; returns CPU per operation, rate and latency."""
    load.do("open")
    load.do("prepare")
    load.do(f"run {scale.warm_up}")
    before = server.usage()
    done = load.do(f"run {scale.seconds}")
    after = server.usage()
    return {
        "cpu_us": (after.server - before.server) / done.operations * 1e6,
        "store_us": (after.store - before.store) / done.operations * 1e6,
        "per_second": done.operations / done.seconds,
        "p50_ms": done.p50_us / 1000,
        "p99_ms": done.p99_us / 1000,
        "load_us": done.load_cpu_seconds / done.operations * 1e6,
        "server_busy": (after.server - before.server) / done.seconds,
        "load_busy": done.load_cpu_seconds / done.seconds,
    }


class Post(Work):
    """Requests that store one message each."""

    def __init__(self, key: str, outstanding: int, aim: str) -> None:
        self.key, self.aim, self._outstanding = key, aim, outstanding
        self.title = f"message_post, 1 x 100 B, 64 sockets, {outstanding} outstanding on each"

    def suits(self, peer: Peer) -> bool:
        return peer.post() is not None

    def measure(self, peer: Peer, server: Server, scale: Scale) -> dict[str, float]:
        options = [*(peer.post() or []), "--outstanding", str(self._outstanding)]
        with Load(server.port, 64, options) as load:
            return rates(load, server, scale)


class Fanout(Work):
    """Messages that go to many sockets; the next are published when all have the last."""

    def __init__(self, key: str, messages: int, aim: str) -> None:
        self.key, self.aim, self._messages = key, aim, messages
        what = "one message" if messages == 1 else f"{messages} messages at once"
        self.title = f"fan-out of {what} to 1,000 sockets, per delivery"

    def measure(self, peer: Peer, server: Server, scale: Scale) -> dict[str, float]:
        options = [*peer.publish(self._messages), "--batch", str(self._messages)]
        with Load(server.port, peer.sockets(scale.subscribers), options) as load:
            return rates(load, server, scale)

    def note(self, peer: Peer, scale: Scale) -> str:
        return other_sockets(peer, scale.subscribers)


class PostToPush(Work):
    """Messages at a steady pace; from when each is due to be posted to when each subscriber has it."""

    key = "latency"
    title = "post to push, 100 subscribers, 50 posts/s"
    columns = (
        Column("p50_ms", "p50 ms", 2),
        Column("p99_ms", "p99 ms", 2),
        Column("cpu_us", "CPU us"),
        Column("store_us", "store us"),
    )
    aim = "1 / 4 ms"

    def measure(self, peer: Peer, server: Server, scale: Scale) -> dict[str, float]:
        options = [*peer.publish(1), "--rate", str(peer.rate(50))]
        with Load(server.port, 100, options) as load:
            return rates(load, server, scale)

    def note(self, peer: Peer, scale: Scale) -> str:
        return "" if peer.rate(50) == 50 else f"{peer.rate(50):.0f} posts/s"


class Idle(Work):
    """Sockets that are opened, subscribed, and left alone."""

    key = "idle"
    title = "idle subscribed sockets"
    columns = (
        Column("memory_kb", "memory kB"),
        Column("accept_us", "accept CPU us"),
        Column("subscribe_us", "subscribe CPU us"),
    )
    aim = "5 kB, 300 us"
    fresh = True

    def measure(self, peer: Peer, server: Server, scale: Scale) -> dict[str, float]:
        count = peer.sockets(scale.sockets)
        server.settle()
        self._warm_up(peer, server)
        before = server.usage()
        with Load(server.port, count, peer.subscribe()) as load:
            load.do("open")
            opened = server.usage()
            load.do("prepare")
            server.settle()
            after = server.usage()
        return {
            "memory_kb": (after.resident - before.resident) / count / 1000,
            "accept_us": (opened.server - before.server) / count * 1e6,
            "subscribe_us": (after.server - opened.server) / count * 1e6,
        }

    def _warm_up(self, peer: Peer, server: Server) -> None:
        # What is loaded or allocated by the first sockets is not what the next ones cost.
        with Load(server.port, 20, peer.subscribe()) as load:
            load.do("open")
            load.do("prepare")
        server.settle()

    def note(self, peer: Peer, scale: Scale) -> str:
        return other_sockets(peer, scale.sockets) or f"{scale.sockets} sockets"


class Pauses(Work):
    """Garbage collection while many sockets are opened, subscribed, pushed to and closed."""

    key = "pauses"
    title = "longest garbage collection with many sockets"
    columns = (
        Column("longest_ms", "longest ms", 2),
        Column("opening_ms", "opening ms", 2),
        Column("pushing_ms", "pushing ms", 2),
        Column("closing_ms", "closing ms", 2),
    )
    aim = "5 ms"
    fresh = True

    def suits(self, peer: Peer) -> bool:
        return isinstance(peer, Gateway) and peer.echo

    def peer(self, peer: Peer) -> Peer:
        assert isinstance(peer, Gateway)
        return WatchedGateway(peer.name, peer.command)

    def measure(self, peer: Peer, server: Server, scale: Scale) -> dict[str, float]:
        at_start = len(collections(server.folder))
        with Load(server.port, scale.sockets, peer.publish(1)) as load:
            load.do("open")
            load.do("prepare")
            opened = len(collections(server.folder))
            load.do(f"run {scale.seconds}")
            ran = len(collections(server.folder))
        server.settle()
        took = [one / 1000 for one in collections(server.folder)]
        return {
            "longest_ms": max(took[at_start:], default=0.0),
            "opening_ms": max(took[at_start:opened], default=0.0),
            "pushing_ms": max(took[opened:ran], default=0.0),
            "closing_ms": max(took[ran:], default=0.0),
        }

    def note(self, peer: Peer, scale: Scale) -> str:
        return f"{scale.sockets} sockets"


class Resume(Work):
    """All sockets are dropped at once, miss some messages, and come back to them; CPU from the drop on."""

    key = "resume"
    title = f"all sockets dropped at once, {MISSED} messages posted, all back with them; per socket"
    columns = (
        Column("cpu_us", "CPU us"),
        Column("store_us", "store us"),
        Column("seconds", "all back s", 2),
        Column("p50_ms", "p50 ms"),
        Column("p99_ms", "p99 ms"),
    )
    aim = "1,000 us"
    fresh = True

    def suits(self, peer: Peer) -> bool:
        return isinstance(peer, Gateway) and peer.echo

    def measure(self, peer: Peer, server: Server, scale: Scale) -> dict[str, float]:
        (marker,) = zaqar_frames.post_once(server.port, 1)
        options = [*peer.subscribe(), *zaqar_frames.resume(marker, MISSED), "--at-once", "256"]
        with Load(server.port, scale.sockets, options) as load:
            load.do("open")
            load.do("prepare")
            server.settle()
            before = server.usage()
            load.drop()
            zaqar_frames.post_once(server.port, MISSED)
            done = load.do("resume")
            after = server.usage()
        return {
            "cpu_us": (after.server - before.server) / done.operations * 1e6,
            "store_us": (after.store - before.store) / done.operations * 1e6,
            "seconds": done.seconds,
            "p50_ms": done.p50_us / 1000,
            "p99_ms": done.p99_us / 1000,
        }

    def note(self, peer: Peer, scale: Scale) -> str:
        return f"{scale.sockets} sockets; subscribed from behind the last message that they had"


def other_sockets(peer: Peer, wanted: int) -> str:
    """Says that a server is measured with fewer sockets, if it is."""
    return "" if peer.sockets(wanted) == wanted else f"{peer.sockets(wanted)} sockets"
