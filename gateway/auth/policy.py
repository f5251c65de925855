"""The operator's policy: a file in the form of oslo.policy, which says who may do what."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from oslo_config import cfg
from oslo_policy import policy

from gateway.auth.identity import Identity
from gateway.auth.policy_rules import ELSEWHERE, RULES, defaults
from gateway.operator_file import OperatorFile
from gateway.settings import SettingsError

REMEMBERED: Final = 50_000
"""Decisions that are remembered: each of one rule for somebody."""

_NOBODY: Final = re.compile(r"(?<![^\s(])!(?![^\s)])")
"""A check that is always false."""

_REMOTE: Final = re.compile(r"(?<![^\s(])https?:")
"""A check that asks another server, and waits for it."""


class Policy(OperatorFile):
    """The rules in force: the defaults, and over them those of a file.

    Raises SettingsError if the file cannot be read, or has a rule that is not known or not understood, that
    refers to one that is not there, or that would ask another server.
    """

    def __init__(self, path: Path) -> None:
        super().__init__("policy_file", path)

    def _load(self) -> None:
        self._enforcer = _make_enforcer(self._path)
        self._remembered = lru_cache(REMEMBERED)(self._decide)

    def allows(self, identity: Identity, action: str) -> bool:
        """Whether somebody may do an action, as far as roles, project and user decide."""
        rule = RULES.get(action)
        return rule is None or self._remembered(rule, identity.project, identity.user, identity.roles)

    def _decide(self, rule: str, project: str, user: str, roles: frozenset[str]) -> bool:
        credentials: dict[str, Any] = {
            "roles": sorted(roles),
            "project_id": project,
            "user_id": user,
            "is_admin": "admin" in roles,
        }
        # All that is done here is done in one's own project.
        return bool(self._enforcer.enforce(rule, {"project_id": project, "user_id": user}, credentials))


def _make_enforcer(path: Path) -> policy.Enforcer:
    found = _read(path)
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[], default_config_dirs=[])
    # With use_conf it would look at the file again for each decision.
    enforcer = policy.Enforcer(conf, policy_file=str(path), use_conf=False)
    enforcer.set_rules(policy.Rules.from_dict({**defaults(), **found}))
    for name, text in found.items():
        _check(path, name, text, str(enforcer.rules[name]))
    try:
        enforcer.check_rules(raise_on_violation=True)
    except policy.InvalidDefinitionError as error:
        raise _unusable(path, str(error)) from None
    return enforcer


def _check(path: Path, name: str, text: str, understood: str) -> None:
    if ":" in name and name not in RULES.values() and name not in ELSEWHERE:
        raise _unusable(path, f"there is no rule {name!r}; docs/authentication.md has all")
    if _REMOTE.search(text):
        raise _unusable(path, f"the rule {name!r} asks another server, for which nobody can wait here")
    # The library takes what it does not understand for what nobody may.
    if _NOBODY.search(understood) and not _NOBODY.search(text):
        raise _unusable(path, f"the rule {name!r} is not understood: {text!r}")


def _read(path: Path) -> dict[str, str]:
    try:
        found: object = policy.parse_file_contents(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"policy_file: {path} cannot be read: {error.strerror or error}") from None
    except ValueError:
        raise _unusable(path, "it is not YAML") from None
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in (*found, *found.values())):
        raise _unusable(path, "it has to have rules and nothing else, each a name and a text")
    return found


def _unusable(path: Path, why: str) -> SettingsError:
    return SettingsError(f"policy_file: {path} cannot be used: {why}")
