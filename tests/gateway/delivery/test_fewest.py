"""Who has the fewest is next."""

from __future__ import annotations

from gateway.delivery.fewest import Fewest


def test_the_one_with_the_fewest_that_came_first() -> None:
    waiting: Fewest[str] = Fewest()
    assert waiting.first() is None
    waiting.put("a", 1)
    waiting.put("b", 0)
    waiting.put("c", 0)
    assert waiting.first() == "b"
    waiting.put("b", 0)
    assert waiting.first() == "b"
    waiting.put("b", 2)
    assert waiting.first() == "c"
    waiting.remove("c")
    waiting.remove("c")
    assert waiting.first() == "a"
    waiting.remove("a")
    assert waiting.first() == "b"
    waiting.remove("b")
    assert waiting.first() is None
