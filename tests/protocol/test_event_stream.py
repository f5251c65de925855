"""Server-sent events as bytes."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from protocol import event_stream
from tests.protocol.strategies import values
from tests.support.event_source import Event, Parser


def test_a_message_is_one_event_with_its_position() -> None:
    assert event_stream.message(b'{"a":1}', 17) == b'id: 17\ndata: {"a":1}\n\n'


def test_a_notice_has_a_name_and_may_say_where_and_when_to_come_back() -> None:
    assert event_stream.notice("gap", b"{}", 0, 500) == b"event: gap\nid: 0\nretry: 500\ndata: {}\n\n"
    assert event_stream.notice("behind", b"{}") == b"event: behind\ndata: {}\n\n"


def test_a_place_is_no_event() -> None:
    parser = Parser()
    assert list(parser.feed(event_stream.place(5, 1000))) == [None]
    assert (parser.last_id, parser.retry) == ("5", 1000)
    assert list(parser.feed(event_stream.place(None, 2000) + event_stream.COMMENT)) == [None, None]
    assert (parser.last_id, parser.retry, parser.comments) == ("5", 2000, 1)


def pretty(document: object, indent: int | str | None) -> bytes:
    """With line ends between its parts, where there is an indent."""
    return json.dumps(document, indent=indent, ensure_ascii=False).replace("\n", "\r\n").encode()


@given(st.lists(values, max_size=3), st.sampled_from([None, 1, "\t"]), st.integers(1, 9))
def test_documents_of_any_shape_come_as_they_are(
    documents: list[object], indent: int | str | None, size: int
) -> None:
    sent = b"".join(event_stream.message(pretty(document, indent), i) for i, document in enumerate(documents))
    parser = Parser()
    came = [event for i in range(0, len(sent), size) for event in parser.feed(sent[i : i + size])]
    assert came == [Event("message", document, str(i)) for i, document in enumerate(documents)]
