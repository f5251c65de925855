"""Who has to say who they are, and how: settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gateway.settings.kinds import check_file, integer, seconds, text
from gateway.settings.setting import setting

METHODS = ("jwt", "keystone")
"""Ways to authenticate that gateway.auth.chain knows."""

_NONE = "none"


def check_methods(text: str) -> str:
    """`none`, or some of METHODS with commas between them, each once."""
    methods = [method.strip() for method in text.split(",")]
    if methods != [_NONE] and (len(set(methods)) < len(methods) or not set(methods) <= set(METHODS)):
        raise ValueError(text)
    return ",".join(methods)


@dataclass(frozen=True, kw_only=True)
class Authentication:
    """Authentication."""

    auth: str = setting(
        _NONE,
        text(
            "METHODS", f"none, or of {', '.join(METHODS)} one or several with commas between", check_methods
        ),
        "how clients authenticate; none lets everybody be everybody",
    )
    authentication_timeout: float = setting(
        10.0, seconds(0.1, 300), "seconds in which a socket has to authenticate"
    )
    max_unauthenticated_frame_bytes: int = setting(
        16_384,
        integer(1024, 1_048_576),
        "largest WebSocket message before a socket has authenticated, and largest body over REST without a "
        "token or a signature, bytes",
    )
    policy_file: Path | None = setting(  # noqa: RUF009  # it makes a field
        None,
        text("FILE", "a file", check_file),
        "file in the form of oslo.policy that says who may do what",
        default_text="none: what is for administrators needs the role admin",
        optional=True,
    )

    @property
    def auth_methods(self) -> tuple[str, ...]:
        """The ways to authenticate that are on; none: nobody has to."""
        return () if self.auth == _NONE else tuple(self.auth.split(","))
