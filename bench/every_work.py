"""All the work that is compared, in the order of its tables."""

from __future__ import annotations

from collections.abc import Sequence

from bench.rest_work import RestPost, Webhooks
from bench.work import SEVERAL, Fanout, Idle, Pauses, Post, PostToPush, Resume, Work

WORK: Sequence[Work] = (
    Post("post", 1, "22 us, 20 us without echo, 30,000/s"),
    Post("post16", 16, "12 us"),
    RestPost("rest", 64),
    RestPost("rest1", 1),
    Fanout("fanout", 1, "1.3 x the C send loop"),
    Fanout("fanout8", SEVERAL, "1.5 us, 0.75 x NATS"),
    PostToPush(),
    Webhooks("webhooks", 100, 5),
    Webhooks("webhooks1", 1, 100),
    Idle(),
    Pauses(),
    Resume(),
)
