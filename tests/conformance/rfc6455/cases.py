"""What the Autobahn test suite asks of a server that echoes, case by case (RFC 6455).

Numbers are those of the suite. Left out are its cases that any behaviour passes (7.1.6, 7.13.x). Of 9.*,
which measure speed there, some send less.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from tests.support.raw import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Frame


class Sent(NamedTuple):
    """A frame to send. `chop`: bytes of each piece that it goes out in; 0 is all at once."""

    opcode: int
    payload: bytes = b""
    fin: bool = True
    rsv: int = 0
    chop: int = 0


class Pause(NamedTuple):
    """Wait for these frames before going on: what was sent so far has to be answered by now."""

    answers: tuple[Frame, ...] = ()


class Case(NamedTuple):
    """A conversation, and how it has to end."""

    number: str
    steps: Sequence[Sent | Pause]
    answers: Sequence[Frame] = ()
    """What comes back, in order."""
    codes: frozenset[int] = frozenset({1000})
    """The codes that the server may close with. 1000 alone: the client closes."""
    all_answered: bool = True
    """Whether the answers have to come although the server closes; else it is NON-STRICT there."""


HELLO: Final = b"Hello, world!"
PROTOCOL_ERROR: Final = frozenset({1002})
NOT_UTF8: Final = frozenset({1007})


def cases() -> Iterator[Case]:
    """All of them, in the suite's order."""
    yield from framing()
    yield from pings()
    yield from reserved_bits()
    yield from opcodes()
    yield from fragmentation()
    yield from texts()
    yield from closing()
    yield from sizes()
    yield Case("10.1.1", [Sent(TEXT, b"*" * 65_536, chop=1300)], [Frame(TEXT, b"*" * 65_536)])


def framing() -> Iterator[Case]:
    """1.*: messages of the sizes where the form of the length changes."""
    for group, opcode, byte in ((1, TEXT, b"*"), (2, BINARY, b"\xfe")):
        for number, size in enumerate((0, 125, 126, 127, 128, 65_535, 65_536), 1):
            yield echoed(f"1.{group}.{number}", opcode, byte * size)
        yield echoed(f"1.{group}.8", opcode, byte * 65_536, chop=997)


def echoed(number: str, opcode: int, payload: bytes, *, piece: int = 0, chop: int = 0) -> Case:
    """A message that comes back; in fragments of `piece` bytes."""
    pieces = [payload[i : i + piece] for i in range(0, len(payload), piece)] if piece else [payload]
    steps = [
        Sent(opcode if i == 0 else CONTINUATION, each, fin=i == len(pieces) - 1, chop=chop)
        for i, each in enumerate(pieces)
    ]
    return Case(number, steps, [Frame(opcode, payload)])


def pings() -> Iterator[Case]:
    """2.*: pings are answered with what they hold."""
    binary = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
    for number, payload in enumerate((b"", HELLO, binary, b"\xfe" * 125), 1):
        yield Case(f"2.{number}", [Sent(PING, payload)], [Frame(PONG, payload)])
    yield Case("2.5", [Sent(PING, b"\xfe" * 126)], codes=PROTOCOL_ERROR)
    yield Case("2.6", [Sent(PING, b"\xfe" * 125, chop=1)], [Frame(PONG, b"\xfe" * 125)])
    yield Case("2.7", [Sent(PONG)])
    yield Case("2.8", [Sent(PONG, b"unsolicited")])
    yield Case("2.9", [Sent(PONG, b"unsolicited"), Sent(PING, b"ping")], [Frame(PONG, b"ping")])
    ten = [b"payload-%d" % i for i in range(10)]
    yield Case("2.10", [Sent(PING, each) for each in ten], [Frame(PONG, each) for each in ten])
    yield Case("2.11", [Sent(PING, each, chop=1) for each in ten], [Frame(PONG, each) for each in ten])


def reserved_bits() -> Iterator[Case]:
    """3.*: no extension gives them a meaning."""
    hello, echo = Sent(TEXT, HELLO), Frame(TEXT, HELLO)
    yield Case("3.1", [hello._replace(rsv=1)], codes=PROTOCOL_ERROR)
    for number, rsv, chop in (("3.2", 2, 0), ("3.3", 3, 0), ("3.4", 4, 1)):
        steps = [hello._replace(chop=chop), hello._replace(rsv=rsv, chop=chop), Sent(PING, chop=chop)]
        yield Case(number, steps, [echo], PROTOCOL_ERROR, all_answered=False)
    yield Case("3.5", [Sent(BINARY, b"\x00\xff", rsv=5)], codes=PROTOCOL_ERROR)
    yield Case("3.6", [Sent(PING, HELLO, rsv=6)], codes=PROTOCOL_ERROR)
    yield Case("3.7", [Sent(CLOSE, rsv=7)], codes=PROTOCOL_ERROR)


def opcodes() -> Iterator[Case]:
    """4.*: opcodes without a meaning."""
    hello, echo = Sent(TEXT, HELLO), Frame(TEXT, HELLO)
    for group, first in ((1, 3), (2, 11)):
        for number, payload in ((1, b""), (2, b"reserved opcode")):
            yield Case(f"4.{group}.{number}", [Sent(first + number - 1, payload)], codes=PROTOCOL_ERROR)
        for number, payload, chop in ((3, b"", 0), (4, HELLO, 0), (5, HELLO, 1)):
            steps = [hello._replace(chop=chop), Sent(first + number - 1, payload, chop=chop), Sent(PING)]
            yield Case(f"4.{group}.{number}", steps, [echo], PROTOCOL_ERROR, all_answered=False)


def fragmentation() -> Iterator[Case]:
    """5.*: messages in pieces, with control frames in between, and pieces of nothing."""
    one, two = Sent(TEXT, b"fragment1", fin=False), Sent(CONTINUATION, b"fragment2")
    whole, ping, pong = Frame(TEXT, b"fragment1fragment2"), Sent(PING, b"ping"), Frame(PONG, b"ping")
    for number, opcode in ((1, PING), (2, PONG)):
        steps = [Sent(opcode, b"fragment1", fin=False), two]
        yield Case(f"5.{number}", steps, codes=PROTOCOL_ERROR)
    for number, chop in ((3, 0), (4, 0), (5, 1)):
        first, second = one._replace(chop=chop), two._replace(chop=chop)
        # 5.4 sends each frame in a write of its own.
        yield Case(f"5.{number}", [first, Pause(), second] if number == 4 else [first, second], [whole])
    for number, chop in ((6, 0), (7, 0), (8, 1)):
        parts = [each._replace(chop=chop) for each in (one, ping, two)]
        if number == 7:
            yield Case("5.7", [*parts[:2], Pause((pong,)), parts[2]], [whole])
        else:
            yield Case(f"5.{number}", parts, [pong, whole])
    for start, fin in ((9, True), (12, False)):
        for number, chop in ((start, 0), (start + 1, 0), (start + 2, 1)):
            steps = [Sent(CONTINUATION, b"continues nothing", fin=fin, chop=chop), Sent(TEXT, HELLO)]
            yield Case(f"5.{number}", steps, codes=PROTOCOL_ERROR)
    steps = [one, two, Sent(CONTINUATION, b"fragment3", fin=False), Sent(TEXT, b"fragment4")]
    yield Case("5.15", steps, [whole], PROTOCOL_ERROR, all_answered=False)
    for number, fin in ((16, False), (17, True)):
        steps = [Sent(CONTINUATION, b"fragment1", fin=fin), Sent(TEXT, b"fragment2", fin=False), two]
        yield Case(f"5.{number}", steps * 2, codes=PROTOCOL_ERROR)
    yield Case("5.18", [one, Sent(TEXT, b"fragment2")], codes=PROTOCOL_ERROR)
    five = [b"fragment%d" % i for i in range(1, 6)]
    middle = [Sent(CONTINUATION, each, fin=False) for each in five[1:4]]
    asked = [Frame(PONG, b"1"), Frame(PONG, b"2"), Frame(TEXT, b"".join(five))]
    for number, chop in ((19, 0), (20, 1)):
        begin = [Sent(TEXT, five[0], False), middle[0], Sent(PING, b"1")]
        end = [middle[1], middle[2], Sent(PING, b"2"), Sent(CONTINUATION, five[4])]
        chopped = [each._replace(chop=chop) for each in (*begin, *end)]
        yield Case(f"5.{number}", [*chopped[:3], Pause((asked[0],)), *chopped[3:]], asked[1:])


GREEK: Final = "κόσμε".encode()
EDITED: Final = b"edited"


def texts() -> Iterator[Case]:
    """6.*: text is UTF-8, and what is not ends the connection as soon as it is seen."""
    yield echoed("6.1.1", TEXT, b"")
    empty = Sent(CONTINUATION, fin=False)
    yield Case("6.1.2", [Sent(TEXT, fin=False), empty, Sent(CONTINUATION)], [Frame(TEXT, b"")])
    steps = [Sent(TEXT, fin=False), Sent(CONTINUATION, b"middle", fin=False), Sent(CONTINUATION)]
    yield Case("6.1.3", steps, [Frame(TEXT, b"middle")])
    text = "Hello-µ@ßöäüàá-UTF-8!!".encode()
    yield echoed("6.2.1", TEXT, text)
    for number, piece in ((2, 12), (3, 1)):
        yield echoed(f"6.2.{number}", TEXT, text, piece=piece)
    yield echoed("6.2.4", TEXT, GREEK, piece=1)
    wrong = GREEK + b"\xed\xa0\x80" + EDITED
    yield Case("6.3.1", [Sent(TEXT, wrong)], codes=NOT_UTF8)
    yield echoed("6.3.2", TEXT, wrong, piece=1)._replace(answers=(), codes=NOT_UTF8)
    too_high = b"\xf4\x90\x80\x80"
    # The rest is never sent: what was seen has to be enough.
    yield Case(
        "6.4.1", [Sent(TEXT, GREEK, fin=False), Sent(CONTINUATION, too_high, fin=False)], codes=NOT_UTF8
    )
    yield Case(
        "6.4.2",
        [Sent(TEXT, GREEK + b"\xf4", fin=False), Sent(CONTINUATION, b"\x90", fin=False)],
        codes=NOT_UTF8,
    )
    yield Case("6.4.3", [Sent(TEXT, GREEK + too_high + EDITED, chop=12)], codes=NOT_UTF8)
    yield Case("6.4.4", [Sent(TEXT, GREEK + too_high + EDITED, chop=1)], codes=NOT_UTF8)
    for group, sequences in enumerate(utf8_sequences(), 5):
        for number, sequence in enumerate(sequences, 1):
            yield (
                echoed(f"6.{group}.{number}", TEXT, sequence)
                if is_utf8(sequence)
                else Case(f"6.{group}.{number}", [Sent(TEXT, sequence)], codes=NOT_UTF8)
            )


def is_utf8(text: bytes) -> bool:
    """Whether these bytes are UTF-8 (RFC 3629)."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def utf8_sequences() -> Iterator[Sequence[bytes]]:
    """The groups of Markus Kuhn's stress test of UTF-8 decoders, in its order."""
    yield [b"hello$world", "hello¢world".encode(), "hello€world".encode(), "hello𤭢world".encode(), GREEK]
    yield [GREEK[:end] for end in range(1, len(GREEK) + 1)]
    yield [b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"]
    yield [b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"]
    yield [b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"]
    yield [b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"]
    yield [b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf", b"\xf4\x90\x80\x80"]
    yield [b"\x80", b"\xbf", *((b"\x80\xbf" * 3)[:size] for size in range(2, 7)), bytes(range(0x80, 0xBF))]
    starts = ((0xC0, 0xDF), (0xE0, 0xEF), (0xF0, 0xF7), (0xF8, 0xFB), (0xFC, 0xFD))
    yield [b"".join(bytes((byte, 0x20)) for byte in range(low, high)) for low, high in starts]
    unfinished = [
        first + b"\x80" * rest for rest, first in enumerate((b"\xc0", b"\xe0", b"\xf0", b"\xf8", b"\xfc"))
    ]
    unfinished += [
        first + b"\xbf" * rest for rest, first in enumerate((b"\xdf", b"\xef", b"\xf7", b"\xfb", b"\xfd"))
    ]
    yield unfinished
    yield [b"".join(unfinished)]
    yield [b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"]
    yield [first + b"\xaf" for first in overlong(b"\xc0", b"\xe0\x80", b"\x80")]
    yield [first + b"\xbf" for first in overlong(b"\xc1", b"\xe0\x9f", b"\xbf")]
    yield [first + b"\x80" for first in overlong(b"\xc0", b"\xe0\x80", b"\x80")]
    surrogates = [
        b"\xed" + each for each in (b"\xa0\x80", b"\xad\xbf", b"\xae\x80", b"\xaf\xbf", b"\xb0\x80")
    ]
    yield [*surrogates, b"\xed\xbe\x80", b"\xed\xbf\xbf"]
    yield [high + low for high in surrogates[:4] for low in (b"\xed\xb0\x80", b"\xed\xbf\xbf")]
    yield [chr(plane << 16 | last).encode() for plane in range(17) for last in (0xFFFE, 0xFFFF)]
    yield [chr(code).encode() for code in range(0xFFF9, 0x10000)]


def overlong(two: bytes, three: bytes, fill: bytes) -> Iterator[bytes]:
    """What comes before the last byte of a character that is written in 2, 3, 4, 5 and 6 bytes."""
    yield two
    yield three
    yield from ((b"\xf0" + b"\x8f" * (fill != b"\x80") + b"\x80" * (fill == b"\x80") + fill),)
    yield b"\xf8" + (b"\x87" if fill != b"\x80" else b"\x80") + fill * 2
    yield b"\xfc" + (b"\x83" if fill != b"\x80" else b"\x80") + fill * 3


def closing() -> Iterator[Case]:
    """7.*: the closing handshake, its codes and its reasons."""
    normal, hello = Sent(CLOSE, struct.pack(">H", 1000)), Sent(TEXT, b"Hello World!")
    yield Case("7.1.1", [hello, normal], [Frame(TEXT, b"Hello World!")])
    yield Case("7.1.2", [normal, normal])
    yield Case("7.1.3", [normal, Sent(PING)])
    yield Case("7.1.4", [normal, hello])
    yield Case("7.1.5", [Sent(TEXT, b"fragment1", fin=False), normal, Sent(CONTINUATION, b"fragment2")])
    yield Case("7.3.1", [Sent(CLOSE)], codes=frozenset({1000, 1005}))
    yield Case("7.3.2", [Sent(CLOSE, b"a")], codes=PROTOCOL_ERROR)
    yield Case("7.3.3", [normal])
    yield Case("7.3.4", [normal._replace(payload=normal.payload + HELLO)])
    yield Case("7.3.5", [normal._replace(payload=normal.payload + b"*" * 123)])
    yield Case("7.3.6", [normal._replace(payload=normal.payload + b"*" * 124)], codes=PROTOCOL_ERROR)
    wrong = GREEK + b"\xed\xa0\x80" + EDITED
    yield Case("7.5.1", [normal._replace(payload=normal.payload + wrong)], codes=frozenset({1002, 1007}))
    good = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
    for number, code in enumerate(good, 1):
        yield Case(f"7.7.{number}", [Sent(CLOSE, struct.pack(">H", code))], codes=frozenset({1000, code}))
    for number, code in enumerate((0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999), 1):
        yield Case(f"7.9.{number}", [Sent(CLOSE, struct.pack(">H", code))], codes=PROTOCOL_ERROR)


def sizes() -> Iterator[Case]:
    """9.*: large messages, whole, in fragments and in small writes; and many small ones."""
    for group, opcode, byte in ((1, TEXT, b"*"), (2, BINARY, b"\xfe")):
        for number, size in enumerate((1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 23, 1 << 24), 1):
            yield echoed(f"9.{group}.{number}", opcode, byte * size)
    whole = 1 << 22
    for group, opcode, byte in ((3, TEXT, b"*"), (4, BINARY, b"\xfe")):
        for number, piece in enumerate(
            (64, 256, 1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22), 1
        ):
            # Of the smallest pieces fewer: it is their number that takes time.
            yield echoed(f"9.{group}.{number}", opcode, byte * min(whole, piece * 1024), piece=piece)
    for group, opcode, byte in ((5, TEXT, b"*"), (6, BINARY, b"\xfe")):
        for number, chop in enumerate((64, 128, 256, 512, 1024, 2048), 1):
            yield echoed(f"9.{group}.{number}", opcode, byte * min(whole, chop * 1024), chop=chop)
    for group, opcode, byte in ((7, TEXT, b"*"), (8, BINARY, b"\xfe")):
        for number, size in enumerate((0, 16, 64, 256, 1024, 4096), 1):
            many = [Sent(opcode, byte * size)] * 100
            yield Case(f"9.{group}.{number}", many, [Frame(opcode, byte * size)] * 100)
