"""A stream that is cut at any byte and taken up again tells the queue: all of it, once, in order."""

from __future__ import annotations

import uuid

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.event_source import EventSource
from tests.support.gateway import Gateway
from tests.support.rest import Rest

steps = st.lists(
    st.one_of(
        st.tuples(st.just("post"), st.integers(1, 5)),
        st.tuples(st.just("read"), st.integers(1, 3)),
        st.tuples(st.just("cut"), st.integers(0, 700)),
    ),
    max_size=12,
)
"""So many messages are posted; so many are read; the stream is cut behind so many bytes more."""


@given(steps, st.sampled_from(["now", "earliest"]))
@settings(max_examples=40)
def test_a_stream_that_is_cut_anywhere(gateway: Gateway, steps: list[tuple[str, int]], start: str) -> None:
    with Rest(gateway.http_url, project=f"cuts-{uuid.uuid4().hex}") as rest:
        rest.done("PUT", "/v2/queues/q")
        posted = 0
        came: list[int] = []
        parameters = {"project": str(rest.project), "from": start}
        with EventSource(gateway.http_url, "/v2/queues/q/events", parameters) as events:
            for step, amount in [*steps, ("post", 1)]:
                if step == "post":
                    numbers = range(posted, posted + amount)
                    rest.done("POST", "/v2/queues/q/messages", {"messages": [{"body": n} for n in numbers]})
                    posted += amount
                elif step == "read":
                    came += events.bodies(min(amount, posted - len(came)))
                else:
                    came += [event.data["body"] for event in events.cut_behind(amount, posted - len(came))]
                    events.reopen()
            came += events.bodies(posted - len(came))
        assert came == list(range(posted))
