"""Inputs that are nearly right: what a fuzzer makes of good ones."""

from __future__ import annotations

import random
from collections.abc import Sequence

LONGEST = 20_000
"""Bytes of an input."""

INTERESTING = (
    *(b"\x00", b"\xff", b"\x80", b"\x7f", b"\xed\xa0\x80", b"\xc0\xaf", b"\xef\xbb\xbf"),
    *(b"[", b"]", b"{", b"}", b'"', b":", b",", b"\\u0000", b"\\ud800", b"null", b"NaN", b"-0", b"1e999"),
    *(b"[" * 200, b'{"a":' * 120, b"\x91" * 200, b"\xdf\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff"),
    *(b"\xc6\xff\xff\xff\xff", b"\xd9\xff", b"\xc7\x01\x05", b"\xcf" + b"\xff" * 8, b"99999999999999999999"),
    *(b".", b"..", b"==", b"=", b"-", b"_", b"\r\n", b"eyJ", b"none", b"HS256", b"crit"),
)
"""Pieces that parsers stumble over, of the forms that there are here."""


def mutated(source: random.Random, corpus: Sequence[bytes]) -> bytes:
    """One of the corpus, with a few changes at random."""
    data = bytearray(source.choice(corpus))
    for _ in range(source.choice((0, 1, 1, 1, 2, 3, 8))):
        _change(source, data, corpus)
    return bytes(data[:LONGEST])


def _change(source: random.Random, data: bytearray, corpus: Sequence[bytes]) -> None:
    at = source.randrange(len(data) + 1)
    until = min(len(data), at + source.choice((1, 1, 2, 4, 16, 64)))
    match source.randrange(7):
        case 0 if until > at:
            data[at] ^= 1 << source.randrange(8)
        case 1 if until > at:
            data[at] = source.randrange(256)
        case 2:
            del data[at:until]
        case 3:
            data[at:at] = data[at:until] * source.choice((1, 2, 50))
        case 4:
            data[at:at] = source.choice(INTERESTING)
        case 5:
            data[at:until] = source.choice(INTERESTING)
        case _:
            other = source.choice(corpus)
            start = source.randrange(len(other) + 1)
            data[at:until] = other[start : start + source.choice((4, 32, 256))]
