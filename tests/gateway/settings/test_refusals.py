"""Settings that are refused, and what the operator is told to do."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from gateway.settings import SETTINGS, SettingsError, is_loopback
from gateway.settings.sources import as_toml, load
from tests.gateway.settings.reading import from_toml, refused


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("host", "", "an IP address or a host name"),
        ("host", "a b", "an IP address or a host name"),
        ("port", "65536", "an integer from 0 to 65535"),
        ("port", "-1", "an integer"),
        ("port", "9_000", "an integer"),
        ("port", "٣", "an integer"),
        ("port", "", "an integer"),
        ("data_dir", "", "a folder"),
        ("data_dir", "a\0b", "a folder"),
        ("trusted_proxies", "10.0.0.0/8,", "an IP address or network"),
        ("trusted_proxies", "10.0.0.1/8", "an IP address or network"),
        ("fsync", "no", "always or everysec"),
        ("log_level", "INFO", "debug, info, warning or error"),
        ("log_format", "xml", "auto, human or json"),
        ("request_timeout", "0", "seconds from 0.1 to 300"),
        ("request_timeout", "nan", "seconds"),
        ("request_timeout", "1e1", "seconds"),
        ("enable_checksum", "maybe", "true or false"),
        ("redis_url", "http://host", "redis://, rediss:// or unix://"),
        ("redis_url", "redis://", "redis://"),
        ("redis_url", "redis://host:0", "redis://"),
        ("redis_url", "redis://host:port", "redis://"),
        ("redis_url", "redis://host/name", "redis://"),
        ("redis_url", "redis://[::1", "redis://"),
        ("redis_url", "redis://host /", "redis://"),
        ("redis_url", "unix://", "redis://"),
        ("redis_url", "redis://a,b", "redis://"),
        ("redis_url", "redis+sentinel://a,b", "redis://"),
        ("redis_url", "redis+cluster://a/1", "redis://"),
        ("keystone_auth_url", "host:5000", "http:// or https://"),
        ("keystone_auth_url", "ftp://host", "http:// or https://"),
        ("keystone_auth_url", "http://u:p@host", "http:// or https://"),
        ("keystone_auth_url", "http://host/?a=b", "http:// or https://"),
        ("keystone_auth_url", "http://ho st", "http:// or https://"),
        ("keystone_auth_url", "http://host:port", "http:// or https://"),
        ("keystone_username", "", "up to 256"),
        ("keystone_password", "a\nb", "up to 256"),
        ("keystone_cache", "0.5", "seconds from 1 to 3600"),
        ("catalog_url", "oracle://host", "a SQLAlchemy URL of sqlite, mysql"),
        ("catalog_url", "zaqar.db", "a SQLAlchemy URL"),
    ],
)
def test_bad_value_is_refused(name: str, value: str, allowed: str) -> None:
    for message in (refused({name: value}, {}), refused({}, {SETTINGS[name].variable: value})):
        assert message.startswith(f"{name}: ")
        assert f"allowed: {allowed}" in message
        if not SETTINGS[name].secret:
            assert (
                tomllib.loads("v = " + message.removeprefix(f"{name}: ").split(" is not allowed")[0])["v"]
                == value
            )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("port = '9000'", 'port: "9000"'),
        ("port = 9000.0", "port: 9000.0"),
        ("port = true", "port: true"),
        ("enable_checksum = 1", "enable_checksum: 1"),
        ("fsync = 1", "fsync: 1"),
        ("host = ['a']", 'host: ["a"]'),
        ("request_timeout = inf", "request_timeout: Infinity"),
        ("request_timeout = false", "request_timeout: false"),
        ("log_level = 2020-01-01", "log_level: 2020-01-01"),
        ("redis_url = {password = 'hunter2'}", "redis_url: ***"),
        (f"fsync = '{'x' * 300}'", f'fsync: "{"x" * 199}… is not allowed'),
    ],
)
def test_types_of_toml_are_strict(tmp_path: Path, text: str, shown: str) -> None:
    with pytest.raises(SettingsError) as raised:
        from_toml(tmp_path, text)
    assert str(raised.value).startswith(shown)
    assert "gateway.toml); allowed: " in str(raised.value)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prot = 1", "prot: no such setting"),
        ("redis-url = 'redis://:hunter2@host'", "redis-url: no such setting"),
        ("[server]\nport = 1", "server: no such setting"),
        ("a = 1\nport = ]", "is not TOML: Invalid value (at line 2, column 8)"),
        ("port = 1\nport = 2", "is not TOML"),
    ],
)
def test_bad_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError) as raised:
        from_toml(tmp_path, text)
    assert message in str(raised.value)
    assert "gateway.toml" in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_did_you_mean(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"did you mean redis_url\?"):
        from_toml(tmp_path, "redis-url = ''")
    with pytest.raises(SettingsError, match="allowed: host, port, allow_anonymous, "):
        from_toml(tmp_path, "zzz = 1")


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert "gateway.toml: cannot be read: No such file" in refused(
        {"config": str(tmp_path / "gateway.toml")}, {}
    )
    assert "cannot be read" in refused({}, {"ZAQAR_GATEWAY_CONFIG": str(tmp_path)})
    (tmp_path / "latin").write_bytes(b"host = '\xe9'")
    assert "not UTF-8" in refused({"config": str(tmp_path / "latin")}, {})


def test_unknown_variable_is_refused() -> None:
    message = refused({}, {"ZAQAR_GATEWAY_PROT": "1"})
    assert message == (
        "ZAQAR_GATEWAY_PROT: no such setting (from the environment); did you mean ZAQAR_GATEWAY_PORT?"
    )


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ZAQAR_GATEWAY_PORT", "tcp://10.0.0.1:9000"),
        ("ZAQAR_GATEWAY_PORT_9000_TCP_ADDR", "10.0.0.1"),
        ("ZAQAR_GATEWAY_SERVICE_HOST", "10.0.0.1"),
    ],
)
def test_variables_of_kubernetes_are_explained(variable: str, value: str) -> None:
    assert "enableServiceLinks: false" in refused({}, {variable: value})


def test_listening_beyond_loopback_needs_consent() -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "gateway.example"):
        assert "--allow-anonymous" in refused({"host": host}, {})
        assert load({"host": host, "allow_anonymous": True}, {})[0].host == host
    for host in ("127.0.0.2", "::1", "localhost"):
        assert load({"host": host}, {})[0].host == host
    assert not is_loopback("127.0.0.1.example")


def test_who_authenticates_may_come_from_anywhere(tmp_path: Path) -> None:
    given = {"auth": "jwt", "jwt_key_file": str(tmp_path / "key")}
    settings = load({"host": "0.0.0.0", **given}, {})[0]
    assert settings.auth_methods == ("jwt",)
    assert load({}, {})[0].auth_methods == ()
    message = refused({**given, "host": "0.0.0.0", "allow_anonymous": True}, {})
    assert message.startswith("allow_anonymous: true is not allowed (from command line) beside auth jwt")


@pytest.mark.parametrize("auth", ["", "jwt,jwt", "none,jwt", "jwt,", "JWT", "oauth"])
def test_ways_to_authenticate_that_are_none(auth: str) -> None:
    assert "allowed: none, or " in refused({"auth": auth, "jwt_key_file": "key"}, {})


def test_tokens_need_keys_from_one_place() -> None:
    file, url = {"jwt_key_file": "key"}, {"jwt_keys_url": "https://issuer.example/keys"}
    for given in ({}, file | url):
        assert refused({"auth": "jwt", **given}, {}).startswith("auth: jwt (from command line) needs keys")
    for given in (file, url):
        load({"auth": "jwt", **given}, {})
        # A key without --auth would be taken for protection that is not there.
        assert "no token would be looked at" in refused(given, {})
    assert "nobody has a role" in refused({"policy_file": "policy.yaml"}, {})


@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.example/keys",
        "ftp://issuer.example/keys",
        "https:///keys",
        "https://user:hunter2@issuer.example/keys",
        "https://issuer.example:port/keys",
        "https://issuer.example/a b",
        "issuer.example",
    ],
)
def test_keys_come_from_a_place_that_proves_who_it_is(url: str) -> None:
    message = refused({"auth": "jwt", "jwt_keys_url": url}, {})
    assert "allowed: an https URL" in message
    assert "hunter2" not in message
    load({"auth": "jwt", "jwt_keys_url": "http://localhost:8080/keys"}, {})


def test_fsync_is_for_the_embedded_store() -> None:
    message = refused({"fsync": "always"}, {"ZAQAR_GATEWAY_REDIS_URL": "redis://:hunter2@host"})
    assert message.startswith("fsync: always is not allowed (from command line) beside redis_url")
    assert "hunter2" not in message


def test_min_replicas_are_for_a_store_that_has_some() -> None:
    assert refused({"min_replicas": "1"}, {}).startswith("min_replicas: 1 is not allowed (from command line)")
    assert load({"min_replicas": "1", "redis_url": "redis://host"}, {})[0].min_replicas == 1


def test_a_refused_store_says_why() -> None:
    message = refused({"redis_url": "redis+sentinel://:hunter2@a,b"}, {})
    assert "(from command line --redis-url): The service's name is missing: redis+sentinel://" in message
    assert "hunter2" not in message


def test_password_is_not_taken_from_the_command_line() -> None:
    message = refused({"keystone_password": "open-secret"}, {})
    assert message.startswith("keystone_password: is not allowed on the command line")
    assert "open-secret" not in message
    settings, sources = load({}, {"ZAQAR_GATEWAY_KEYSTONE_PASSWORD": "redis://looks-like-a-url"})
    assert settings.keystone_password == "redis://looks-like-a-url"
    assert "looks-like" not in as_toml(settings, sources)


def test_refused_secrets_are_masked() -> None:
    message = refused({"redis_url": "redis://:hunter2@host:99999"}, {})
    assert message.startswith(
        'redis_url: "redis://:***@host:99999" is not allowed (from command line --redis-url)'
    )
    assert "hunter2" not in refused({}, {"ZAQAR_GATEWAY_CATALOG_URL": "hunter2"})
