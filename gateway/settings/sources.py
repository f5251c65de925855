"""Where settings come from: the command line, else the environment, else a TOML file, else the default."""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gateway.settings import PREFIX, SETTINGS, Setting, Settings, SettingsError, is_loopback
from storage.redis.address import AddressError

_CONFIG_VARIABLE = PREFIX + "CONFIG"

_KUBERNETES = re.compile(r"ZAQAR_GATEWAY_(SERVICE_(HOST|PORT)(_.*)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_.*)?)")
_KUBERNETES_HINT = (
    "; Kubernetes sets it for a Service named zaqar-gateway: enableServiceLinks: false in the pod's spec"
)

Sources = dict[str, str]
"""Where each setting's value is from, by name: default, command line, a variable, or the path of a file."""


def load(command_line: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[Settings, Sources]:
    """Read every source and check every value, also those that a stronger source overrides.

    :param command_line: what was given there, by setting name, as text or bool; `config` is the TOML file.
    :raises SettingsError: naming the setting, its value (masked if it is a secret) and what is allowed.
    """
    values: dict[str, Any] = {}
    sources: Sources = dict.fromkeys(SETTINGS, "default")
    config = command_line.get("config") or environ.get(_CONFIG_VARIABLE)
    given = [
        *(_from_file(config) if config else ()),
        *_from_environment(environ),
        *_from_command_line(command_line),
    ]
    for name, value, source in given:  # from the weakest to the strongest
        values[name] = value
        sources[name] = source
    if "data_dir" not in values:
        values["data_dir"] = _default_data_dir(environ)
    settings = Settings(**values)
    _check_together(settings, sources)
    return settings, sources


def as_toml(settings: Settings, sources: Sources) -> str:
    """The settings in force as a TOML document, the source of each as a comment, secrets masked."""
    rows = []
    for setting in SETTINGS.values():
        value, source = getattr(settings, setting.name), _comment(sources[setting.name])
        if value is None:
            rows.append((f"# {setting.name} is not set", f"{source}: {setting.default_text}"))
        else:
            shown = setting.shown(value) if setting.secret or isinstance(value, Path) else value
            rows.append((f"{setting.name} = {_toml_value(shown)}", source))
    width = max(len(left) for left, _ in rows)
    return "".join(f"{left:<{width}}  # {source}\n" for left, source in rows)


def _from_file(path: str) -> Iterator[tuple[str, Any, str]]:
    try:
        document = tomllib.loads(Path(path).read_bytes().decode())
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: is not TOML: not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: is not TOML: {' '.join(str(error).split())}") from None
    for name, value in document.items():
        if name not in SETTINGS:
            raise _unknown(name, path, list(SETTINGS))
        yield name, _parsed(SETTINGS[name], value, path, toml=True), path


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, Any, str]]:
    by_variable = {setting.variable: setting for setting in SETTINGS.values()}
    for variable, value in sorted(environ.items()):
        if not variable.startswith(PREFIX) or variable == _CONFIG_VARIABLE:
            continue
        if variable not in by_variable:
            hint = _KUBERNETES_HINT if _KUBERNETES.fullmatch(variable) else ""
            raise _unknown(variable, "the environment", [*by_variable, _CONFIG_VARIABLE], hint)
        setting = by_variable[variable]
        hint = _KUBERNETES_HINT if setting.name == "port" and value.startswith("tcp://") else ""
        yield (
            setting.name,
            _parsed(setting, value, f"environment {variable}", hint=hint),
            f"environment {variable}",
        )


def _from_command_line(given: Mapping[str, Any]) -> Iterator[tuple[str, Any, str]]:
    for name, setting in SETTINGS.items():
        value = given.get(name)
        if value is not None:
            parsed = (
                value
                if isinstance(value, bool)
                else _parsed(setting, value, f"command line {setting.option}")
            )
            yield name, parsed, "command line"


def _parsed(setting: Setting, value: Any, source: str, *, toml: bool = False, hint: str = "") -> Any:
    try:
        return setting.parse(value, toml=toml)
    except ValueError as error:
        # Of other errors the text may be the value itself.
        why = f": {error}" if isinstance(error, AddressError) else ""
        text = isinstance(value, str)
        shown = "***" if setting.secret and not text else _toml_value(setting.shown(value) if text else value)
        allowed = f"allowed: {setting.kind.allowed}{hint}"
        raise SettingsError(
            f"{setting.name}: {_short(shown)} is not allowed (from {source}){why.rstrip('.')}; {allowed}"
        ) from None


def _unknown(name: str, source: str, known: list[str], hint: str = "") -> SettingsError:
    near = difflib.get_close_matches(name.replace("-", "_"), known, n=1)
    allowed = f"did you mean {near[0]}?" if near and not hint else f"allowed: {', '.join(known)}"
    return SettingsError(
        f"{_short(_toml_value(name)[1:-1])}: no such setting (from {source}); {allowed}{hint}"
    )


def _check_together(settings: Settings, sources: Sources) -> None:
    if not is_loopback(settings.host) and not settings.allow_anonymous and not settings.auth_methods:
        raise SettingsError(
            f"host: {settings.host} can be reached from other machines, and nobody has to authenticate; "
            "allowed: a loopback address such as 127.0.0.1, or any with --auth or --allow-anonymous"
        )
    if settings.allow_anonymous and settings.auth_methods:
        raise SettingsError(
            f"allow_anonymous: true is not allowed (from {sources['allow_anonymous']}) beside auth "
            f"{settings.auth} (from {sources['auth']}), with which nobody is; allowed: one of the two"
        )
    if settings.policy_file is not None and not settings.auth_methods:
        raise SettingsError(
            f"policy_file: is set (from {sources['policy_file']}), but auth is none (from "
            f"{sources['auth']}), and nobody has a role; allowed: --auth, or no policy_file"
        )
    _check_keys(settings, sources)
    for name in ("keystone_password", "smtp_password"):
        if sources[name] == "command line":
            raise SettingsError(
                f"{name}: is not allowed on the command line, which all users of the machine can read; "
                f"allowed: the environment, a TOML file, or {name}_file"
            )
    _check_confirmation(settings, sources)
    _check_mail(settings, sources)
    if (settings.tls_cert is None) != (settings.tls_key is None):
        given, missing = ("tls_key", "tls_cert") if settings.tls_cert is None else ("tls_cert", "tls_key")
        raise SettingsError(
            f"{given}: {getattr(settings, given)} is not allowed (from {sources[given]}) without {missing}; "
            "allowed: both or none"
        )
    if settings.redis_url is not None and sources["fsync"] != "default":
        raise SettingsError(
            f"fsync: {settings.fsync} is not allowed (from {sources['fsync']}) beside redis_url "
            f"(from {sources['redis_url']}), whose own configuration decides; allowed: one of the two"
        )
    if settings.redis_url is None and settings.min_replicas:
        raise SettingsError(
            f"min_replicas: {settings.min_replicas} is not allowed (from {sources['min_replicas']}) without "
            "redis_url: the embedded store has no replicas; allowed: 0"
        )


def _check_keys(settings: Settings, sources: Sources) -> None:
    given = [name for name in ("jwt_key_file", "jwt_keys_url") if getattr(settings, name) is not None]
    if "jwt" not in settings.auth_methods and given:
        raise SettingsError(
            f"{given[0]}: is set (from {sources[given[0]]}), but auth is {settings.auth} (from "
            f"{sources['auth']}), and no token would be looked at; allowed: --auth jwt, or no {given[0]}"
        )
    if "jwt" in settings.auth_methods and len(given) != 1:
        raise SettingsError(
            f"auth: jwt (from {sources['auth']}) needs keys from one place, not {len(given)}; allowed: "
            "jwt_key_file or jwt_keys_url"
        )


def _check_confirmation(settings: Settings, sources: Sources) -> None:
    if settings.require_confirmation and settings.signing_key_file is None:
        raise SettingsError(
            f"require_confirmation: true is not allowed (from {sources['require_confirmation']}) without "
            "signing_key_file, whose key signs what subscribers confirm with; allowed: both, or false"
        )
    mails = settings.require_confirmation and settings.smtp_host is not None
    if mails and settings.external_confirmation_url is None:
        raise SettingsError(
            "external_confirmation_url: is not set, and require_confirmation with smtp_host needs it for "
            "what mail links to; allowed: the URL of a page"
        )


def _check_mail(settings: Settings, sources: Sources) -> None:
    if settings.smtp_host is None:
        return
    if settings.mail_from is None:
        raise SettingsError("mail_from: is not set, and smtp_host needs it; allowed: a mail address")
    if settings.smtp_user is not None and settings.smtp_tls == "none":
        raise SettingsError(
            f"smtp_tls: none is not allowed (from {sources['smtp_tls']}) with smtp_user, whose password all "
            "on the way could read; allowed: starttls or tls"
        )


def _default_data_dir(environ: Mapping[str, str]) -> Path:
    # The XDG base directory specification: relative paths there are to be ignored.
    base = environ.get("XDG_DATA_HOME", "")
    if not os.path.isabs(base):
        base = os.path.expanduser("~/.local/share")
    if not os.path.isabs(base):
        raise SettingsError(
            "data_dir: there is no home folder to put it in; allowed: a folder, with --data-dir"
        )
    return Path(base) / "zaqar-gateway"


def _toml_value(value: Any) -> str:
    """A value as TOML: JSON's numbers, strings and lists are. Tables are only ever shown in an error."""
    if isinstance(value, str | int | float | bool | list | tuple | dict):
        # TOML wants DEL escaped, JSON does not.
        return json.dumps(value, ensure_ascii=False, default=str).replace("\x7f", "\\u007f")
    return str(value)


def _comment(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


def _short(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "…"
