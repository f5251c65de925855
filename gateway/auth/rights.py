"""What a token is restricted to: actions, on queues and flavors whose names match a pattern.

In a pattern `*` stands for any characters, also none, and `?` for one; all else stands for itself, upper and
lower case apart. A pattern matches whole names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from protocol.registry import ACTIONS

MAX_PATTERNS: Final = 100
"""Patterns of one token for queues, for flavors, and for actions on each."""

MAX_PATTERN: Final = 128
"""Characters of a pattern."""

ON_QUEUES: Final = frozenset(
    name
    for name, action in ACTIONS.items()
    if name == "queue_list" or "queue_name" in action.request.__struct_fields__
)
"""Actions that are done with a queue. A list shows the queues for which it is permitted."""

OF_ALL: Final = frozenset({"authenticate", "get_home_doc", "ping_node", "describe"})
"""Actions that tell nothing of a project: no token has to name them."""

ELSEWHERE: Final = frozenset(ACTIONS) - ON_QUEUES - OF_ALL
"""The others: pools, flavors and the node's health."""


class UnfitRights(ValueError):
    """They are not what rights have to be."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What may be done. Whatever is not named is refused."""

    queues: Mapping[str, re.Pattern[str]]
    """By action: the names of the queues that it may be done with."""
    listed: tuple[str, ...]
    """The patterns of the queues that may be listed."""
    flavors: re.Pattern[str]
    """The names of the flavors that may be named."""
    actions: frozenset[str]
    """Actions without a queue."""

    def permits(self, action: str, queue_name: str) -> bool:
        """Whether an action may be done with a queue."""
        names = self.queues.get(action)
        return names is not None and names.fullmatch(queue_name) is not None

    def permits_flavor(self, name: str) -> bool:
        """Whether a flavor may be named."""
        return self.flavors.fullmatch(name) is not None


def read_rights(claim: object) -> Rights:
    """The rights in a claim: `{"queues": {pattern: [action]}, "flavors": [pattern], "actions": [action]}`.

    Each may be left out, which permits nothing of it. Actions are names or patterns of such; what the gateway
    does not know permits nothing. Raises UnfitRights for any other form: a slip permits nothing either.
    """
    if not isinstance(claim, dict) or not claim.keys() <= {"queues", "flavors", "actions"}:
        raise UnfitRights
    queues = claim.get("queues", {})
    if not isinstance(queues, dict) or len(queues) > MAX_PATTERNS:
        raise UnfitRights
    by_action: dict[str, list[str]] = {}
    for pattern, actions in queues.items():
        _check_pattern(pattern)
        for action in _named(actions, ON_QUEUES):
            by_action.setdefault(action, []).append(pattern)
    return Rights(
        queues={action: compiled(tuple(sorted(found))) for action, found in by_action.items()},
        listed=tuple(by_action.get("queue_list", ())),
        flavors=compiled(tuple(_patterns(claim.get("flavors", [])))),
        actions=frozenset(_named(claim.get("actions", []), ELSEWHERE)),
    )


def _patterns(value: Any) -> list[str]:
    if not isinstance(value, list) or len(value) > MAX_PATTERNS:
        raise UnfitRights
    for pattern in value:
        _check_pattern(pattern)
    return value


def _check_pattern(pattern: object) -> None:
    if not isinstance(pattern, str) or not 1 <= len(pattern) <= MAX_PATTERN:
        raise UnfitRights


def _named(actions: Any, known: Iterable[str]) -> list[str]:
    """The known actions that are named."""
    names = compiled(tuple(_patterns(actions)))
    return [action for action in known if names.fullmatch(action)]


@lru_cache(maxsize=1_000)  # the tokens of one issuer are much alike
def compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """What matches the names that one of the patterns matches, in time that grows with both lengths only."""
    # Without any, nothing matches: not even an empty name.
    return re.compile("|".join(map(_expression, patterns)) or r"(?!)", re.DOTALL)


def _expression(pattern: str) -> str:
    first, *others = (_literal(part) for part in pattern.split("*"))
    if not others:
        return first
    # Atomic groups: what stands between two stars is taken where it is first, and that is enough.
    between = "".join(f"(?>.*?{part})" for part in others[:-1])
    return f"{first}{between}.*{others[-1]}"


def _literal(part: str) -> str:
    return "".join("." if character == "?" else re.escape(character) for character in part)
