"""The short path against Autobahn as it comes: the same bytes in, the same messages, frames and state."""

from __future__ import annotations

import struct
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.in_memory import LIMIT, InMemory, Server, ShortPathServer
from tests.support.raw import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, make_frame


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = b"\x01\x82\x43\xf4",
    size_bytes: int = 0,
    claims: int | None = None,
) -> bytes:
    """A frame; `size_bytes` (0, 2, 8) forces the form of the length, `claims` is what it claims to have."""
    size = len(payload) if claims is None else claims
    form = size_bytes or (0 if size < 126 else 2 if size < 65_536 else 8)
    head = bytes([fin << 7 | rsv << 4 | opcode])
    bit = 0 if mask is None else 0x80
    match form:
        case 0:
            head += bytes([bit | size])
        case 2:
            head += struct.pack(">BH", bit | 126, size)
        case _:
            head += struct.pack(">BQ", bit | 127, size)
    if mask is None:
        return head + payload
    repeated = (mask * (len(payload) // 4 + 1))[: len(payload)]
    body = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return head + mask + body.to_bytes(len(payload), "big")


masks = st.binary(min_size=4, max_size=4) | st.just(bytes(4))
words = st.sampled_from([b"close", b"drop", b"abort"])
not_utf8 = st.sampled_from(
    [b"\xff", b"a\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"x" * 200 + b"\x80"]
)


def long(*units: bytes) -> st.SearchStrategy[bytes]:
    """Around the sizes where the form of the length or the limit changes."""
    sizes = st.sampled_from([125, 126, 65_535, 65_536, LIMIT, LIMIT + 1])
    return st.builds(lambda unit, size: (unit * size)[:size], st.sampled_from(units), sizes)


small_texts = st.text(max_size=60).map(str.encode)
small_binaries = st.binary(max_size=200)
texts = small_texts | small_texts | small_texts | long(b"x", "ü".encode())
binaries = small_binaries | small_binaries | small_binaries | long(b"\x00", b"\xff")
plain = st.one_of(
    st.builds(frame, st.just(TEXT), texts, mask=masks),
    st.builds(frame, st.just(BINARY), binaries, mask=masks),
)
control = st.builds(
    frame, st.sampled_from([PING, PONG]), st.binary(max_size=8) | st.just(b"x" * 125), mask=masks
)


@st.composite
def fragmented(draw: st.DrawFn) -> bytes:
    """A message in fragments, which may hold anything, with control frames in between."""
    kind = draw(st.sampled_from([TEXT, BINARY]))
    payload = draw(texts | not_utf8 if kind == TEXT else binaries)[:3000]
    ends = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=3)))
    pieces = [payload[i:j] for i, j in zip([0, *ends], [*ends, len(payload)], strict=True)]
    sent = b""
    for i, piece in enumerate(pieces):
        sent += frame(kind if i == 0 else CONTINUATION, piece, fin=i == len(pieces) - 1)
        if draw(st.booleans()):
            sent += draw(control)
    return sent


closes = st.builds(
    frame,
    st.just(CLOSE),
    st.just(b"")
    | st.binary(max_size=3)
    | st.builds(
        lambda code, reason: struct.pack(">H", code) + reason,
        st.sampled_from([0, 999, 1000, 1001, 1004, 1005, 1006, 1011, 1012, 2999, 3000, 4999, 5000, 65_535]),
        st.sampled_from([b"", b"bye", "ü".encode(), b"\xff", b"x" * 123]),
    ),
)
odd = st.one_of(
    st.builds(frame, st.just(TEXT), not_utf8, mask=masks),
    st.builds(frame, st.sampled_from([TEXT, BINARY]), words),
    # Any opcode, reserved bits, fragments that go nowhere, no mask.
    st.builds(
        frame,
        st.integers(0, 15),
        st.binary(max_size=130),
        fin=st.booleans(),
        rsv=st.sampled_from([0, 0, 1, 2, 4, 7]),
        mask=masks | st.none(),
    ),
    # Lengths that are not in their shortest form, too large, or not true.
    st.builds(frame, st.just(TEXT), st.binary(max_size=40), size_bytes=st.sampled_from([2, 8])),
    st.builds(frame, st.just(BINARY), st.just(b"x" * 300), size_bytes=st.just(8)),
    st.builds(
        frame,
        st.sampled_from([TEXT, BINARY, CONTINUATION]),
        st.binary(max_size=40),
        fin=st.booleans(),
        claims=st.sampled_from([LIMIT + 1, 65_535, 2**31, 2**63 - 1, 2**63, 2**64 - 1]),
    ),
)
streams = st.lists(st.one_of(plain, plain, plain, control, fragmented(), odd, closes), max_size=12).map(
    b"".join
)
cuts = st.lists(st.integers(0, 5_000), max_size=12) | st.lists(st.integers(0, 300_000), max_size=12)


def compare(stream: bytes, cut_at: list[int], options: dict[str, Any], pauses: list[float]) -> None:
    """Feed both the same, and look at both after every read."""
    ends = sorted({end for end in cut_at if end < len(stream)} | {len(stream)})
    # The time stands in the pings.
    with patch("autobahn.websocket.protocol.time.time_ns", return_value=1):
        stock, short = InMemory(Server, **options), InMemory(ShortPathServer, **options)
        begin = 0
        for i, end in enumerate(ends):
            for side in (stock, short):
                side.receive(stream[begin:end])
            assert short.seen() == stock.seen()
            begin = end
            if i < len(pauses):
                for side in (stock, short):
                    side.advance(pauses[i])
                assert short.seen() == stock.seen()
        for side in (stock, short):
            side.lose()
        assert short.seen() == stock.seen()


PINGS = {"autoPingInterval": 5, "autoPingTimeout": 3, "autoPingRestartOnAnyTraffic": True}
optional = st.sampled_from([{}, {}, PINGS, {**PINGS, "autoPingRestartOnAnyTraffic": False}])
pauses = st.lists(st.sampled_from([0.0, 1.0, 2.5, 5.0]), max_size=6)


@given(streams, cuts, optional, pauses)
@example(make_frame(TEXT, b"a") + make_frame(PING, b"b") + make_frame(TEXT, b"c"), [9], {}, [])
@example(make_frame(TEXT, b"a") * 3 + make_frame(TEXT, b"\xff") + make_frame(TEXT, b"a"), [], {}, [])
@example(make_frame(TEXT, b"a") * 8, [7, 14, 21], PINGS, [5.0, 2.5, 2.5, 1.0])
def test_nobody_can_tell_them_apart(
    stream: bytes, cut_at: list[int], options: dict[str, Any], waits: list[float]
) -> None:
    compare(stream, cut_at, options, waits)


@pytest.mark.long
@settings(max_examples=20_000)
@given(streams, cuts, optional, pauses)
def test_nobody_can_tell_them_apart_for_long(
    stream: bytes, cut_at: list[int], options: dict[str, Any], waits: list[float]
) -> None:
    compare(stream, cut_at, options, waits)


ODD: dict[str, bytes] = {
    "ping": frame(PING, b"x"),
    "fragments": frame(TEXT, b"a", fin=False) + frame(PING) + frame(CONTINUATION, b"b"),
    "message inside a message": frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"),
    "binary inside a text": frame(TEXT, b"a", fin=False) + frame(BINARY, b"b"),
    "continuation of nothing": frame(CONTINUATION, b"a"),
    "unmasked": frame(TEXT, b"0123456789", mask=None),
    "unmasked and longer": frame(BINARY, b"x" * 126, mask=None),
    "rsv": frame(TEXT, b"a", rsv=4),
    "reserved opcode": frame(3, b"a"),
    "reserved control opcode": frame(11, b"a"),
    "fragmented ping": frame(PING, b"a", fin=False),
    "2 bytes of length too many": frame(TEXT, b"x" * 125, size_bytes=2),
    "8 bytes of length too many": frame(BINARY, b"x" * 126, size_bytes=8),
    "as large as allowed": frame(TEXT, b"x" * LIMIT),
    "too large": frame(TEXT, b"x" * (LIMIT + 1)),
    "too large in two frames": frame(TEXT, b"x" * LIMIT, fin=False) + frame(CONTINUATION, b"x"),
    "not UTF-8": frame(TEXT, b"a\xed\xa0\x80"),
    "cut off character": frame(TEXT, b"a\xe2\x82"),
    "close": frame(CLOSE, b"\x03\xe8bye"),
    "close of one byte": frame(CLOSE, b"x"),
    "closed by us": frame(TEXT, b"close"),
    "dropped by us": frame(BINARY, b"drop"),
    "aborted by us": frame(BINARY, b"abort"),
}


@pytest.mark.parametrize("middle", ODD.values(), ids=ODD.keys())
def test_what_is_odd_between_what_is_not(middle: bytes) -> None:
    before, after = frame(TEXT, "grüß".encode()) * 2, frame(BINARY, b"x" * 200) + frame(TEXT, b"b")
    stream = before + middle + after
    near = [len(before) + i for i in range(-2, min(len(middle), 20) + 2)]
    for cut_at in [[], near, *([end] for end in near), [len(before) + len(middle) - 1]]:
        compare(stream, cut_at, {}, [])


@pytest.mark.parametrize("restart", [True, False])
@pytest.mark.parametrize("step", [1.0, 1.5, 2.5])
def test_what_comes_in_counts_as_an_answer_to_our_ping_or_not(restart: bool, step: float) -> None:
    options = {**PINGS, "autoPingRestartOnAnyTraffic": restart}
    stream = frame(TEXT, b"a") * 12
    compare(stream, list(range(0, len(stream), len(stream) // 12)), options, [step] * 12)


@pytest.mark.parametrize(
    "stream",
    [
        make_frame(TEXT, "grüß dich".encode()) + make_frame(PING, b"x") + make_frame(BINARY, b"\x80" * 200),
        make_frame(TEXT, b"a", fin=False) + make_frame(PING) + make_frame(CONTINUATION, b"b") * 2,
        make_frame(BINARY, b"x" * 126) + make_frame(TEXT, b"close") + make_frame(TEXT, b"after"),
        make_frame(TEXT, b"drop") + make_frame(TEXT, b"after"),
    ],
    ids=["ping between", "fragments", "closed by us", "dropped by us"],
)
def test_every_single_cut(stream: bytes) -> None:
    for end in range(len(stream)):
        compare(stream, [end], {}, [])
    compare(stream, list(range(len(stream))), {}, [])
