"""How many requests a process has that wait for messages: in all, and by project."""

from __future__ import annotations

from collections import Counter

from gateway.limits.share import part_of
from gateway.settings import Settings
from protocol.errors import TooManyRequests

COME_BACK = 1.0
"""Seconds after which a request that found no room is to come back."""


class WaitingRequests:
    """Counts them, where they are limited.

    :param share: among how many processes each limit is divided.
    """

    def __init__(self, settings: Settings, share: int = 1) -> None:
        self._most = part_of(settings.max_waiting_requests, share)
        self._most_per_project = part_of(settings.max_waiting_requests_per_project, share)
        self._by_project: Counter[str] = Counter()

    def enter(self, project: str) -> None:
        """A request begins to wait, and has to `leave`. Raises TooManyRequests where there is no room."""
        if self._most and self._by_project.total() >= self._most:
            raise _refusal("The gateway", "max_waiting_requests")
        if self._most_per_project and self._by_project[project] >= self._most_per_project:
            raise _refusal("The project", "max_waiting_requests_per_project")
        self._by_project[project] += 1

    def leave(self, project: str) -> None:
        """It waits no longer."""
        self._by_project[project] -= 1
        if not self._by_project[project]:
            del self._by_project[project]


def _refusal(who: str, limit: str) -> TooManyRequests:
    told = f"{who} has as many requests that wait for messages as it may. Come back, or ask without wait."
    return TooManyRequests(told, COME_BACK, limit)
