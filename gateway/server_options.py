"""Options of all commands that speak to a running server: which one, as whom, and how numbers are read."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

DEFAULT_URL = "ws://127.0.0.1:9000/"

VARIABLES = {"url": "ZAQAR_URL", "project": "ZAQAR_PROJECT", "token": "ZAQAR_TOKEN"}
"""Environment variables that the options are taken from where the command line does not have them."""


class Url(str):
    """A WebSocket URL that can be connected to."""

    __slots__ = ()

    def __new__(cls, text: str) -> Url:
        """Raises `argparse.ArgumentTypeError` for what is none."""
        try:
            parts = urlsplit(text)
            valid = parts.scheme in ("ws", "wss") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            valid = False
        if not valid or "@" in text or "#" in text:
            # Not what was given: it may hold a password.
            raise argparse.ArgumentTypeError("use ws://HOST:PORT/ or wss://HOST:PORT/")
        return str.__new__(cls, text)


def add_server(parser: argparse.ArgumentParser, project: str, environ: Mapping[str, str]) -> None:
    """Add `--url`, `--project` and `--token`.

    :param project: the project where neither the command line nor the environment names one.
    :param environ: see `VARIABLES`. A token is best kept there: everybody can see a command line.
    """

    def add(option: str, default: str | None, about: str, metavar: str) -> None:
        name = option.removeprefix("--")
        variable = VARIABLES[name]
        given = environ.get(variable) or default
        shown = "" if default is None else f"; default: {default}"
        kind = Url if name == "url" else str
        help_text = f"{about} (or {variable}){shown}"
        # argparse checks a default that is a text as it checks what is given.
        parser.add_argument(option, default=given, type=kind, metavar=metavar, help=help_text)

    add("--url", DEFAULT_URL, "the server", "URL")
    add("--project", project, "X-Project-ID of every request", "PROJECT")
    add("--token", None, "X-Auth-Token; each socket authenticates with it first", "TOKEN")


def integer(least: int, most: int) -> Callable[[str], int]:
    """Reads an option's integer from `least` to `most`; the reader raises `argparse.ArgumentTypeError`."""

    def parse(text: str) -> int:
        if text.isdecimal() and least <= int(text) <= most:
            return int(text)
        raise argparse.ArgumentTypeError(f"use an integer from {least} to {most}")

    return parse
