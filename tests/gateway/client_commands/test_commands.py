"""`zaqar-gateway post`, `tail`, `claim` and the like: as programs, with real pipes and terminals."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.client_commands.options import COMMANDS
from tests.support.client import Client
from tests.support.expect import bodies, post
from tests.support.gateway import ROOT, Gateway

PATIENCE = 30


class Shell:
    """Runs commands on one queue of a new project."""

    def __init__(self, gateway: Gateway) -> None:
        self.project = str(uuid.uuid4())
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("ZAQAR_")}
        # A terminal tells what it can; pytest's need not.
        self.environment = {
            **inherited,
            "ZAQAR_URL": gateway.url,
            "ZAQAR_PROJECT": self.project,
            "TERM": "xterm",
        }
        self.environment.pop("NO_COLOR", None)
        self.client = Client(gateway.url, project=self.project)

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "gateway", *arguments],
            **{"cwd": ROOT, "env": self.environment, "stdin": subprocess.DEVNULL, **options},
        )

    def run(self, *arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
        """Run it to its end: exit code, stdout, stderr."""
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        with self.start(*arguments, **pipes) as process:
            out, err = process.communicate(stdin, timeout=PATIENCE)
        return process.returncode, out.decode(), err.decode()

    def lines(self, *arguments: str, stdin: bytes = b"") -> list[Any]:
        """What it writes, of which each line is JSON; it has to end with 0."""
        code, out, err = self.run(*arguments, stdin=stdin)
        assert (code, err) == (0, "")
        return [json.loads(line) for line in out.splitlines()]

    def on_terminal(self, *arguments: str, keys: bytes = b"") -> tuple[int, str]:
        """Run it on a terminal: exit code, and all that stands there."""
        own, its = pty.openpty()
        process = self.start(*arguments, stdin=its, stdout=its, stderr=its)
        os.close(its)
        os.write(own, keys)
        shown = b""
        with contextlib.suppress(OSError):  # the terminal's end
            while chunk := os.read(own, 65_536):
                shown += chunk
        os.close(own)
        return process.wait(PATIENCE), shown.decode().replace("\r\n", "\n")


@pytest.fixture
def shell(gateway: Gateway) -> Iterator[Shell]:
    found = Shell(gateway)
    with found.client:
        yield found


def test_messages_from_the_command_line(shell: Shell) -> None:
    posted = shell.lines("post", "news", '{"hello": "wörld"}', "[1, null]", "--ttl", "300")
    assert bodies(shell.client, "news") == [{"hello": "wörld"}, [1, None]]
    texts = shell.lines("post", "news", "--text", "{no JSON", "")
    assert bodies(shell.client, "news")[2:] == ["{no JSON", ""]
    assert len({line["id"] for line in posted + texts}) == 4


def test_messages_from_a_pipe_keep_their_order(shell: Shell) -> None:
    lines = [json.dumps({"n": number}) for number in range(1000)]
    posted = shell.lines("post", "news", stdin="\n".join(lines).encode())
    assert len(posted) == 1000
    got = shell.lines("tail", "news", "--from", "earliest", "--count", "1000")
    assert [line["body"]["n"] for line in got] == list(range(1000))
    assert [line["id"] for line in got] == [line["id"] for line in posted]


def test_lines_of_a_slow_pipe_are_posted_as_they_come(shell: Shell) -> None:
    with shell.start("post", "news", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        for number in range(3):
            process.stdin.write(b"%d\n" % number)
            process.stdin.flush()
            # The id comes while the input is open.
            assert "id" in json.loads(process.stdout.readline())
        process.stdin.close()
        assert process.wait(PATIENCE) == 0


def test_a_line_that_is_no_json_is_named_and_what_was_before_it_is_stored(shell: Shell) -> None:
    code, out, err = shell.run("post", "news", stdin=b"1\n\n2\nthree\n4\n")
    assert code == 2
    assert err.startswith("zaqar-gateway: error: line 4 is not JSON: ")
    assert out == ""  # the four came together, and nothing of a batch that is wrong is sent
    code, _, err = shell.run("post", "news", "--text", stdin=b"\xff")
    assert (code, err) == (2, "zaqar-gateway: error: line 1 is not UTF-8\n")
    for body in ("NaN", "1e999", r'"\ud800"'):
        code, _, err = shell.run("post", "news", body)
        assert (code, err.count("\n")) == (2, 1)
        assert err.startswith("zaqar-gateway: error: a message cannot be posted: ")


def test_tail_goes_on_where_it_was_and_follows(shell: Shell) -> None:
    post(shell.client, "news", 1, 2, 3)
    first, second = shell.lines("tail", "news", "--from", "earliest", "--count", "2")
    assert (first["body"], second["body"]) == (1, 2)
    assert {"id", "position", "created", "ttl"} < first.keys()
    with shell.start("tail", "news", "--from", second["position"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["body"] == 3
        post(shell.client, "news", {"new": True})
        assert json.loads(process.stdout.readline())["body"] == {"new": True}
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130


def test_tail_says_what_is_missing(shell: Shell) -> None:
    post(shell.client, "news", 1, 2)
    (first,) = shell.lines("tail", "news", "--from", "earliest", "--count", "1")
    shell.client.request("message_delete_many", {"queue_name": "news", "pop": 2})
    post(shell.client, "news", 3)
    code, out, err = shell.run("tail", "news", "--from", first["position"], "--count", "1")
    assert (code, json.loads(out)["body"]) == (0, 3)
    assert err.startswith("messages are missing behind ")
    assert "deleted" in err


def test_a_reader_that_goes_away_ends_it_quietly(shell: Shell) -> None:
    post(shell.client, "news", *range(100))
    with shell.start(
        *("tail", "news", "--from", "earliest"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        post(shell.client, "news", "one more")
        assert process.wait(PATIENCE) == 141
        assert process.stderr.read() == b""


def test_claim_ack_release_and_pop(shell: Shell) -> None:
    assert shell.run("claim", "jobs") == (3, "", "")
    assert shell.run("pop", "jobs") == (3, "", "")
    post(shell.client, "jobs", "a", "b", "c")
    claimed = shell.lines("claim", "jobs", "--limit", "2", "--ttl", "60")
    assert [line["body"] for line in claimed] == ["a", "b"]
    claim = claimed[0]["claim_id"]
    assert shell.lines("ack", "jobs", "--claim", claim, claimed[0]["id"]) == []
    assert shell.lines("release", "jobs", "--claim", claim) == []
    code, _, err = shell.run("ack", "jobs", "--claim", claim, claimed[1]["id"])
    assert code == 1
    assert "message_delete: 400 bad_request" in err
    assert [line["body"] for line in shell.lines("pop", "jobs", "--count", "5")] == ["b", "c"]


def test_a_program_for_each_message(shell: Shell, tmp_path: Path) -> None:
    post(shell.client, "jobs", {"n": 1}, "fail", {"n": 2})
    script = 'read body; case $body in *fail*) exit 7;; esac; echo "$ZAQAR_QUEUE $ZAQAR_CLAIM_COUNT $body"'
    code, out, err = shell.run(
        "claim", "jobs", "--concurrency", "2", "--count", "3", "--run", "sh", "-c", script
    )
    assert code == 1
    assert sorted(out.splitlines()) == ['jobs 1 {"n":1}', 'jobs 1 {"n":2}']
    assert "sh ended with 7" in err
    left = shell.client.request("queue_get_stats", {"queue_name": "jobs"}).body["messages"]
    assert (left["free"], left["claimed"]) == (1, 0)
    assert shell.run("claim", "jobs", "--count", "1", "--run", "/no/such/program")[0] == 1
    assert shell.run("claim", "jobs", "--count", "1", "--run", "cat")[:2] == (0, '"fail"\n')


def test_a_signal_gives_leases_back(shell: Shell) -> None:
    post(shell.client, "jobs", 1)
    with shell.start(
        "claim", "jobs", "--run", "sh", "-c", "echo; exec sleep 60", stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        assert process.wait(PATIENCE) == 143
    left = shell.client.request("queue_get_stats", {"queue_name": "jobs"}).body["messages"]
    assert (left["free"], left["claimed"]) == (1, 0)


def test_counts_for_programs_and_for_people(shell: Shell) -> None:
    assert shell.run("queues") == (3, "", "")
    post(shell.client, "jobs", 1, 2)
    shell.client.request("claim_create", {"queue_name": "jobs", "limit": 1})
    post(shell.client, "news", 1)
    jobs, news = shell.lines("queues")
    assert jobs == {"name": "jobs", "free": 1, "claimed": 1, "total": 2}
    assert news["name"] == "news"
    (stats,) = shell.lines("stats", "jobs")
    assert stats.pop("oldest_age") >= stats.pop("newest_age") >= 0
    assert stats == {"free": 1, "claimed": 1, "total": 2}
    code, shown = shell.on_terminal("queues")
    assert (code, shown) == (
        0,
        "\x1b[1mqueue  free  claimed  total\x1b[0m\n"
        "jobs      1        1      2\n"
        "news      1        0      1\n",
    )
    shown = shell.on_terminal("stats", "jobs")[1]
    assert "claimed          1\n" in shown
    assert "s old" in shown


def test_a_terminal_gets_colours_and_no_control_characters(shell: Shell) -> None:
    post(shell.client, "news", "bell \x07 and \x9b31m and ä")
    code, shown = shell.on_terminal("tail", "news", "--from", "earliest", "--count", "1")
    assert code == 0
    when, _, body = shown.rstrip("\n").partition("  ")
    assert when.startswith("\x1b[2m20")
    assert body == '"bell \\u0007 and \\u009b31m and ä"'
    code, shown = shell.on_terminal("tail", "news", "--from", "earliest", "--count", "1", "--json")
    assert json.loads(shown)["body"] == "bell \x07 and \x9b31m and ä"
    shell.environment["NO_COLOR"] = "1"
    assert "\x1b" not in shell.on_terminal("tail", "news", "--from", "earliest", "--count", "1")[1]


def test_posting_from_a_terminal_says_how_many(shell: Shell) -> None:
    code, shown = shell.on_terminal("post", "news", keys=b"1\n2\n\x04")
    assert code == 0
    assert shown.endswith("2 posted\n")
    assert bodies(shell.client, "news") == [1, 2]


def test_what_is_refused_and_what_is_not_there(shell: Shell) -> None:
    code, out, err = shell.run("stats", "nothing")
    assert (code, out) == (1, "")
    assert err == "zaqar-gateway: error: there is no queue nothing\n"
    assert shell.run("post", "bad name", "1")[0] == 1
    code, _, err = shell.run("pop", "jobs", "--url", "ws://127.0.0.1:1/", "--timeout", "1")
    assert code == 4
    assert err.startswith("zaqar-gateway: error: cannot connect to ws://127.0.0.1:1/: ")


def test_connections_that_break_are_no_end(shell: Shell, gateway: Gateway) -> None:
    program = str(ROOT / "tests" / "support" / "chaos_proxy.py")
    chaos = [sys.executable, program, "--target", gateway.url.split("/")[2]]
    shell.client.request("queue_create", {"queue_name": "news"})
    with subprocess.Popen(
        [*chaos, "--seed", "5", "--cuts", "3", "--mean-seconds", "0.2"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as proxy:
        assert proxy.stdin is not None and proxy.stdout is not None
        url = f"ws://127.0.0.1:{int(proxy.stdout.readline())}/"
        tail = ("tail", "news", "--from", "earliest", "--count", "300", "--url", url)
        with shell.start(*tail, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            post(shell.client, "news", *range(100))
            faults = [json.loads(proxy.stdout.readline()) for _ in range(2)]
            post(shell.client, "news", *range(100, 300))
            got = [json.loads(line)["body"] for line in process.stdout]
            assert process.wait(PATIENCE) == 0
        proxy.stdin.close()
    assert got == list(range(300))
    assert len(faults) == 2


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_has_examples_and_exit_codes(shell: Shell, command: str) -> None:
    code, out, _ = shell.run(command, "--help")
    assert code == 0
    assert "examples:\n  " in out
    assert f"zaqar-gateway {command}" in out.partition("examples:")[2]
    assert "exit codes:" in out
    assert "ZAQAR_TOKEN" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["post"], "the following arguments are required: QUEUE"),
        (["post", "q", "--ttl", "5"], "argument --ttl: use an integer from 60 to 1209600"),
        (["pop", "q", "--count", "21"], "argument --count: use an integer from 1 to 20"),
        (["ack", "q", "x"], "the following arguments are required: --claim"),
        (["queues", "--url", "http://host/"], "argument --url: use ws://HOST:PORT/"),
    ],
)
def test_one_clear_line(shell: Shell, arguments: list[str], message: str) -> None:
    code, out, err = shell.run(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
