"""The command `zaqar-gateway`."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from gateway import __version__
from gateway.bench.options import Options, add_bench
from gateway.client_commands.options import COMMANDS, add_client_commands
from gateway.settings import SETTINGS, Settings, SettingsError, mask_url
from gateway.settings.sources import as_toml, load

_ORDER = """\
Each setting is taken from the command line, else from the environment (ZAQAR_GATEWAY_PORT, ...), else from
the TOML file of --config or ZAQAR_GATEWAY_CONFIG (port = 9000), else it is the default."""

_EXAMPLES = """\
examples:
  zaqar-gateway serve
      ws://127.0.0.1:9000/, with its own Valkey and a SQLite catalog in the data folder
  zaqar-gateway serve --port 0 --data-dir ./data --fsync everysec
      any free port, data beside you, faster and less durable
  ZAQAR_GATEWAY_REDIS_URL=redis://:password@redis:6379/0 zaqar-gateway serve --config /etc/zaqar-gateway.toml
      a Redis of your own; passwords are best kept out of the command line, which everybody can see
  zaqar-gateway catalog upgrade --config /etc/zaqar-gateway.toml
      makes or migrates the tables of a catalog on MariaDB or PostgreSQL
  zaqar-gateway post news '{"hello": "world"}'; zaqar-gateway tail news --from earliest
      posts a message and shows what comes; also claim, pop, queues, stats
  zaqar-gateway bench post --url ws://127.0.0.1:9000/
      how fast it answers; see zaqar-gateway bench --help
  zaqar-gateway queue move jobs --to ssd --config /etc/zaqar-gateway.toml
      moves a queue with all that is in it to another pool, while clients use it
  zaqar-gateway config --config /etc/zaqar-gateway.toml
      what would be in force, and where each value is from
"""


class _Parser(argparse.ArgumentParser):
    intermixed = False
    """Whether options may stand between positional arguments too."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if not self.intermixed:
            return super().parse_known_args(args, namespace)
        self.intermixed = False  # it comes here again
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self.intermixed = True

    def error(self, message: str) -> NoReturn:
        # argparse repeats what it does not know, which may be an address with a password in it.
        masked = re.sub(r"[^\s='\"]+:/\S*", lambda match: mask_url(match[0]), message)
        self.exit(2, _error_line(f"{masked} (try {self.prog} --help)"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    :param arguments: without the program's name; `sys.argv` if None.
    :return: the exit code: 0, 2 for what cannot be understood or used, or what the service ends with.
    """
    given = vars(_parser().parse_args(arguments))
    command = given.pop("command")
    if command == "bench":
        return _bench(Options(**{"outstanding": 1, **given}))
    if command in COMMANDS:
        return _use(command, given)
    try:
        settings, sources = load(given, os.environ)
    except SettingsError as error:
        sys.stderr.write(_error_line(str(error)))
        return 2
    if command == "config":
        sys.stdout.write(as_toml(settings, sources))
        return 0
    if command == "catalog":
        return _catalog(settings, given)
    if command == "queue":
        return _move(settings, given)
    # Only here: it loads Twisted, the stores and their drivers.
    from gateway.process import serve  # noqa: PLC0415

    return serve(settings)


def _catalog(settings: Settings, given: Mapping[str, Any]) -> int:
    # Only here: it loads SQLAlchemy and Alembic.
    from gateway.catalog_command import CatalogCommandError, run  # noqa: PLC0415

    try:
        return run(settings, given["step"], given.get("revision"), given.get("source"))
    except CatalogCommandError as error:
        sys.stderr.write(_error_line(str(error)))
        return 1


def _bench(options: Options) -> int:
    # Only here: it loads Twisted and Autobahn.
    from gateway.bench.client import BenchError  # noqa: PLC0415
    from gateway.bench.command import run  # noqa: PLC0415

    try:
        return run(options)
    except BenchError as error:
        sys.stderr.write(_error_line(str(error)))
        return 1


def _use(command: str, given: Mapping[str, Any]) -> int:
    # Only here: it loads the client.
    from gateway.client_commands.command import ClientCommandError, run  # noqa: PLC0415

    try:
        return run(command, given)
    except ClientCommandError as error:
        sys.stderr.write(_error_line(str(error)))
        return error.code


def _move(settings: Settings, given: Mapping[str, Any]) -> int:
    # Only here: it loads Twisted, the stores and their drivers.
    from gateway.queue_command import QueueCommandError, move  # noqa: PLC0415

    try:
        return move(settings, given["queue"], given["to"], given["project"])
    except QueueCommandError as error:
        sys.stderr.write(_error_line(str(error)))
        return 1


def _error_line(message: str) -> str:
    line = "".join(character if character.isprintable() else "?" for character in message)
    return f"zaqar-gateway: error: {line}\n"


def _parser() -> _Parser:
    parser = _Parser(
        prog="zaqar-gateway",
        description="A WebSocket-first messaging gateway that speaks Zaqar's protocol.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"zaqar-gateway {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, about in (
        ("serve", "run the gateway"),
        ("config", "print the settings in force as TOML, and the source of each"),
    ):
        _add_command(commands, name, about)
    about = "look at the schema of the catalog's database, and migrate it"
    catalog = commands.add_parser("catalog", help=about, description=f"{about[0].upper()}{about[1:]}.")
    steps = catalog.add_subparsers(dest="step", metavar="STEP", required=True)
    _add_command(
        steps, "status", "print the schema's revision and what to do; exit code 1 if serve would refuse"
    )
    for name, about, default in (
        ("upgrade", "migrate to a newer schema, before the gateways are upgraded", "the newest"),
        ("downgrade", "migrate to an older schema, after the gateways went back", "the one before"),
    ):
        step = _add_command(steps, name, about)
        step.add_argument("--revision", metavar="REVISION", help=f"where to go; default: {default}")
    step = _add_command(steps, "copy", "copy another catalog into this one, which has to be empty")
    step.add_argument(
        "--from",
        dest="source",
        metavar="SOURCE",
        required=True,
        help="the data folder of a gateway that does not run, or the URL of a database",
    )
    add_client_commands(commands)
    add_bench(commands)
    about = "work on one queue"
    queue = commands.add_parser("queue", help=about, description=f"{about[0].upper()}{about[1:]}.")
    actions = queue.add_subparsers(dest="action", metavar="ACTION", required=True)
    mover = _add_command(
        actions,
        "move",
        "move a queue with all that is in it to another pool, while clients use it; interrupted, the same "
        "command continues; to the pool where it is, it gives an unfinished move up",
    )
    mover.add_argument("queue", metavar="QUEUE", help="its name")
    mover.add_argument("--to", metavar="POOL", required=True, help="the pool where it shall be")
    mover.add_argument("--project", help="its project; default: the only one that has a queue of this name")
    return parser


def _add_command(commands: Any, name: str, about: str) -> argparse.ArgumentParser:
    """A command that takes the settings. (argparse has no public type for `commands`.)"""
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=about,
        description=f"{about[0].upper()}{about[1:]}.\n\n{_ORDER}",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_settings(command)
    return command


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE", help="TOML file with settings")
    for setting in SETTINGS.values():
        allowed = "" if setting.flag else f" ({setting.kind.allowed})"
        text = f"{setting.help}{allowed}; default: {setting.default_text}".replace("%", "%%")
        if setting.flag:
            parser.add_argument(
                setting.option, action=argparse.BooleanOptionalAction, default=None, help=text
            )
        else:
            parser.add_argument(setting.option, metavar=setting.kind.metavar, help=text)
