"""The choice of a pool by weight."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.pools import choose

names = st.text(max_size=4)


@given(weights=st.dictionaries(names, st.integers(0, 20), max_size=8))
def test_each_pool_gets_as_many_numbers_as_it_weighs(weights: dict[str, int]) -> None:
    chosen = Counter(choose(weights, number) for number in range(sum(weights.values())))
    assert chosen == Counter(weights)


@given(weights=st.dictionaries(names, st.integers(0, 2**32 - 1), min_size=1), data=st.data())
def test_a_pool_without_weight_is_never_chosen(weights: dict[str, int], data: st.DataObject) -> None:
    total = sum(weights.values())
    number = data.draw(st.integers(0, max(0, total - 1)))
    if total:
        assert weights[choose(weights, number)] > 0
    else:
        with pytest.raises(ValueError, match="not below the sum"):
            choose(weights, number)


@given(weights=st.dictionaries(names, st.integers(0, 2**32 - 1)))
def test_there_is_nothing_beyond_the_sum(weights: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="not below the sum"):
        choose(weights, sum(weights.values()))
