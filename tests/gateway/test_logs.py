"""The log: one line per event, from our own code and from the libraries."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog

from gateway import logs

ROOT = Path(__file__).parents[2]

TALK = """
import gc, logging, sys, warnings
from gateway import logs
logs.configure("debug", sys.argv[1])
logs.configure("debug", sys.argv[1])
from twisted.internet import defer, reactor
from twisted.logger import Logger
from twisted.python import log
import txaio.tx
defer.fail(ValueError("lost"))
gc.collect()
log.err(ValueError("old"), "the reason")
log.msg("old chat")
Logger(namespace="new").info("chat {x}", x=4)
Logger(namespace="new").debug("unheard")
try:
    1 / 0
except ZeroDivisionError:
    Logger(namespace="new").failure("not divided")
autobahn = txaio.tx.make_logger()
autobahn.debug("token=hunter2")
autobahn.info("Starting factory")
logging.getLogger("sqlalchemy").warning("slow %s", "query")
logging.getLogger("sqlalchemy").info("SELECT hunter2")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("sqlalchemy").exception("failed")
warnings.warn("careful", UserWarning)
"""


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def lines(level: str = "info", form: str = "json") -> tuple[io.StringIO, Any]:
    stream = io.StringIO()
    logs.configure(level, form, stream)
    return stream, logs.get_logger("test")


def test_json() -> None:
    stream, log = lines()
    log.info("listening", url="ws://a b", none=None, flag=True, body=b"\xff", text="a\nb")
    log.bind(connection=7).warning("slow_reader", bytes=10)
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert list(first)[:4] == ["time", "level", "event", "source"]
    assert abs(datetime.fromisoformat(first.pop("time")) - datetime.now(UTC)).total_seconds() < 3600
    assert first == {
        "level": "info",
        "event": "listening",
        "source": "test",
        "url": "ws://a b",
        "none": None,
        "flag": True,
        "body": "b'\\xff'",
        "text": "a\nb",
    }
    assert second["connection"] == 7


def test_human() -> None:
    stream, log = lines(form="human")
    log.info("listening", url="ws://a", text='a "b"', bad="\x1b[31m\nfake", empty="", none=None, sign="é=")
    line = stream.getvalue()
    assert line.endswith(
        'Z info    test: listening url=ws://a text="a \\"b\\"" bad="\\u001b[31m\\nfake" empty="" none=None '
        'sign="é="\n'
    )
    assert line.count("\n") == 1


@pytest.mark.parametrize("level", list(logs.LEVELS))
def test_levels(level: str) -> None:
    stream, log = lines(level)
    for name in logs.LEVELS:
        getattr(log, name)("event")
    seen = [json.loads(line)["level"] for line in stream.getvalue().splitlines()]
    assert seen == list(logs.LEVELS)[list(logs.LEVELS).index(level) :]


def test_exceptions_are_fields() -> None:
    stream, log = lines()
    try:
        raise KeyError("missing")
    except KeyError as error:
        log.exception("failed", request=1)
        log.error("failed", exc_info=error)
    log.error("failed", exc_info=None)
    first, second, third = (json.loads(line) for line in stream.getvalue().splitlines())
    for event in (first, second):
        assert event["error"] == "KeyError: 'missing'"
        assert event["traceback"].startswith("Traceback")
        assert 'raise KeyError("missing")' in event["traceback"]
    assert "traceback" not in third


def test_tracebacks_are_readable_for_people() -> None:
    stream, log = lines(form="human")
    try:
        raise KeyError("missing")
    except KeyError:
        log.exception("failed", request=1)
    first, *rest = stream.getvalue().splitlines()
    assert first.endswith("test: failed request=1 error=\"KeyError: 'missing'\"")
    assert rest[0] == "    Traceback (most recent call last):"
    assert all(line.startswith("    ") for line in rest)


def test_long_values_are_bounded() -> None:
    stream, log = lines()
    log.info("event", text="x" * 1_000_000 + "end")
    text = json.loads(stream.getvalue())["text"]
    assert len(text) < 10_000
    assert text.endswith("end")


def test_a_closed_stderr_is_no_error() -> None:
    stream, log = lines()
    stream.close()
    log.error("event")


def test_auto_is_json_without_a_terminal() -> None:
    stream, log = lines(form="auto")
    log.info("event")
    assert json.loads(stream.getvalue())["event"] == "event"


def test_auto_is_human_on_a_terminal() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    logs.configure("info", "auto", stream)
    logs.get_logger("test").info("event")
    assert stream.getvalue().endswith("test: event\n")


def test_libraries_speak_through_it_once() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TALK, "json"], check=True, capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert done.stdout == ""
    assert "hunter2" not in done.stderr
    events = [json.loads(line) for line in done.stderr.splitlines()]
    seen = [
        (event["level"], event["event"], event["source"], event["message"], event.get("error"))
        for event in events
    ]
    assert seen[:5] == [
        ("error", "twisted", "twisted.internet.defer", "Unhandled error in Deferred:", "ValueError: lost"),
        ("error", "twisted", "log_legacy", "the reason", "ValueError: old"),
        ("debug", "twisted", "log_legacy", "old chat", None),
        ("debug", "twisted", "new", "chat 4", None),
        ("error", "twisted", "new", "not divided", "ZeroDivisionError: division by zero"),
    ]
    assert seen[5][:2] + seen[5][3:] == ("debug", "twisted", "Starting factory", None)
    assert seen[6:8] == [
        ("warning", "library", "sqlalchemy", "slow query", None),
        ("error", "library", "sqlalchemy", "failed", "ZeroDivisionError: division by zero"),
    ]
    assert seen[8][:3] == ("warning", "library", "py.warnings")
    assert len(seen) == 9
    for event in events:
        assert ("traceback" in event) == ("error" in event)


def test_libraries_for_people() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TALK, "human"],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )
    assert 'error   new: twisted message="not divided"' in done.stderr
