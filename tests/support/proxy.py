"""A small proxy between the gateway and its store, which a test cuts, stalls and heals.

::

    with Proxy(store.socket_path, tmp_path / "proxy.sock") as proxy:
        gateway = start_gateway(tmp_path / "data", "--redis-url", f"unix://{proxy.path}")
        proxy.cut()
        proxy.heal()
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from pathlib import Path
from typing import Literal

from tests.support.closing import Closing

_CHUNK = 65_536

Direction = Literal["to store", "from store"]

Pair = tuple[socket.socket, socket.socket]
"""A connection: its end at the gateway, and its end at the store."""


class Proxy(Closing):
    """Forwards connections from a Unix socket to another, or to a TCP port, in a thread of its own.

    What it has read it forwards, or drops with the connection. A stalled direction is not read: what is sent
    there stays in the kernel's buffers, as behind a network that is gone.
    """

    def __init__(self, target: Path | tuple[str, int], path: Path) -> None:
        self.path = path
        self.url = f"unix://{path}"
        self._target = str(target) if isinstance(target, Path) else target
        self._lock = threading.Lock()
        self._stalled: set[str] = set()
        self._only: Pair | None = None
        self.recorded: dict[Direction, bytearray] | None = None
        """What has gone each way since this was set to a dictionary."""
        self._pairs: list[Pair] = []
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ, "wake")
        self._listener: socket.socket | None = None
        self._listen()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    @property
    def connections(self) -> int:
        """How many are open now."""
        with self._lock:
            return len(self._pairs)

    def cut(self) -> None:
        """Close all connections, and listen no more until `heal`."""
        with self._lock:
            self._stop_listening()
            self._close_all()

    def break_connections(self) -> None:
        """Close all connections. New ones are forwarded."""
        with self._lock:
            self._close_all()

    def stall(self) -> None:
        """Forward nothing any more, in no direction; connections stay open and new ones are taken."""
        with self._lock:
            self._stalled = {"to store", "from store"}
            self._only = None
            self._rearm()

    def swallow_answers(self, *, oldest_only: bool = False) -> None:
        """Half-open: what the gateway sends arrives, what the store answers does not.

        :param oldest_only: only on the connection that was made first.
        """
        with self._lock:
            self._stalled = {"from store"}
            self._only = self._pairs[0] if oldest_only else None
            self._rearm()

    def heal(self) -> None:
        """Forward again. Connections that were stalled go on where they were."""
        with self._lock:
            self._stalled = set()
            self._rearm()
            self._listen()

    def close(self) -> None:
        """Close everything and end the thread."""
        self._ended = True
        self._wake.send(b"x")
        self._thread.join(5)
        with self._lock:
            self._stop_listening()
            self._close_all()
        self._wake.close()
        self._woken.close()
        self._selector.close()

    # --- the thread, and what the lock guards ---

    def _run(self) -> None:
        while not self._ended:
            for key, _ in self._selector.select():
                with self._lock:
                    if key.data == "wake":
                        self._woken.recv(_CHUNK)
                    elif key.data == "accept":
                        self._accept()
                    else:
                        self._forward(key.fileobj)  # type: ignore[arg-type]  # all others are sockets

    def _listen(self) -> None:
        if self._listener is None:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(self.path))
            self._listener.listen(64)
            self._selector.register(self._listener, selectors.EVENT_READ, "accept")

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None
            self.path.unlink()

    def _accept(self) -> None:
        if self._listener is None:  # closed meanwhile
            return
        near, _ = self._listener.accept()
        far = socket.socket(socket.AF_UNIX if isinstance(self._target, str) else socket.AF_INET)
        try:
            far.connect(self._target)
        except OSError:  # the store is down, as for a client without a proxy
            near.close()
            far.close()
            return
        self._pairs.append((near, far))
        self._rearm()

    def _forward(self, source: socket.socket) -> None:
        pair = next((pair for pair in self._pairs if source in pair), None)
        if pair is None or source not in self._selector.get_map():  # closed or stalled meanwhile
            return
        try:
            data = source.recv(_CHUNK)
            if data:
                direction: Direction = "to store" if source is pair[0] else "from store"
                if self.recorded is not None:
                    self.recorded.setdefault(direction, bytearray()).extend(data)
                (pair[1] if source is pair[0] else pair[0]).sendall(data)
                return
        except OSError:
            pass  # the same as its end
        self._close_pair(pair)

    def _close_pair(self, pair: Pair) -> None:
        self._pairs.remove(pair)
        for each in pair:
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(each)
            each.close()

    def _close_all(self) -> None:
        for pair in list(self._pairs):
            self._close_pair(pair)

    def _rearm(self) -> None:
        """Watch those directions that flow. A stalled one would wake the thread for ever."""
        watched = self._selector.get_map()
        for pair in self._pairs:
            for each, direction in zip(pair, ("to store", "from store"), strict=True):
                if direction in self._stalled and self._only in (None, pair):
                    if each in watched:
                        self._selector.unregister(each)
                elif each not in watched:
                    self._selector.register(each, selectors.EVENT_READ, direction)
