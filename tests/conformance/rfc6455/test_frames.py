"""The Autobahn test suite's cases of RFC 6455, with the short path for frames and without."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.conformance.rfc6455.cases import Case, Sent, cases
from tests.conformance.rfc6455.echo import PlainEcho, ShortPathEcho, echo_server
from tests.support.raw import CLOSE, Ended, Frame, RawSocket, make_frame

CASES = list(cases())


@pytest.fixture(scope="module", params=[ShortPathEcho, PlainEcho])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with echo_server(request.param) as url:
        yield url


def send(raw: RawSocket, sent: Sent) -> None:
    """One frame, in pieces where the case says so."""
    frame = make_frame(sent.opcode, sent.payload, fin=sent.fin, rsv=sent.rsv)
    piece = sent.chop or len(frame)
    for start in range(0, len(frame), piece):
        raw.send(frame[start : start + piece])


def send_all(raw: RawSocket, case: Case) -> None:
    for step in case.steps:
        if isinstance(step, Sent):
            send(raw, step)
        else:
            for answer in step.answers:
                assert raw.receive_frame() == answer
    if 1000 in case.codes:
        raw.send_frame(CLOSE, (1000).to_bytes(2, "big"))


def play(url: str, case: Case) -> None:
    """Have the conversation, and compare what comes back, the close and the end of the connection."""
    with RawSocket(url) as raw:
        pauses = any(not isinstance(step, Sent) for step in case.steps)
        # What comes back may be more than all buffers hold.
        sender = threading.Thread(target=send_all, args=(raw, case))
        if pauses:
            send_all(raw, case)
        else:
            sender.start()
        received: list[Frame] = []
        try:
            while (frame := raw.receive_frame()).opcode != CLOSE:
                received.append(frame)
        finally:
            if not pauses:
                sender.join()
        if received or case.all_answered:
            assert received == list(case.answers)
        assert (int.from_bytes(frame.payload[:2], "big") if frame.payload else 1005) in case.codes
        if 1000 not in case.codes:  # else it has been sent
            raw.send_frame(CLOSE, frame.payload[:2])
        with pytest.raises(Ended):
            raw.receive_frame()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.number)
def test_case(url: str, case: Case) -> None:
    play(url, case)
