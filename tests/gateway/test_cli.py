"""The command line, as a program."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gateway import __version__
from gateway.cli import main
from gateway.settings import SETTINGS

ROOT = Path(__file__).parents[2]


def gateway(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ZAQAR_GATEWAY_")}
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=kept | environ,
        timeout=60,
    )


def test_config_as_a_program(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text("fsync = 'everysec'\nport = 1\n")
    done = gateway(
        "config",
        "--config",
        str(tmp_path / "gateway.toml"),
        "--allow-anonymous",
        "--no-enable-checksum",
        ZAQAR_GATEWAY_PORT="2",
        ZAQAR_GATEWAY_CATALOG_URL="mysql+pymysql://zaqar:hunter2@host/zaqar",
        ZAQAR_GATEWAY_ENABLE_CHECKSUM="true",
    )
    assert (done.returncode, done.stderr) == (0, "")
    settings = tomllib.loads(done.stdout)
    assert settings["port"] == 2
    assert settings["fsync"] == "everysec"
    assert settings["allow_anonymous"] is True
    assert settings["enable_checksum"] is False
    assert settings["catalog_url"] == "mysql+pymysql://zaqar:***@host/zaqar"
    assert "port = 2 " in done.stdout
    assert "# environment ZAQAR_GATEWAY_PORT\n" in done.stdout


def test_version_as_a_program() -> None:
    done = gateway("--version")
    assert (done.returncode, done.stdout) == (0, f"zaqar-gateway {__version__}\n")


def test_serve_as_a_program(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = gateway("serve", "--port", "0", "--data-dir", str(tmp_path / "file"))
    assert done.returncode == 1
    assert "cannot be used" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["run"], "invalid choice: 'run'"),
        (["config", "--por", "1"], "unrecognized arguments: --por 1"),
        (["config", "--port"], "argument --port: expected one argument"),
        (["config", "--port", "1\n2"], 'port: "1\\n2" is not allowed'),
        (
            ["config", "--redis-ur", "redis://:hunter2@host"],
            "unrecognized arguments: --redis-ur redis://:***@host",
        ),
        (["config", "--redis-urls=redis://:hunter2@host"], "--redis-urls=redis://:***@host"),
        (["serve", "--host", "0.0.0.0"], "--allow-anonymous"),
        (["config", "--config", "a\x1bb"], "a?b: cannot be read"),
    ],
)
def test_one_clear_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code: object = main(arguments)
    except SystemExit as end:
        code = end.code
    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    assert captured.err.startswith("zaqar-gateway: error: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert "hunter2" not in captured.err


def test_help_names_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["serve", "--help"])
    assert end.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for setting in SETTINGS.values():
        assert setting.option in text
        assert setting.help in text
    assert "examples: zaqar-gateway serve" in text
