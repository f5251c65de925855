"""A worker's side: what it is told at its start, and its channel to the supervisor."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from typing import Any

import msgspec

from gateway.logs import get_logger
from gateway.metrics import Metrics
from gateway.settings import Settings
from gateway.workers.channel import Channel, connect

CHANNEL_DESCRIPTOR = 3
"""Where a worker finds its end of the channel."""

ANSWER_TIMEOUT = 5.0
"""Seconds that the supervisor has for an answer."""

LISTENING = "listening"
"""Asked by a worker that listens now; the answer is empty."""

RELOAD = "reload"
"""Asked by the supervisor: load the certificate anew. The answer is empty."""

METRICS = "metrics"
"""Asked by the supervisor: what the worker has counted. Asked by a worker: what the whole node has."""

log = get_logger(__name__)


def pack_settings(settings: Settings) -> bytes:
    """The settings as a worker reads them from its standard input, where nobody else can."""
    return msgspec.json.encode(settings, enc_hook=str)


def read_settings(data: bytes) -> Settings:
    """What `pack_settings` has packed."""
    return msgspec.json.decode(data, type=Settings, dec_hook=lambda kind, text: kind(text))


class Worker:
    """This process as one of several. It ends, as by SIGTERM, when the supervisor does."""

    def __init__(self, reactor: Any, metrics: Metrics, reload: Callable[[], None]) -> None:
        self._metrics = metrics
        self._reload = reload
        self._channel = Channel(reactor, self._answer, self._supervisor_gone)
        connect(reactor, socket.socket(fileno=CHANNEL_DESCRIPTOR), self._channel)
        self._stopping = False

    async def listening(self) -> None:
        """Tell the supervisor that this worker listens."""
        await self._channel.ask(LISTENING, ANSWER_TIMEOUT)

    async def node_metrics(self) -> bytes:
        """What all workers have counted. ChannelClosed, TimeoutError."""
        return await self._channel.ask(METRICS, ANSWER_TIMEOUT)

    def stop(self) -> None:
        """The process is about to end by itself."""
        self._stopping = True

    async def _answer(self, question: str) -> bytes:
        if question == METRICS:
            return self._metrics.text()
        if question == RELOAD:
            self._reload()
        return b""

    def _supervisor_gone(self) -> None:
        if not self._stopping:
            log.error("supervisor_gone")
            os.kill(os.getpid(), signal.SIGTERM)
