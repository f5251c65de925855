"""One request over REST, and what it is answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from gateway.http.rest import parameters
from schemas.rest import Link

TOPICS = "/v2/topics"


@dataclass(slots=True)
class Asked:
    """What the URL of a request says.

    :ivar path: decoded: `/v2/queues/jobs/messages`.
    :ivar arguments: what stands in the path in the places of names: `{"queue_name": "jobs"}`.
    :ivar query: the parameters that the route knows, in its order.
    """

    path: str
    arguments: Mapping[str, str]
    query: dict[str, Any]

    @property
    def of_topic(self) -> bool:
        """Whether the queue is called a topic."""
        return self.path.startswith(TOPICS)

    @property
    def queue_path(self) -> str:
        """The path of the queue that this is about."""
        return f"{TOPICS if self.of_topic else '/v2/queues'}/{self.arguments['queue_name']}"

    def next_links(self, marker: str | None) -> list[Link]:
        """The links of a page: the next one is behind `marker`; None: the page is empty.

        As upstream's it has the parameters of this page, and the marker where this page's was, or last.
        """
        if marker is None:
            return []
        query = parameters.write(self.query | {"marker": marker})
        return [Link(rel="next", href=f"{self.path}?{query}")]


class Shown(NamedTuple):
    """An answer. `body` is anything that JSON is made of; None: there is none."""

    status: int
    body: Any = None
    location: str = ""
    kind: str = "application/json"
