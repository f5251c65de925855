"""How fast sockets and projects may send requests."""

from __future__ import annotations

import math
from collections import OrderedDict

from gateway.limits.bucket import TokenBucket
from gateway.settings import Settings
from protocol.errors import TooManyRequests
from schemas import limits

MAX_PROJECTS = 10_000
"""Projects whose requests are counted at a time; the one that was quiet for longest is forgotten first."""


class Rates:
    """The rates of a process: a bucket for each project, and one for each socket, which that keeps itself.

    :param share: among how many processes the rate of a project is divided.
    """

    def __init__(self, settings: Settings, share: int = 1) -> None:
        self._of_socket = float(settings.max_requests_per_second)
        self._of_project = settings.max_project_requests_per_second / share
        self._seconds = settings.request_burst
        self._projects: OrderedDict[str, TokenBucket] = OrderedDict()

    @property
    def are_limited(self) -> bool:
        """Whether there is anything to ask."""
        return self._of_socket > 0 or self._of_project > 0

    def new_bucket(self) -> TokenBucket | None:
        """The bucket of a new socket; None if sockets are not limited."""
        return self._bucket(self._of_socket) if self._of_socket else None

    def refusal(self, bucket: TokenBucket | None, project: str | None, now: float) -> TooManyRequests | None:
        """Count a request of a socket and of its project, if it has one. Why it is refused, or None.

        A request that its socket sends too early costs its project nothing. `now` is in seconds.
        """
        if bucket is not None:
            wait = bucket.take(now)
            if wait:
                return _refusal("This socket", wait, "max_requests_per_second")
        if project is not None and self._of_project:
            wait = self._project(project).take(now)
            if wait:
                return _refusal("This project", wait, "max_project_requests_per_second")
        return None

    def _project(self, name: str) -> TokenBucket:
        # Nobody has looked at it yet: what is longer is no project, and shall not be kept either.
        name = name[: limits.PROJECT_CHARACTERS]
        bucket = self._projects.get(name)
        if bucket is None:
            bucket = self._projects[name] = self._bucket(self._of_project)
            if len(self._projects) > MAX_PROJECTS:
                self._projects.popitem(last=False)
        else:
            self._projects.move_to_end(name)
        return bucket

    def _bucket(self, rate: float) -> TokenBucket:
        return TokenBucket(rate, rate * self._seconds)


def _refusal(who: str, wait: float, limit: str) -> TooManyRequests:
    # Rounded up, so that whoever comes back after that is not too early again.
    seconds = math.ceil(wait * 1000) / 1000
    return TooManyRequests(f"{who} sends requests too fast. Send it again in {seconds:g} s.", seconds, limit)
