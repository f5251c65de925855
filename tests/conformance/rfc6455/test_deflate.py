"""The Autobahn test suite's cases of permessage-deflate (RFC 7692): 12.* and 13.*."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest

from tests.conformance.rfc6455.echo import PlainEcho, ShortPathEcho, echo_server
from tests.support.deflate import DeflateSocket
from tests.support.raw import BINARY, TEXT, Frame

SIZES = (0, 16, 64, 256, 1024, 4096, 8192, 16_384, 32_768, 65_536, 131_072)
"""Bytes of a message."""

PIECES = ((8192, 256), (65_536, 256), (131_072, 256), (131_072, 1024), (131_072, 4096), (131_072, 32_768))
"""Bytes of a message, and of its fragments."""

MESSAGES = 5
"""Of each size; the suite sends 1,000."""

OFFERS = (
    "permessage-deflate",
    "permessage-deflate; server_no_context_takeover",
    "permessage-deflate; client_no_context_takeover; client_max_window_bits",
    "permessage-deflate; server_max_window_bits=9",
    "permessage-deflate; server_max_window_bits=15",
    "permessage-deflate; server_no_context_takeover; server_max_window_bits=9",
    "permessage-deflate; server_max_window_bits=9; client_max_window_bits=9, permessage-deflate",
)

RANDOM = random.Random(7692)
TEXTS = json.dumps(
    [{"id": i, "text": "grün " * (i % 7), "at": RANDOM.random()} for i in range(4000)]
).encode()
NOISE = RANDOM.randbytes(150_000)


@pytest.fixture(scope="module", params=[ShortPathEcho, PlainEcho])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with echo_server(request.param) as url:
        yield url


@pytest.mark.parametrize(("opcode", "data"), [(TEXT, TEXTS), (BINARY, NOISE)], ids=["text", "noise"])
@pytest.mark.parametrize(("size", "piece"), [*((size, 0) for size in SIZES), *PIECES])
def test_messages(url: str, opcode: int, data: bytes, size: int, piece: int) -> None:
    with DeflateSocket(url, "permessage-deflate; client_max_window_bits") as raw:
        for number in range(MESSAGES):
            message = data[number : number + size]
            raw.send_compressed(opcode, message, piece)
            assert raw.receive_data() == Frame(opcode, message)
        assert raw.compressed == (MESSAGES if size >= 1024 else 0)


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("size", [16, 1024, 65_536])
def test_offers(url: str, offer: str, size: int) -> None:
    with DeflateSocket(url, offer) as raw:
        assert raw.agreed.startswith("permessage-deflate")
        for number in range(MESSAGES):
            message = TEXTS[number : number + size]
            raw.send_compressed(TEXT, message)
            assert raw.receive_data() == Frame(TEXT, message)
