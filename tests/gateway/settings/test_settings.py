"""Where settings come from, which of several holds, and how they are shown."""

from __future__ import annotations

import os
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from gateway.settings import SETTINGS, Settings, SettingsError, mask_url
from gateway.settings.sources import as_toml, load
from tests.gateway.settings.reading import from_toml, refused

# --- sources --------------------------------------------------------------------------------------


def test_defaults(tmp_path: Path) -> None:
    settings, sources = load({}, {"XDG_DATA_HOME": str(tmp_path)})
    assert settings == Settings(
        host="127.0.0.1",
        port=9000,
        allow_anonymous=False,
        data_dir=tmp_path / "zaqar-gateway",
        redis_url=None,
        catalog_url=None,
        fsync="always",
        min_replicas=0,
        log_level="info",
        log_format="auto",
        max_frame_bytes=1_048_576,
        max_requests_in_flight=64,
        max_messages_per_post=1000,
        handshake_timeout=10.0,
        request_timeout=10.0,
        shutdown_timeout=4.0,
        sweep_interval=5.0,
        enable_checksum=False,
        message_delete_with_claim_id=False,
        notification_host=None,
    )
    assert settings == Settings(data_dir=tmp_path / "zaqar-gateway")
    assert set(sources.values()) == {"default"}
    assert set(sources) == {item.name for item in fields(Settings)}


def test_strongest_source_wins(tmp_path: Path) -> None:
    toml = "port = 1\nfsync = 'everysec'\nenable_checksum = true\nlog_level = 'debug'\n"
    path = tmp_path / "gateway.toml"
    path.write_text(toml)
    environ = {
        "ZAQAR_GATEWAY_PORT": "2",
        "ZAQAR_GATEWAY_LOG_LEVEL": "error",
        "ZAQAR_GATEWAY_CONFIG": str(path),
    }
    settings, sources = load({"port": "3", "fsync": None}, environ)
    assert (settings.port, settings.log_level, settings.fsync, settings.enable_checksum) == (
        3,
        "error",
        "everysec",
        True,
    )
    assert sources["port"] == "command line"
    assert sources["log_level"] == "environment ZAQAR_GATEWAY_LOG_LEVEL"
    assert sources["fsync"] == str(path)
    assert sources["host"] == "default"


def test_config_of_the_command_line_wins(tmp_path: Path) -> None:
    assert from_toml(tmp_path, "port = 1", {"ZAQAR_GATEWAY_CONFIG": "/nowhere"}).port == 1


def test_data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    home = Path("/home/somebody/.local/share/zaqar-gateway")
    assert load({}, {})[0].data_dir == home
    assert load({}, {"XDG_DATA_HOME": "relative"})[0].data_dir == home
    assert load({"data_dir": "here/../there"}, {})[0].data_dir == tmp_path / "there"
    assert load({}, {"ZAQAR_GATEWAY_DATA_DIR": "~/data"})[0].data_dir == Path("/home/somebody/data")


def test_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert "--data-dir" in refused({}, {})


def test_empty_means_the_embedded_one(tmp_path: Path) -> None:
    settings = from_toml(tmp_path, "redis_url = 'redis://host'\ncatalog_url = ''", redis_url="")
    assert settings.redis_url is settings.catalog_url is None


@pytest.mark.parametrize("text", ["true", "YES", "on", "1"])
def test_boolean_texts(text: str) -> None:
    assert load({}, {"ZAQAR_GATEWAY_ENABLE_CHECKSUM": text})[0].enable_checksum is True


@pytest.mark.parametrize(
    ("name", "value", "parsed"),
    [
        ("request_timeout", "0.25", 0.25),
        ("request_timeout", "300", 300.0),
        ("redis_url", "redis://:pa@ss@host", "redis://:pa@ss@host"),
        ("redis_url", "rediss://user:password@[::1]:6380/2?x=1", "rediss://user:password@[::1]:6380/2?x=1"),
        ("redis_url", "unix:///run/redis.sock?db=1", "unix:///run/redis.sock?db=1"),
        ("redis_url", "redis+sentinel://:pw@a,b:26380/one/1", "redis+sentinel://:pw@a,b:26380/one/1"),
        ("redis_url", "redis+cluster://u:pw@a:6379,b:6379", "redis+cluster://u:pw@a:6379,b:6379"),
        ("catalog_url", "mysql+pymysql://u:p@host/zaqar", "mysql+pymysql://u:p@host/zaqar"),
        ("catalog_url", "sqlite:////var/catalog.db", "sqlite:////var/catalog.db"),
        ("keystone_auth_url", "https://host:5000/v3/", "https://host:5000"),
        ("keystone_auth_url", "http://[::1]/identity", "http://[::1]/identity"),
        ("port", "0", 0),
        ("notification_host", "push.example", "push.example"),
        ("notification_host", "", None),
        ("trusted_proxies", "10.0.0.0/8, ::1", ("10.0.0.0/8", "::1/128")),
        ("trusted_proxies", "", ()),
    ],
)
def test_good_values(name: str, value: str, parsed: object) -> None:
    assert getattr(load({name: value}, {})[0], name) == parsed


def test_lists_of_toml(tmp_path: Path) -> None:
    settings = from_toml(tmp_path, "trusted_proxies = ['10.0.0.0/8', '::1']")
    assert settings.trusted_proxies == ("10.0.0.0/8", "::1/128")
    assert tomllib.loads(as_toml(settings, dict.fromkeys(SETTINGS, "x")))["trusted_proxies"] == [
        "10.0.0.0/8",
        "::1/128",
    ]
    for text in ("'::1'", "[1]", "['']"):
        with pytest.raises(SettingsError, match="trusted_proxies: "):
            from_toml(tmp_path, f"trusted_proxies = {text}")


def test_toml_numbers(tmp_path: Path) -> None:
    settings = from_toml(tmp_path, "request_timeout = 2\nsweep_interval = 0.5\nmax_frame_bytes = 2048")
    assert (settings.request_timeout, settings.sweep_interval, settings.max_frame_bytes) == (2.0, 0.5, 2048)


# --- what is shown --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("redis://:hunter2@host:6379/0", "redis://:***@host:6379/0"),
        ("rediss://user:hunter2@host", "rediss://user:***@host"),
        ("redis://user@host", "redis://user@host"),
        ("redis+sentinel://u:hunter2@a:1,b:2/one/0", "redis+sentinel://u:***@a:1,b:2/one/0"),
        ("redis+cluster://:hunter2@a:1,b:2", "redis+cluster://:***@a:1,b:2"),
        ("mysql+pymysql://u:hun@ter/2:@host/db?charset=utf8", "mysql+pymysql://u:***@host/db?charset=utf8"),
        ("unix:///run/redis.sock?db=1&password=hunter2", "unix:///run/redis.sock?db=1&password=***"),
        ("mysql://host/db?ssl_key_Password=hunter2&x=1", "mysql://host/db?ssl_key_Password=***&x=1"),
        ("mysql://host/db?p%61ssword=hunter2", "mysql://host/db?p%61ssword=***"),
        ("redis://host?password=hunter@2", "***"),
        ("redis://host:1/?password=hunter@2", "***"),
        ("redis://:hun\nter2@host", "redis://:***@host"),
        ("redis:/:hunter2@host", "***"),
        ("hunter2", "***"),
    ],
)
def test_mask_url(url: str, masked: str) -> None:
    assert mask_url(url) == masked


def test_repr_holds_no_secret(tmp_path: Path) -> None:
    assert "hunter2" not in repr(Settings(data_dir=tmp_path, redis_url="redis://:hunter2@host"))


def test_as_toml_is_what_was_read(tmp_path: Path) -> None:
    environ = {
        "ZAQAR_GATEWAY_CATALOG_URL": "mysql+pymysql://zaqar:hunter2@host/zaqar",
        "ZAQAR_GATEWAY_DATA_DIR": '/tmp/a "b" \\ü\x7f',
    }
    (tmp_path / "line\nbreak.toml").write_text("port = 1")
    given = {"config": str(tmp_path / "line\nbreak.toml"), "enable_checksum": True}
    settings, sources = load(given, environ)
    text = as_toml(settings, sources)
    document = tomllib.loads(text)
    read = {name: SETTINGS[name].parse(value, toml=True) for name, value in document.items()}
    set_values = {name: value for name in SETTINGS if (value := getattr(settings, name)) is not None}
    assert read == set_values | {"catalog_url": "mysql+pymysql://zaqar:***@host/zaqar"}
    lines = {line.split(" ")[0]: line for line in text.splitlines()}
    assert lines["catalog_url"].endswith("# environment ZAQAR_GATEWAY_CATALOG_URL")
    assert lines["enable_checksum"].endswith("# command line")
    assert lines["port"].endswith("line?break.toml")
    assert lines["host"].endswith("# default")
    assert "# redis_url is not set" in text


def test_every_setting_is_described() -> None:
    for setting in SETTINGS.values():
        assert setting.help
        assert setting.kind.allowed
        assert setting.default_text
