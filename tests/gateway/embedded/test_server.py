"""One run of a server process: its output and its exit, with a shell in the server's place."""

from __future__ import annotations

from typing import Any

from structlog.testing import capture_logs

from gateway.embedded.server import Server
from tests.support.reactor import eventually, reactor, run


async def start(script: str) -> Server:
    server = Server(reactor)
    reactor.spawnProcess(server, "/bin/sh", ["sh", "-c", script], env={"PATH": "/usr/bin:/bin"})
    return server


def events_of(script: str) -> tuple[list[Any], Server]:
    async def scenario() -> Server:
        server = await start(script)
        await server.exited()
        assert await server.exited() == server.outcome  # also for who asks later
        return server

    with capture_logs() as events:
        server = run(scenario)
    return [(event["log_level"], event["message"]) for event in events], server


def test_output_becomes_events() -> None:
    events, server = events_of(
        "echo '17:M 22 Nov 2026 08:53:52.445 * Ready'; echo '17:M 22 Nov 2026 08:53:52.445 # Careful';"
        "echo; echo 'FATAL CONFIG'; exit 3"
    )
    assert events == [("debug", "Ready"), ("warning", "Careful"), ("warning", "FATAL CONFIG")]
    assert list(server.output) == ["Ready", "Careful", "FATAL CONFIG"]
    assert server.outcome == "exit status 3"
    assert server.pid is None


def test_output_is_bounded() -> None:
    events, server = events_of(
        "head -c 100000 /dev/zero | tr '\\0' x; echo; for i in $(seq 100); do echo $i; done"
    )
    assert max(len(text) for _, text in events) == 4096
    assert len(server.output) == 20
    assert server.output[-1] == "100"


def test_signal_as_outcome() -> None:
    _, server = events_of("kill -9 $$")
    assert server.outcome == "signal 9 (Killed)"


def test_a_child_that_holds_its_output_does_not_delay_the_end() -> None:
    async def scenario() -> None:
        server = await start("sleep 60 & echo $!")
        await eventually(lambda: server.output and server.pid is None)
        assert not server.exited().called
        assert await server.stop(5)  # it has ended already: there is nobody to signal
        assert server.outcome == "exit status 0"
        reactor.spawnProcess(Server(reactor), "/bin/kill", ["kill", server.output[0]], env={})

    run(scenario)
