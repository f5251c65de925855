"""What the load is told, and what it refuses."""

from __future__ import annotations

import pytest

from gateway.bench.options import LOADS
from gateway.cli import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bench"], "the following arguments are required: LOAD"),
        (["bench", "delete"], "invalid choice: 'delete'"),
        (["bench", "post", "--url", "http://127.0.0.1/"], "argument --url: use ws://HOST:PORT/"),
        (["bench", "post", "--url", "ws://user:hunter2@127.0.0.1/"], "argument --url: use ws://HOST:PORT/"),
        (["bench", "post", "--url", "ws://127.0.0.1:hunter2/"], "argument --url: use ws://HOST:PORT/"),
        (["bench", "post", "--url", "ws:///"], "argument --url: use ws://HOST:PORT/"),
        (["bench", "post", "--sockets", "0"], "argument --sockets: use an integer from 1 to 20000"),
        (["bench", "post", "--seconds", "nan"], "argument --seconds: use a number from 0.1 to 3600"),
        (["bench", "post", "--seconds", "soon"], "argument --seconds: use a number from 0.1 to 3600"),
        (["bench", "post", "--size", "31"], "argument --size: use an integer from 32 to 200000"),
        (["bench", "fanout", "--outstanding", "2"], "unrecognized arguments: --outstanding 2"),
    ],
)
def test_one_clear_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    captured = capsys.readouterr()
    assert end.value.code == 2
    assert captured.err.startswith("zaqar-gateway: error: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert "hunter2" not in captured.err


def test_help_names_every_load(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["bench", "--help"])
    assert end.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for name, does in LOADS.items():
        assert f"{name} {does}" in text
