"""Feeds mutated inputs to what reads bytes from strangers: `python -m tests.hostile.fuzz --minutes 10`.

Each target takes any bytes, and raises nothing but what it documents. The tests run each for a moment.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgpack

from gateway.push.frames import notice
from protocol import envelope
from protocol.codec import Form
from protocol.errors import RequestError
from schemas.events import DrainingEvent
from tests.hostile import strangers
from tests.hostile.mutation import mutated
from tests.support.in_memory import InMemory, Server, ShortPathServer
from tests.support.raw import BINARY, TEXT, make_frame
from tests.support.tokens import ALGORITHMS

CONVERSATIONS = Path(__file__).parents[1] / "conformance" / "ws"

SLOWEST = 2.0
"""Seconds that one input may take: more of them would stop a node."""


class Target(NamedTuple):
    """Something that reads bytes. `feed` raises for what is a fault of ours."""

    corpus: Sequence[bytes]
    feed: Callable[[bytes], object]


def requests() -> list[Any]:
    """The requests of the recorded conversations."""
    steps = [
        step
        for path in sorted(CONVERSATIONS.glob("*.json"))
        for step in json.loads(path.read_text(encoding="utf-8"))["steps"]
    ]
    return [step["send"] for step in steps if isinstance(step["send"], dict)]


def pack(document: Any) -> bytes | None:
    """In MessagePack; None where that cannot tell it."""
    try:
        return msgpack.packb(document)
    except (OverflowError, UnicodeEncodeError):
        return None


def read_request(form: Form, *, extended: bool) -> Callable[[bytes], object]:
    """Read a frame, check it, and make the reply that repeats it."""

    def feed(data: bytes) -> None:
        incoming = envelope.read(data, form, extended=extended)
        failure: RequestError | None = incoming.failure
        if failure is None:
            try:
                envelope.check(incoming)
            except RequestError as error:
                failure = error
        assert failure is None or 400 <= failure.status < 500, failure
        body = {} if failure is None else failure.body()
        assert envelope.reply(incoming, 200, body)

    return feed


def read_stream(data: bytes) -> None:
    """The bytes after the handshake: Autobahn and the short path do the same with them."""
    plain, short = InMemory(Server), InMemory(ShortPathServer)
    for socket in (plain, short):
        for start in range(0, len(data), 1 + len(data) // 3):
            socket.receive(data[start : start + 1 + len(data) // 3])
    assert plain.seen() == short.seen()


def targets() -> dict[str, Target]:
    """Everything that is fuzzed, by name."""
    documents = requests()
    texts = [json.dumps(each).encode() for each in documents]
    packed = [found for each in documents if (found := pack(each)) is not None]
    streams = [make_frame(TEXT, text) for text in texts[:200]] + [
        make_frame(BINARY, one) for one in packed[:200]
    ]
    streams.append(notice(DrainingEvent(reconnect_after_ms=1), 0))
    return {
        "JSON requests": Target(texts, read_request(Form.JSON, extended=False)),
        "JSON requests, extended": Target(texts, read_request(Form.JSON, extended=True)),
        "MessagePack requests": Target(packed, read_request(Form.MSGPACK, extended=False)),
        "MessagePack requests, extended": Target(packed, read_request(Form.MSGPACK, extended=True)),
        "frames": Target(streams, read_stream),
        **{f"{algorithm} tokens": Target(*strangers.tokens(algorithm)) for algorithm in ALGORITHMS},
        "tokens of handshakes": Target(*strangers.handshakes()),
        "signatures": Target(*strangers.signatures()),
        "hosts, origins and addresses": Target(*strangers.origins()),
    }


def fuzz(target: Target, seed: int, enough: Callable[[int], bool]) -> int:
    """Feed a target until `enough`, which is asked with the number of inputs so far; returns that number.

    Raises AssertionError with the input that something is wrong with.
    """
    source, count = random.Random(seed), 0
    while not enough(count):
        data = mutated(source, target.corpus)
        began = time.process_time()
        try:
            target.feed(data)
        except Exception as error:
            raise AssertionError(f"seed {seed}, input {count}: {data!r:.2000}") from error
        took = time.process_time() - began
        assert took < SLOWEST, f"seed {seed}, input {count} took {took:.1f} s: {data!r:.2000}"
        count += 1
    return count


def main() -> int:
    """Fuzz all targets in turn for some minutes; 1 if something was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    found = 0
    every = targets()
    for name, target in every.items():
        deadline = time.monotonic() + options.minutes * 60 / len(every)
        try:
            count = fuzz(target, options.seed, lambda _: time.monotonic() > deadline)  # noqa: B023  # called now
            print(f"{name}: {count} inputs, nothing found", flush=True)
        except AssertionError:
            found = 1
            print(f"{name}: FOUND\n{traceback.format_exc()}", flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
