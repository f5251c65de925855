"""Values and frames for the property tests of the wire."""

from __future__ import annotations

import json
from typing import Any

import msgpack
from hypothesis import strategies as st

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
integers = st.one_of(st.integers(-(2**63), 2**64 - 1), st.sampled_from([2**64 - 1, -(2**63), 0]))
floats = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.one_of(st.none(), st.booleans(), integers, floats, texts)


def _grown(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.lists(children, max_size=4), st.dictionaries(texts, children, max_size=4))


values = st.recursive(scalars, _grown, max_leaves=20)
"""Values that JSON and MessagePack can both tell, as Python has them."""

binary_values = st.recursive(st.one_of(scalars, st.binary(max_size=12)), _grown, max_leaves=20)
"""The same with binary data, as MessagePack has it."""

any_integers = st.one_of(integers, st.integers(), st.sampled_from([2**64, -(2**63) - 1, 10**50, 10**100]))
any_floats = st.floats()
any_texts = st.text(max_size=12)
odd_keys = st.one_of(texts, st.binary(max_size=3), st.integers(-5, 5))
extensions = st.one_of(
    st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=4)),
    st.builds(msgpack.Timestamp, st.integers(0, 2**33)),
)

odd_values = st.recursive(
    st.one_of(scalars, any_floats, st.binary(max_size=6), extensions),
    lambda children: st.one_of(
        st.lists(children, max_size=4),
        st.dictionaries(texts, children, max_size=4),
        st.dictionaries(odd_keys, children, max_size=2),
    ),
    max_leaves=12,
)
"""Values that MessagePack can write, tellable or not."""

odd_json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), any_integers, any_floats, any_texts),
    lambda children: st.one_of(
        st.lists(children, max_size=4), st.dictionaries(any_texts, children, max_size=4)
    ),
    max_leaves=12,
)
"""Values that Python's json can write, tellable or not."""


def nested(depth: int, core: Any = 0) -> Any:
    """`core` inside `depth` lists."""
    value = core
    for _ in range(depth):
        value = [value]
    return value


def as_json(value: Any) -> bytes:
    """`value` as Python's json writes it."""
    return json.dumps(value).encode()


def as_msgpack(value: Any) -> bytes:
    """`value` as msgpack writes it."""
    packed: bytes = msgpack.packb(value)
    return packed
