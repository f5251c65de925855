"""Finds the Valkey servers that run on a folder, and signals only them. Linux: it needs /proc and pidfd."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

STUB = "import os, sys; os.setsid(); os.execv(sys.argv[1], sys.argv[1:])"
"""Becomes the server, in its own session: Ctrl-C in a terminal is for the gateway, which then stops it.

The gateway's process cannot do that between fork and exec: Twisted starts processes by posix_spawn.
"""

_STUB_OPTIONS = ["-I", "-S", "-c", STUB]


def command_line(python: str, binary: str, folder: str, options: dict[str, str]) -> list[str]:
    """The arguments that start a server on `folder`; `is_server` knows them again.

    Options go there and not into a file: the server takes each as one word whatever is in it, and a path with
    a `*` or `[` in it would be a pattern if it named a configuration file.
    """
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    return [python, *_STUB_OPTIONS, binary, "--dir", folder, *words]


def is_server(pid: int, folder: str) -> bool:
    """Whether the process is a server that `command_line` started on this folder, or one of its children."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:  # it is gone
        return False
    return is_server_command(words, folder)


def is_server_command(words: list[bytes], folder: str) -> bool:
    """Whether these are the arguments of a server on this folder, or of what is about to become one."""
    if words[1:5] == [option.encode() for option in _STUB_OPTIONS]:
        words = words[5:]
    return os.path.basename(words[0]) == b"valkey-server" and words[1:3] == [b"--dir", os.fsencode(folder)]


def servers_on(folder: str) -> list[int]:
    """Process ids of all servers on the folder, those of an earlier gateway among them."""
    return [int(name) for name in os.listdir("/proc") if name.isdecimal() and is_server(int(name), folder)]


def signal_server(pid: int, folder: str, number: signal.Signals) -> None:
    """Signal the process if it still is a server on the folder. A pidfd is never another process's."""
    with suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        try:
            if is_server(pid, folder):
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)
