"""The program of a worker, which only its supervisor starts: `python -m gateway.workers NUMBER`."""

from __future__ import annotations

import signal
import sys

from gateway.process import serve
from gateway.workers.worker import read_settings


def main() -> int:
    """Run the worker; returns the exit code."""
    # Ctrl-C reaches every process of the terminal; until it serves, a worker leaves it to the supervisor.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return serve(read_settings(sys.stdin.buffer.read()), worker=int(sys.argv[1]))


if __name__ == "__main__":
    sys.exit(main())
