"""`zaqar-gateway catalog`, and what `serve` says of a schema that it cannot work on."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from gateway.cli import main
from gateway.embedded.lock import DataFolderLock
from tests.support.client import Client
from tests.support.databases import DatabaseServer
from tests.support.gateway import start_gateway


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """The exit code, and what was written to stdout and stderr."""
    code = main(["catalog", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_catalog_is_made_and_migrated(catalog_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = command(capsys, "status", "--catalog-url", catalog_url)
    assert code == 1
    assert "schema    none\n" in out
    assert "run zaqar-gateway catalog upgrade" in out
    for step, line in (
        (("upgrade", "--revision", "0001"), "revision none -> 0001\n"),
        (("upgrade",), "revision 0001 -> 0003\n"),
        (("downgrade",), "revision 0003 -> 0002\n"),
        (("upgrade",), "revision 0002 -> 0003\n"),
        (("upgrade",), "revision 0003 -> 0003\n"),
        (("downgrade", "--revision", "0001"), "revision 0003 -> 0001\n"),
        (("upgrade",), "revision 0001 -> 0003\n"),
    ):
        assert command(capsys, *step, "--catalog-url", catalog_url) == (0, line, "")
    code, out, _ = command(capsys, "status", "--catalog-url", catalog_url)
    assert (code, out.splitlines()[1:]) == (
        0,
        ["schema    0003", "gateway   0003", "verdict   ready"],
    )


def test_the_embedded_catalog_is_ready_whatever_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ("--data-dir", str(tmp_path))
    code, out, _ = command(capsys, "status", *folder)
    assert (code, "schema    none" in out, "itself, when it starts" in out) == (0, True, True)
    assert list(tmp_path.iterdir()) == []
    assert command(capsys, "upgrade", *folder) == (0, "revision none -> 0003\n", "")
    assert command(capsys, "downgrade", *folder) == (0, "revision 0003 -> 0002\n", "")
    code, out, _ = command(capsys, "status", *folder)
    assert (code, "schema    0002" in out) == (0, True)
    with sqlite3.connect(tmp_path / "catalog.sqlite") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0009'")
    code, out, _ = command(capsys, "status", *folder)
    assert (code, "run a newer version" in out) == (1, True)


def test_a_data_folder_in_use_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with DataFolderLock(tmp_path):
        code, out, error = command(capsys, "upgrade", "--data-dir", str(tmp_path))
    assert (code, out) == (1, "")
    assert "another gateway" in error


def test_the_password_is_not_shown(mariadb: DatabaseServer, capsys: pytest.CaptureFixture[str]) -> None:
    with mariadb.database() as url:
        # The administrator of the tests has no password, so it is refused.
        wrong = url.replace("root@", "root:hunter2@")
        code, out, error = command(capsys, "status", "--catalog-url", wrong)
    assert (code, out) == (1, "")
    assert "Access denied" in error
    assert "hunter2" not in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["upgrade", "--revision", "0009"], "0009"),
        (["downgrade"], ""),
        (
            ["upgrade", "--catalog-url", "mysql+aiomysql://host/catalog"],
            "the catalog's URL must be one such as",
        ),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(
    tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, error = command(capsys, *arguments, "--data-dir", str(tmp_path))
    assert (code, out) == (1, "")
    assert error.startswith("zaqar-gateway: error: ")
    assert message in error
    assert error.count("\n") == 1


def test_serve_migrates_only_its_own_catalog(
    mariadb: DatabaseServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(capsys, "upgrade", "--revision", "0001", "--data-dir", str(tmp_path))[0] == 0
    with start_gateway(tmp_path):
        pass
    with sqlite3.connect(tmp_path / "catalog.sqlite") as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0003",)]
    with mariadb.database() as url:
        with pytest.raises(AssertionError, match="zaqar-gateway catalog upgrade with the same settings"):
            start_gateway(tmp_path, "--catalog-url", url)
        assert command(capsys, "upgrade", "--catalog-url", url)[0] == 0
        with start_gateway(tmp_path, "--catalog-url", url) as gateway:
            assert gateway.events[-1]["event"] == "listening"


def test_the_embedded_catalog_is_copied_to_a_server(
    database_server: DatabaseServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data"
    with start_gateway(folder) as gateway, Client(gateway.url, project="p") as client:
        assert client.request("queue_create", {"queue_name": "q", "metadata": {"a": 1}}).status == 201
        with database_server.database() as url:
            assert command(capsys, "upgrade", "--catalog-url", url)[0] == 0
            code, _, err = command(capsys, "copy", "--from", str(folder), "--catalog-url", url)
            assert (code, "another gateway" in err) == (1, True)
    with database_server.database() as url:
        assert command(capsys, "upgrade", "--catalog-url", url)[0] == 0
        copied = command(capsys, "copy", "--from", str(folder), "--catalog-url", url)
        assert copied == (0, "copied: 1 queue\n", "")
        with (
            start_gateway(folder, "--catalog-url", url) as gateway,
            Client(gateway.url, project="p") as client,
        ):
            assert client.request("queue_get", {"queue_name": "q"}).body == {"a": 1}
        code, _, err = command(capsys, "copy", "--from", str(tmp_path), "--catalog-url", url)
        assert (code, "no catalog.sqlite" in err) == (1, True)
