"""A post is on disk before its reply leaves: seen in the order of system calls of the gateway and its store.

A kill proves nothing about this, for the page cache outlives the process. `strace` follows the gateway and
the Valkey that it starts, in one record, so that the order of their calls is the order in time.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.gateway import start_gateway
from tests.support.reactor import wait_until

CLIENTS = 4
POSTS = 25
"""Of each client."""

_CALL = re.compile(r"(\d+) +(\w+)\((.*)")
_RESUMED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>.* = (-?\d+)")
_MARK = re.compile(r"mark-\d\d-\d\d")


def test_a_post_is_synced_before_it_is_acknowledged(tmp_path: Path) -> None:
    replies, unsynced = _posts_under_strace(tmp_path, "always")
    assert len(replies) == CLIENTS * POSTS
    assert not unsynced, f"acknowledged before they were on disk: {sorted(unsynced)}"


def test_the_check_finds_replies_that_come_before_the_sync(tmp_path: Path) -> None:
    replies, unsynced = _posts_under_strace(tmp_path, "everysec")
    assert len(replies) == CLIENTS * POSTS
    assert unsynced


def _posts_under_strace(tmp_path: Path, fsync: str) -> tuple[set[str], set[str]]:
    strace = shutil.which("strace")
    assert strace, "no strace: run tests/system-packages.sh"
    record = tmp_path / "calls"
    tracing = (strace, "-D", "-f", "-yy", "-s", "65536", "-e", "signal=none", "-o", str(record))
    calls = "trace=fsync,fdatasync,write,writev,pwrite64,sendto,sendmsg,send"
    with start_gateway(
        tmp_path / "data", "--fsync", fsync, prefix=(*tracing, "-e", calls, "--seccomp-bpf")
    ) as gateway:
        clients = [Client(gateway.url, project="one") for _ in range(CLIENTS)]
        for number in range(POSTS):
            # All at once, so that the store meets several posts in one turn: they share one sync.
            for who, client in enumerate(clients):
                message = {"body": f"mark-{who:02}-{number:02}"}
                client.send("message_post", {"queue_name": "jobs", "messages": [message]})
            assert [client.receive_reply().status for client in clients] == [201] * CLIENTS
        for client in clients:
            client.close()
    # With -D the tracer is nobody's child: its record is whole when the last process it followed has ended.
    ended = re.compile(rf"^{gateway.pid} +\+\+\+ exited with 0 \+\+\+$", re.MULTILINE)
    wait_until(lambda: ended.search(record.read_text(errors="replace")))
    return _read(record.read_text(errors="replace").splitlines())


def _read(lines: list[str]) -> tuple[set[str], set[str]]:
    """The posts that were acknowledged, and those of them whose bytes were not synced before."""
    written: set[str] = set()
    synced: set[str] = set()
    syncing: dict[str, set[str]] = {}
    acknowledged: set[str] = set()
    unsynced: set[str] = set()
    for line in lines:
        if resumed := _RESUMED.match(line):
            process, call, result = resumed.groups()
            if call in ("fsync", "fdatasync") and result == "0":
                synced |= syncing.pop(process, set())
            continue
        started = _CALL.match(line)
        if started is None:
            continue
        process, call, arguments = started.groups()
        target = arguments.partition(">")[0]
        marks = set(_MARK.findall(arguments))
        if call in ("fsync", "fdatasync"):
            if not target.endswith(".incr.aof"):
                continue
            if arguments.endswith("= 0"):
                synced |= written
            elif arguments.endswith("<unfinished ...>"):
                syncing[process] = written.copy()
        elif target.endswith(".incr.aof"):
            written |= marks
        elif "<TCP:[" in arguments and r"\"status\":201" in arguments:
            acknowledged |= marks
            unsynced |= marks - synced
    # Each was seen on its way into the file, or the record does not show what this reads out of it.
    assert acknowledged <= written
    return acknowledged, unsynced


@pytest.mark.parametrize(
    ("lines", "unsynced"),
    [
        (["1 write(9</a.incr.aof>, mark-00-01) = 9", "1 fdatasync(9</a.incr.aof>) = 0", "REPLY"], set()),
        (["1 write(9</a.incr.aof>, mark-00-01) = 9", "REPLY"], {"mark-00-01"}),
        (
            ["1 fdatasync(9</a.incr.aof>) = 0", "1 write(9</a.incr.aof>, mark-00-01) = 9", "REPLY"],
            {"mark-00-01"},
        ),
        (
            [
                "1 write(9</a.incr.aof>, mark-00-01) = 9",
                "1 fdatasync(9</a.incr.aof> <unfinished ...>",
                "REPLY",
            ],
            {"mark-00-01"},
        ),
        (
            [
                "1 write(9</a.incr.aof>, mark-00-01) = 9",
                "1 fdatasync(9</a.incr.aof> <unfinished ...>",
                "1 <... fdatasync resumed>) = 0",
                "REPLY",
            ],
            set(),
        ),
        (
            ["1 write(9</a.incr.aof>, mark-00-01) = 9", "1 fdatasync(9</a.incr.aof>) = -1 EIO", "REPLY"],
            {"mark-00-01"},
        ),
    ],
)
def test_the_record_is_read_rightly(lines: list[str], unsynced: set[str]) -> None:
    reply = r'2 sendto(16<TCP:[127.0.0.1:1->127.0.0.1:2]>, "mark-00-01 \"status\":201") = 9'
    assert _read([reply if line == "REPLY" else line for line in lines]) == ({"mark-00-01"}, unsynced)
