"""Mail addresses, as subscribers, senders and settings name them (RFC 5321, RFC 5322)."""

from __future__ import annotations

import re
from email.headerregistry import Address, HeaderRegistry
from typing import Any, Final

LONGEST: Final = 254
"""Characters of an address (RFC 5321 section 4.5.3.1.3)."""

LONGEST_TEXT: Final = 998
"""Characters of a header, as of a line (RFC 5322 section 2.1.1). Folding more takes far too long."""

# In ASCII and without quotes, so that no command can hold more than an address (RFC 5321 section 4.1.2).
_ATOM: Final = r"[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL: Final = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_ADDRESS: Final = re.compile(rf"(?=[^@]{{1,64}}@){_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*")
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

_headers: Final[Any] = HeaderRegistry()


def is_mail_address(text: str) -> bool:
    """Whether this is the address of one mailbox: `ada@example.org`. International domains as `xn--…`."""
    return len(text) <= LONGEST and _ADDRESS.fullmatch(text) is not None


def is_header_text(text: str) -> bool:
    """Whether a text can stand in a header: nothing in it ends a line, and it has LONGEST_TEXT at most."""
    return len(text) <= LONGEST_TEXT and _CONTROLS.search(text) is None


def read_mailbox(text: str) -> Address:
    """The one mailbox that a text names, with or without a name: `Ada <ada@example.org>`.

    Raises ValueError for anything else.
    """
    if len(text) > 2 * LONGEST or not is_header_text(text):
        raise ValueError("not a mail address")
    try:
        addresses: tuple[Address, ...] = _headers("from", text).addresses
    except Exception:  # noqa: BLE001  # the parser fails in every way on odd input: RecursionError, TypeError…
        raise ValueError("not a mail address") from None
    if len(addresses) != 1 or not is_mail_address(addresses[0].addr_spec):
        raise ValueError("not a mail address")
    name = addresses[0].display_name
    if not is_header_text(name) or "=?" in name:  # encoded words were read: these would be once more
        raise ValueError("not a mail address")
    return addresses[0]
