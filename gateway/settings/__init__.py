"""Everything that can be set, described once: the fields of `Settings`, group by group.

The command line, the environment, the TOML file, `zaqar-gateway config`, the help and the reference are made
from these fields; `gateway.settings.sources` reads the sources and puts them in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from gateway.settings.authentication import Authentication
from gateway.settings.confirmation import Confirmation
from gateway.settings.delivering import Delivering
from gateway.settings.encryption import Encryption
from gateway.settings.keystone import Keystone
from gateway.settings.limits import Limits
from gateway.settings.listening import Listening, is_loopback
from gateway.settings.mail import Mail
from gateway.settings.running import Running
from gateway.settings.setting import PREFIX, Setting, SettingsError, mask_url
from gateway.settings.signing import Signing
from gateway.settings.sockets import Sockets
from gateway.settings.storing import Storing
from gateway.settings.tokens import Tokens

__all__ = ["GROUPS", "PREFIX", "SETTINGS", "Setting", "Settings", "SettingsError", "is_loopback", "mask_url"]


@dataclass(frozen=True, kw_only=True)
class Settings(
    Listening,
    Authentication,
    Tokens,
    Keystone,
    Signing,
    Storing,
    Encryption,
    Delivering,
    Confirmation,
    Mail,
    Sockets,
    Limits,
    Running,
):
    """What the gateway runs with. Times are seconds, sizes bytes. Only `data_dir` has to be given here."""


GROUPS = (
    *(Listening, Authentication, Tokens, Keystone, Signing, Storing, Encryption),
    *(Delivering, Confirmation, Mail),
    *(Sockets, Limits, Running),
)
"""The groups in the order in which they are shown; the docstring of each is its title."""

SETTINGS: Mapping[str, Setting] = {
    item.name: Setting(name=item.name, **item.metadata) for group in GROUPS for item in fields(group)
}
"""Every setting by name, in the order in which they are shown."""
