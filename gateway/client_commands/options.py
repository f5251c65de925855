"""What `zaqar-gateway post`, `tail`, `claim` and the like are told on the command line."""

from __future__ import annotations

import argparse
import os
from typing import Any

from gateway.server_options import add_server, integer

PROJECT = "demo"
"""The project where none is named: that of the README's examples."""

EXIT_CODES = """\
exit codes:
  0  done
  1  the server refused it, or a program that claim ran failed
  2  the command line or the input cannot be understood
  3  there was nothing to claim, pop or list
  4  no connection, or no answer in time
  130, 143, 141  stopped by Ctrl-C, by SIGTERM, or because nobody reads the output any more"""

_ABOUT = {
    "post": "post messages: from the command line, or from the lines of stdin",
    "tail": "show the messages of a queue as they come",
    "claim": "lease messages, or run a program for each message as long as there are any to come",
    "ack": "delete messages of a claim: they are done",
    "release": "give a claim's messages back",
    "pop": "take and delete the first messages of a queue",
    "queues": "list the queues of the project, with their counts",
    "stats": "count the messages of a queue",
}

COMMANDS = frozenset(_ABOUT)

_EXAMPLES = {
    "post": """\
  zaqar-gateway post news '{"hello": "world"}'
  zaqar-gateway post jobs --text resize rotate
  jq -c '.[]' orders.json | zaqar-gateway post orders --ttl 86400 >ids.jsonl
  tail -f /var/log/syslog | zaqar-gateway post logs --text >/dev/null""",
    "tail": """\
  zaqar-gateway tail news
  zaqar-gateway tail news --from earliest --count 10 | jq .body
  zaqar-gateway tail news --from "$(tail -n 1 seen.jsonl | jq -r .position)" >>seen.jsonl""",
    "claim": """\
  zaqar-gateway claim jobs --limit 5 --ttl 120 >claimed.jsonl
  zaqar-gateway claim jobs --concurrency 4 --run ./resize.sh
      each message's body comes on stdin; exit code 0 deletes the message, any other gives it back""",
    "ack": """\
  zaqar-gateway ack jobs --claim "$(jq -r .claim_id claimed.jsonl | head -n 1)" $(jq -r .id claimed.jsonl)""",
    "release": """\
  zaqar-gateway release jobs --claim 79ea117d-3722-4e2c-b51a-c8119affa05e""",
    "pop": """\
  zaqar-gateway pop jobs --count 5
  while zaqar-gateway pop jobs; do :; done""",
    "queues": """\
  zaqar-gateway queues
  zaqar-gateway queues --project demo --json | jq -r 'select(.total > 0).name'""",
    "stats": """\
  zaqar-gateway stats jobs --json | jq .free""",
}


def add_client_commands(commands: Any) -> None:
    """Add them to the parser's. (argparse has no public type for `commands`.)"""
    parsers = {name: _add_command(commands, name) for name in _ABOUT}
    post = parsers["post"]
    post.add_argument(
        "bodies", metavar="BODY", nargs="*", help="a message, as JSON; default: each line of stdin"
    )
    post.add_argument("--text", action="store_true", help="messages are texts as they are, not JSON")
    post.add_argument(
        "--ttl",
        type=integer(60, 1_209_600),
        metavar="SECONDS",
        help="how long they live (60 to 1209600); default: the queue's",
    )
    post.add_argument(
        "--delay",
        type=integer(0, 900),
        metavar="SECONDS",
        help="until they can be seen (0 to 900); default: the queue's",
    )
    tail = parsers["tail"]
    tail.add_argument(
        "--from",
        dest="from_",
        default="now",
        metavar="POSITION",
        help="where to begin: now, earliest, or the position of a message; default: now",
    )
    tail.add_argument("--count", type=integer(1, 2**53), metavar="N", help="end after so many messages")
    claim = parsers["claim"]
    claim.add_argument(
        "--limit",
        type=integer(1, 20),
        default=1,
        metavar="N",
        help="without --run: lease up to so many (1 to 20); default: 1",
    )
    claim.add_argument(
        "--ttl",
        type=integer(60, 43_200),
        default=300,
        metavar="SECONDS",
        help="how long the leases live; those of --run are renewed (60 to 43200); default: 300",
    )
    claim.add_argument(
        "--concurrency",
        type=integer(1, 1000),
        default=1,
        metavar="N",
        help="programs that run at a time (1 to 1000); default: 1",
    )
    claim.add_argument(
        "--count", type=integer(1, 2**53), metavar="N", help="with --run: end after so many messages"
    )
    claim.add_argument(
        "--run",
        dest="program",
        nargs=argparse.REMAINDER,
        default=[],
        metavar="PROGRAM",
        help="run this for each message; all that stands behind it is the program's",
    )
    for name in ("ack", "release"):
        parsers[name].add_argument("--claim", required=True, metavar="CLAIM", help="the claim's id")
    parsers["ack"].add_argument("ids", metavar="ID", nargs="+", help="ids of messages")
    parsers["pop"].add_argument(
        "--count",
        type=integer(1, 20),
        default=1,
        metavar="N",
        help="how many, at most (1 to 20); default: 1",
    )


def _add_command(commands: Any, name: str) -> argparse.ArgumentParser:
    about = _ABOUT[name]
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=about,
        description=f"{about[0].upper()}{about[1:]}.",
        epilog=f"examples:\n{_EXAMPLES[name]}\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.intermixed = True  # type: ignore[attr-defined]  # the command line's own kind of parser
    if name != "queues":
        parser.add_argument("queue", metavar="QUEUE", help="its name")
    add_server(parser, PROJECT, os.environ)
    parser.add_argument(
        "--timeout",
        type=integer(1, 3600),
        default=30,
        metavar="SECONDS",
        help="to wait for a connection or an answer (1 to 3600); default: 30",
    )
    parser.add_argument("--json", action="store_true", help="JSON lines on a terminal too")
    return parser
