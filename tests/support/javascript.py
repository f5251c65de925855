"""The JavaScript SDK with what npm installs for it, and what its tests are run with."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SDK = ROOT / "clients" / "js"

INSTALL_TIMEOUT = 300.0
"""Seconds that npm has to install what the lock file names."""

CHAOS_PROXY = Path(__file__).with_name("chaos_proxy.py")


@functools.cache
def install() -> None:
    """Install what the SDK is checked and tested with, unless that is there."""
    version = run("node", "--version").strip()
    assert int(version.removeprefix("v").split(".")[0]) >= 20, f"Node {version}, and 20 is needed"
    lock = SDK / "package-lock.json"
    with lock.open("rb") as held:
        # Only one of several test processes installs.
        fcntl.flock(held, fcntl.LOCK_EX)
        installed = SDK / "node_modules" / ".package-lock.json"
        if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
            run("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", timeout=INSTALL_TIMEOUT)


def run(*command: str | Path, timeout: float = 120.0, folder: Path = SDK) -> str:
    """What a program writes, run in the SDK's folder. Raises `AssertionError` with all of it if it fails."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def node(script: str | Path, *arguments: str, timeout: float = 60.0) -> Any:
    """What a script of the SDK's folder writes as its last line, read as JSON."""
    install()
    return json.loads(run("node", script, *arguments, timeout=timeout).splitlines()[-1])


@contextlib.contextmanager
def talking(script: str, *arguments: str) -> Iterator[Callable[[], Any]]:
    """A script that runs beside the test: each call waits for its next line and reads that as JSON."""
    install()
    process = subprocess.Popen(
        ["node", script, *arguments], cwd=SDK, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    lines = process.stdout
    assert lines is not None
    try:
        yield lambda: json.loads(lines.readline())
    finally:
        process.kill()
        process.wait()
        lines.close()


@contextlib.contextmanager
def chaos_proxy(url: str, *, seed: int, cuts: int, mean_seconds: float) -> Iterator[tuple[str, list[str]]]:
    """A proxy in front of a gateway: its URL, and the faults that it has done, by their names.

    The list is whole after the block.
    """
    target = url.removeprefix("ws://").rstrip("/")
    options = [f"--target={target}", f"--seed={seed}", f"--cuts={cuts}", f"--mean-seconds={mean_seconds}"]
    process = subprocess.Popen(
        [sys.executable, CHAOS_PROXY, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    faults: list[str] = []
    try:
        port = int(process.stdout.readline())
        yield f"ws://127.0.0.1:{port}/", faults
    finally:
        process.stdin.close()
        faults += [json.loads(line)["fault"] for line in process.stdout]
        process.wait(30)


@contextlib.contextmanager
def served(folder: Path = SDK) -> Iterator[str]:
    """The files of a folder over HTTP on loopback, as any web server has them: the address, with no slash."""

    class Files(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, format: str, *arguments: Any) -> None:
            """Quietly."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def judge(report: dict[str, Any], messages: int) -> None:
    """What the chaos (clients/js/test/end-to-end/chaos.js) must have come to, whatever was broken."""
    # Each post was stored once, and none is missing: `ids` counts both queues.
    assert (report["ids"], report["stored"]) == (2 * messages, messages), report
    # Each message came once and in order.
    assert (report["received"], report["outOfOrder"], report["gaps"]) == (messages, 0, []), report
    # Each job was handled, and none was leased to two workers at a time.
    assert (report["handled"], report["left"], report["leasedTwice"]) == (messages, 0, []), report
    assert report["errors"] == [], report
