"""One line per event on stderr: for people on a terminal, JSON elsewhere.

An event has a name in snake_case and fields; no field holds a message's body or a secret. What Twisted,
Autobahn and the libraries that use `logging` say comes out in the same form, as `twisted` and `library`.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO, cast

import structlog
import txaio.tx
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogBeginner
from twisted.python.failure import Failure
from zope.interface import implementer

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

_LONGEST_VALUE = 8192
"""Characters of one value in a line; of longer ones, tracebacks most of all, the end is kept."""

Event = MutableMapping[str, Any]


def configure(
    level: str = "info", form: str = "auto", stream: TextIO | None = None, worker: int | None = None
) -> None:
    """Set up logging for the whole process. May be called again; the last call counts.

    :param level: the least serious events that are written: `debug`, `info`, `warning` or `error`.
    :param form: `human`, `json`, or `auto`: human on a terminal, JSON elsewhere.
    :param stream: instead of stderr.
    :param worker: the number of this process, if it is one of several; stands in every event.
    """
    stream = sys.stderr if stream is None else stream
    human = form == "human" or (form == "auto" and stream.isatty())

    def add_worker(logger: object, method: str, event: Event) -> Event:
        if worker is not None:
            event["worker"] = worker
        return event

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            add_worker,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            _with_traceback,
            _human if human else _json,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=lambda *_: _Lines(cast(TextIO, stream)),
    )
    _route_libraries()


def get_logger(name: str, **fields: Any) -> Any:
    """A logger whose events carry `source=name` and `fields`; its `bind(key=value)` gives one with more."""
    return structlog.get_logger(source=name, **fields)


class _Lines:
    """Writes whole lines, from any thread."""

    _lock = threading.Lock()

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        try:
            with self._lock:
                self._stream.write(line + "\n")
                self._stream.flush()
        except (OSError, ValueError):
            # stderr is full or closed: there is nowhere left to say so, and it is no reason to stop serving.
            return

    debug = info = warning = error = critical = msg


def _with_traceback(logger: object, method: str, event: Event) -> Event:
    """Turns `exc_info` (what `log.exception` gives) into the fields `error` and `traceback`."""
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    exception = info[1] if isinstance(info, tuple) else info
    if isinstance(exception, BaseException):
        event.update(_failure_fields(Failure(exception, type(exception), exception.__traceback__)))
    return event


def _failure_fields(failure: Failure) -> dict[str, str]:
    return {
        "error": f"{failure.type.__name__ if failure.type else 'error'}: {failure.getErrorMessage()}",
        "traceback": failure.getTraceback().strip(),
    }


def _json(logger: object, method: str, event: Event) -> str:
    fields = {key: event.pop(key, None) for key in ("time", "level", "event", "source")}
    fields.update({key: _bounded(value) for key, value in event.items()})
    return json.dumps(fields, default=str)


def _human(logger: object, method: str, event: Event) -> str:
    traceback = event.pop("traceback", None)
    time, level, name, source = (event.pop(key, None) for key in ("time", "level", "event", "source"))
    fields = "".join(f" {key}={_quoted(_bounded(value))}" for key, value in event.items())
    line = f"{time} {level or '':<7} {source or '-'}: {name}{fields}"
    if traceback is None:
        return line
    # The one thing that people cannot read on one line.
    return line + "".join(f"\n    {_printable(row)}" for row in str(_bounded(traceback)).splitlines())


def _bounded(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    return text if len(text) <= _LONGEST_VALUE else "…" + text[-_LONGEST_VALUE:]


def _quoted(value: object) -> str:
    text = str(value)
    plain = text.isprintable() and text and not any(character in " \"'=" for character in text)
    return text if plain else json.dumps(text, ensure_ascii=not text.isprintable())


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


# --- libraries ------------------------------------------------------------------------------------

_twisted_log = get_logger("twisted")
_library_log = get_logger("library")

_TWISTED_LEVELS: Mapping[Any, str] = {
    # What Twisted and Autobahn call info ("Starting factory ...") is of use to who looks for a fault.
    LogLevel.debug: "",
    LogLevel.info: "debug",
    LogLevel.warn: "warning",
    LogLevel.error: "error",
    LogLevel.critical: "error",
}


class _Libraries(logging.Handler):
    """Takes what libraries say through `logging`."""

    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= logging.ERROR else "warning"
        getattr(_library_log, level)(
            "library", source=record.name, message=record.getMessage(), exc_info=record.exc_info
        )


_LOST_ERROR = "Unhandled error in Deferred:"


@implementer(ILogObserver)
class _Twisted:
    """Takes what Twisted and Autobahn say."""

    def __call__(self, event: LogEvent) -> None:
        method = _TWISTED_LEVELS.get(event.get("log_level"), "")
        if not method:
            return
        failure = event.get("log_failure") or event.get("failure")  # the second is log.err's
        if failure is None and event.get("log_format") == _LOST_ERROR:
            return  # only announces the event with the failure, which comes next
        fields = _failure_fields(failure) if isinstance(failure, Failure) else {}
        text = event.get("why") or formatEvent(event) or _LOST_ERROR
        source = event.get("log_namespace", "-")
        if source.startswith("autobahn") and not fields:
            method = "debug"  # what clients do wrong, at their own pace
        getattr(_twisted_log, method)("twisted", source=source, message=text, **fields)


_libraries = _Libraries(logging.WARNING)
_routed = threading.Event()


def _route_libraries() -> None:
    if _routed.is_set():
        return
    _routed.set()
    globalLogBeginner.beginLoggingTo([_Twisted()], redirectStandardIO=False)
    # Autobahn's debug events hold handshakes and frames, that is, tokens and bodies: never take them.
    txaio.tx.set_global_log_level("info")
    logging.captureWarnings(True)
    root = logging.getLogger()
    root.addHandler(_libraries)
    root.setLevel(logging.WARNING)
