"""Writes what is made of the code: `python -m docs.generate`.

These are docs/protocol.md, docs/extension.md, docs/configuration.md and the OpenAPI document of REST.

The prose is in docs/templates. A line `<!-- name: argument -->` there becomes what the function of that name
makes of the schemas, the errors, the settings or a recorded example; `{{module.NAME}}` becomes a constant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

import gateway.actions.sharing
import gateway.auth.keystone_client
import gateway.delivery.confirmations
import gateway.http.rest.errors  # noqa: F401
import storage.errors  # noqa: F401  # their errors are among those that are told
from docs import tables
from gateway.http.rest import openapi
from gateway.http.site import OPENAPI
from gateway.settings import GROUPS, SETTINGS
from protocol import close_codes
from protocol.errors import RequestError
from schemas import events, limits
from schemas.events import Notification
from schemas.messages import MessageView
from schemas.subscriptions import SubscriptionView

FOLDER = Path(__file__).parent
PAGES = ("protocol.md", "extension.md", "configuration.md")

_BLOCK = re.compile(r"<!-- ([a-z ]+)(?:: (\S+(?: \S+)?))? -->")
_CONSTANT = re.compile(r"\{\{(\w+)\.(\w+)\}\}")

_CONSTANTS: Mapping[str, ModuleType] = {
    "limits": limits,
    "close_codes": close_codes,
}
_OBJECTS: Mapping[str, type[Any]] = {
    "message": MessageView,
    "subscription": SubscriptionView,
    "notification": Notification,
    "extended notification": events.ExtendedNotification,
    "gap": events.Gap,
    "gap event": events.GapEvent,
    "draining": events.DrainingEvent,
    "token_expiring": events.TokenExpiringEvent,
    "behind": events.BehindEvent,
    "caught_up": events.CaughtUpEvent,
    "subscription_ended": events.SubscriptionEndedEvent,
    "claim_event": events.ClaimEvent,
    "claim_ended": events.ClaimEnded,
}


def _errors(_: str) -> str:
    """Every code that a reply may carry, by status."""
    found: dict[str, tuple[int, bool, str]] = {}
    waiting: list[type[RequestError]] = [RequestError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        text = (kind.__doc__ or "").split("\n")[0]
        # A kind without a code of its own is told as the one above it.
        found.setdefault(kind.code, (kind.status, kind.retry, text))
    found["internal_error"] = (500, False, "A fault of the gateway; its log has the details.")
    found["store_loading"] = (
        503,
        True,
        "The store was started and still loads its data. Nothing was written.",
    )
    rows = [
        (str(status), f"`{code}`", "yes" if retry else "no", text)
        for code, (status, retry, text) in sorted(found.items(), key=lambda item: (item[1][0], item[0]))
    ]
    return tables.table(("Status", "Code", "May succeed later", "Reason"), rows)


def _settings(_: str) -> str:
    """A section for each group, in it one for each setting."""
    return "\n\n".join(_group(group) for group in GROUPS)


def _group(group: type) -> str:
    parts = [f"## {(group.__doc__ or '').rstrip('.')}", ""]
    for setting in (SETTINGS[item.name] for item in fields(group)):
        value = "" if setting.flag else f" {setting.kind.metavar}"
        option = f"`{setting.option}{value}`" + (f", `--no-{setting.option[2:]}`" if setting.flag else "")
        default = setting.default_text
        parts += [
            f"### {setting.name}",
            "",
            f"{setting.help[0].upper()}{setting.help[1:]}.",
            "",
            f"- Command line: {option}",
            f"- Environment: `{setting.variable}`",
            f"- Allowed: {setting.kind.allowed}",
            f"- Default: {default if setting.optional or ' ' in default else f'`{default}`'}",
            "",
        ]
    return "\n".join(parts).rstrip()


_MAKERS: Mapping[str, Callable[[str], str]] = {
    "action": tables.action,
    "object": lambda name: tables.shown(_OBJECTS[name]),
    "example": tables.example,
    "whole example": tables.whole_example,
    "errors": _errors,
    "settings": _settings,
}


def render(page: str) -> str:
    """A page, made anew."""
    lines = []
    for line in (tables.TEMPLATES / page).read_text(encoding="utf-8").splitlines():
        block = _BLOCK.fullmatch(line)
        lines.append(_CONSTANT.sub(_constant, line) if block is None else _MAKERS[block[1]](block[2] or ""))
    head = f"<!-- Made by docs/generate.py from docs/templates/{page}; change that, then: make docs -->"
    return "\n".join([head, "", *lines]) + "\n"


def _constant(found: re.Match[str]) -> str:
    return str(getattr(_CONSTANTS[found[1]], found[2]))


def main() -> None:
    """Write the pages and the document."""
    for page in PAGES:
        (FOLDER / page).write_text(render(page), encoding="utf-8")
    OPENAPI.write_text(openapi.text(), encoding="utf-8")


if __name__ == "__main__":
    main()
