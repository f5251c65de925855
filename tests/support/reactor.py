"""Runs Twisted code from ordinary tests: one real reactor, in one background thread, for the whole session.

::

    from tests.support.reactor import eventually, run, wait_until

    def test_ping() -> None:
        async def scenario() -> bytes:
            connection = await connect()
            await eventually(lambda: connection.ready)
            return await connection.ping()

        assert run(scenario, timeout=5) == b"PONG"

`run` may be called as often as liked, from any thread but the reactor's; the objects made in one call live on
in the next. The reactor starts with the first call and stops when the interpreter ends. What a test starts
(processes, connections, delayed calls) it stops itself.
"""

from __future__ import annotations

import atexit
import concurrent.futures
import inspect
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast, overload

from twisted.internet import reactor as _installed_reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.process import reapAllProcesses
from twisted.internet.task import LoopingCall, deferLater
from twisted.python.failure import Failure

# Twisted types its reactor as a module; what it is depends on the platform.
reactor: Any = _installed_reactor

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds in which what must happen has to, on a machine that is busy with other things."""

_GRACE = 5.0
"""Seconds the reactor gets, beyond a call's own timeout, before it is taken as blocked."""

_lock = threading.Lock()
_thread: threading.Thread | None = None


@overload
def run(function: Callable[..., Awaitable[T]], /, *args: Any, timeout: float = 60.0, **kwargs: Any) -> T: ...
@overload
def run(function: Callable[..., T], /, *args: Any, timeout: float = 60.0, **kwargs: Any) -> T: ...
def run(function: Callable[..., Any], /, *args: Any, timeout: float = 60.0, **kwargs: Any) -> Any:
    """Call `function(*args, **kwargs)` in the reactor's thread and wait for its result.

    `function` may be a coroutine function, or return a Deferred or a plain value. What it raises is raised
    here. An argument of its own called `timeout` needs a lambda.

    :param timeout: seconds; then the coroutine is cancelled and `TimeoutError` raised. If even that does not
        end it, `AssertionError` shows where the reactor is, most often at something that blocks it.
    """
    thread = _started()
    if threading.current_thread() is thread:
        raise AssertionError("run() was called in the reactor's own thread; await there instead")
    outcome: concurrent.futures.Future[Any] = concurrent.futures.Future()

    def begin() -> None:
        deferred: Deferred[Any] = maybeDeferred(_as_deferred, function, *args, **kwargs)
        deferred.addTimeout(timeout, reactor, _timed_out)
        deferred.addCallbacks(outcome.set_result, lambda failure: outcome.set_exception(failure.value))

    reactor.callFromThread(begin)
    try:
        return outcome.result(timeout + _GRACE)
    except concurrent.futures.TimeoutError:
        if outcome.done():
            raise
        stack = "".join(traceback.format_stack(sys._current_frames()[cast(int, thread.ident)]))
        raise AssertionError(f"not done within {timeout} seconds; the reactor is here:\n{stack}") from None


async def eventually(
    condition: Callable[[], object], timeout: float = PATIENCE, message: str = "", interval: float = 0.01
) -> None:
    """Wait, inside the reactor, until `condition()` (or what it returns, awaited) is true.

    :param timeout: seconds; then `AssertionError` with `message`.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return
        if time.monotonic() > deadline:
            raise AssertionError(message or f"not true within {timeout} seconds")
        await sleep(interval)


def sleep(seconds: float) -> Deferred[None]:
    """A Deferred that fires after `seconds` (reactor only)."""
    return deferLater(reactor, seconds, lambda: None)


def wait_until(
    condition: Callable[[], object], timeout: float = PATIENCE, message: str = "", interval: float = 0.01
) -> None:
    """Wait, outside the reactor, until `condition()` is true. For processes, files and sockets."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(message or f"not true within {timeout} seconds")
        time.sleep(interval)


def _as_deferred(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    value = function(*args, **kwargs)
    return Deferred.fromCoroutine(value) if inspect.iscoroutine(value) else value


def _timed_out(value: Any, timeout: float) -> Any:
    if isinstance(value, Failure):
        raise TimeoutError(f"not done within {timeout} seconds")
    return value


def _started() -> threading.Thread:
    """The reactor's thread, started if need be."""
    global _thread  # noqa: PLW0603  # one reactor per process is Twisted's own rule
    with _lock:
        if _thread is None:
            running = threading.Event()
            reactor.callWhenRunning(running.set)
            # SIGCHLD reaches only the main thread, which is not the reactor's: look for ended children.
            reactor.callWhenRunning(lambda: LoopingCall(reapAllProcesses).start(0.02))
            _thread = threading.Thread(
                target=reactor.run, kwargs={"installSignalHandlers": False}, name="reactor", daemon=True
            )
            _thread.start()
            if not running.wait(30):
                raise AssertionError("the reactor did not start")
            atexit.register(_stop)
        return _thread


def _stop() -> None:
    if _thread is not None and _thread.is_alive():
        reactor.callFromThread(reactor.stop)
        _thread.join(5)
