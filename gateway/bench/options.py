"""What `zaqar-gateway bench` is told on the command line."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.server_options import add_server, integer

LOADS = {
    "post": "post messages, one per request",
    "claim": "post ten messages, claim ten, delete each, over and over",
    "fanout": "post a message, wait until every subscribed socket has it, post the next",
    "resume": "drop all sockets, post ten messages, bring every socket back to what it missed",
}
"""Every load, and what it does."""

SOCKETS = {"post": 64, "claim": 16, "fanout": 100, "resume": 100}
"""Sockets that each load opens unless it is told otherwise."""

_EXAMPLES = """\
examples:
  zaqar-gateway bench post
      64 sockets post to ws://127.0.0.1:9000/ for ten seconds
  zaqar-gateway bench fanout --url wss://zaqar.example.org/ --project demo --token "$TOKEN" --sockets 500
      any Zaqar server; the queues have random names and are removed at the end
"""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is to be done. `seconds` is the length of the load, `size` the bytes of a message."""

    load: str
    url: str
    project: str
    token: str | None
    sockets: int
    outstanding: int
    seconds: float
    size: int
    json: Path | None


def add_bench(commands: Any) -> None:
    """Add the command to the parser's. (argparse has no public type for `commands`.)"""
    about = "put a Zaqar server under load and measure its answers"
    bench = commands.add_parser(
        "bench",
        help=about,
        description=f"{about[0].upper()}{about[1:]}. It may be upstream's, or any that speaks its protocol.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    loads = bench.add_subparsers(dest="load", metavar="LOAD", required=True)
    for name, does in LOADS.items():
        load = loads.add_parser(
            name, help=does, description=f"{does[0].upper()}{does[1:]}.", allow_abbrev=False
        )
        _add_options(load, name)


def _add_options(parser: argparse.ArgumentParser, load: str) -> None:
    def add(option: str, default: Any, type: Callable[[str], Any], metavar: str, about: str) -> None:
        shown = "" if default is None else f"; default: {default}"
        parser.add_argument(option, default=default, type=type, metavar=metavar, help=about + shown)

    add_server(parser, "bench", os.environ)
    add("--sockets", SOCKETS[load], integer(1, 20_000), "N", "sockets that are opened (1 to 20000)")
    if load == "post":
        add("--outstanding", 1, integer(1, 64), "N", "requests of one socket on their way (1 to 64)")
    add("--seconds", 10.0, _seconds, "SECONDS", "how long the load lasts (0.1 to 3600)")
    add("--size", 100, integer(32, 200_000), "BYTES", "size of a message's body (32 to 200000)")
    add("--json", None, Path, "FILE", "also write the figures to this file, as JSON")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if 0.1 <= seconds <= 3600:
        return seconds
    raise argparse.ArgumentTypeError("use a number from 0.1 to 3600")
