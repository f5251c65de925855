"""What is read of processes from outside."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.processes import cpu_seconds, executable, resident_bytes, tree
from bench.server import Server, ServerError


def test_the_cpu_of_all_threads() -> None:
    code = """
import sys, threading, time
def spin():
    while time.thread_time() < 0.2:
        pass
    print("done", flush=True)
    sys.stdin.read()
threading.Thread(target=spin).start()
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"done\n"
        assert 0.2 <= cpu_seconds([process.pid]) < 5
        assert resident_bytes([process.pid]) > 1_000_000
        assert executable(process.pid).startswith("python")
        process.stdin.close()


def test_a_tree_holds_grandchildren() -> None:
    process = subprocess.Popen(
        ["sh", "-c", "sh -c 'echo $$; cat; :'; :"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        grandchild = int(process.stdout.readline())
        found = tree(process.pid)
        assert found[0] == process.pid
        assert grandchild in found
        assert os.getpid() not in found
        process.stdin.close()


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        server.run("broken", ["sh", "-c", "echo no such port; exit 1"])
        with pytest.raises(ServerError, match="no such port"):
            server.wait(lambda: False)


def test_a_server_that_does_not_hear_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.server.STOP_TIMEOUT", 0.2)
    server = Server(tmp_path)
    log = server.run("deaf", ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"])
    server.wait(lambda: "ready" in log.read_text())
    server.stop()
