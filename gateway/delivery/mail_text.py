"""What stands in the mails to subscribers (protocol.md section 6, RFC 5322).

Headers are made by the standard library's email package, which reads encoded words (RFC 2047) in what it is
given, and may write what they hold as it is: so they are given none, and what is written is read again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email import message_from_bytes
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlencode, urlsplit

import msgspec

from gateway.delivery.sender import Notice
from gateway.settings import SettingsError
from protocol import confirmations
from protocol.identifiers import format_id
from protocol.mail_address import LONGEST_TEXT, is_header_text, is_mail_address, read_mailbox
from protocol.subscribers import mail_subject

LONGEST_TEMPLATE: Final = 65_536
"""Bytes of the file of a template."""

_POLICY: Final = SMTP.clone(linesep="\n")  # whoever sends it makes its lines end as they have to

_PLACE: Final = re.compile(r"\{([012])\}")

_LINK: Final = {
    "Signature": "URL-Signature",
    "Methods": "URL-Methods",
    "Paths": "URL-Paths",
    "Project": "X-Project-ID",
    "Expires": "URL-Expires",
    "Url": "WSGISubscribeURL",
}
"""What a link to confirm tells its page, and the field of the notice that it is."""


class Template(NamedTuple):
    """A mail about a subscription: in both, {0} is the queue, {1} the project and {2} the link."""

    subject: str
    text: str

    def filled(self, values: tuple[str, str, str]) -> Template:
        """The same with these in their places; braces around anything else stay."""

        def fill(text: str) -> str:
            return _PLACE.sub(lambda match: values[int(match[1])], text)

        return Template(fill(self.subject), fill(self.text))


CONFIRMATION: Final = Template(
    "Please confirm: messages of the queue {0}",
    "You have chosen to subscribe to the queue {0} of the project {1}.\n\n"
    "To confirm that you want its messages, visit:\n\n{2}\n\n"
    "If you have not asked for this, do nothing: you will get no message.\n",
)
"""Asks for a confirmation."""

UNSUBSCRIPTION: Final = Template(
    "Unsubscribed: messages of the queue {0}",
    "You have unsubscribed from the queue {0} of the project {1}.\n\n"
    "Should you want its messages again, visit:\n\n{2}\n",
)
"""Tells of a subscription that gets nothing any more."""


def read_template(name: str, path: Path | None, default: Template) -> Template:
    """The template in a file: the first line is the subject, the others the text. SettingsError.

    :param name: of the setting that names the file.
    """
    if path is None:
        return default
    try:
        with path.open("rb") as file:
            data = file.read(LONGEST_TEMPLATE + 1)
        subject, _, text = data.decode().replace("\r\n", "\n").partition("\n")
    except OSError as error:
        raise SettingsError(f"{name}: {path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{name}: {path}: is not UTF-8") from None
    if len(data) > LONGEST_TEMPLATE or not subject or not is_header_text(subject) or "{2}" not in text:
        raise SettingsError(
            f"{name}: {path}: cannot be used; allowed: a line for the subject, then a text that has the link "
            f"{{2}}, of at most {LONGEST_TEMPLATE} bytes"
        )
    return Template(subject, text.lstrip("\n"))


class Mail(NamedTuple):
    """A mail as it is handed over: lines end with a newline, and none begins with a dot."""

    recipient: str
    content: bytes


class MailWriter:
    """Makes mails of notices.

    :param sender: the gateway's own mailbox.
    :param page: what mail to confirm links to.
    """

    def __init__(self, sender: Address, page: str, confirmation: Template, unsubscription: Template) -> None:
        self._sender = sender
        self._page = page
        self._templates = {
            confirmations.CONFIRMATION: confirmation,
            confirmations.UNSUBSCRIPTION: unsubscription,
        }

    def write(self, notice: Notice) -> Mail:
        """The mail for a notice. ValueError: its subscription has what cannot stand in a mail."""
        recipient = unquote(urlsplit(notice.subscription.subscriber).path)
        if not is_mail_address(recipient):
            raise ValueError("not a mail address")
        write = self._about_subscription if notice.message_id is None else self._with_message
        mail = write(notice)
        mail["To"] = Address(addr_spec=recipient)
        mail["Date"] = datetime.now(UTC)
        mail["Auto-Submitted"] = "auto-generated"  # so that no absence note comes back (RFC 3834)
        return Mail(recipient, _written(mail))

    def _with_message(self, notice: Notice) -> EmailMessage:
        queue, subscription = notice.queue, notice.subscription
        options = subscription.options
        mail = EmailMessage(_POLICY)
        mail["From"] = shown = read_mailbox(options.get("from") or str(self._sender))
        if shown.addr_spec != self._sender.addr_spec:
            mail["Sender"] = self._sender  # who is answerable for it (RFC 5322 section 3.6.2)
        subject = mail_subject(subscription.subscriber) or options.get("subject")
        mail["Subject"] = _plain(subject or f"Message in the queue {queue.name}")
        subscription_id = format_id(subscription.sequence, queue.incarnation)
        # The same for each try, so that who gets it twice can tell.
        mail["Message-ID"] = f"<{notice.message_id}.{subscription_id}@{self._sender.domain}>"
        _set_text(mail, notice.body.decode())
        return mail

    def _about_subscription(self, notice: Notice) -> EmailMessage:
        told: Mapping[str, Any] = msgspec.json.decode(notice.body)
        link = urlencode({name: told.get(field, "") for name, field in _LINK.items()})
        link = f"{self._page}?{link}&{urlencode({'Queue': notice.queue.name})}"
        template = self._templates[told["Message_Type"]]
        subject, text = template.filled((notice.queue.name, notice.queue.project, link))
        mail = EmailMessage(_POLICY)
        mail["From"] = self._sender
        mail["Subject"] = _plain(subject)
        digest = hashlib.sha256(notice.body).hexdigest()[:32]
        mail["Message-ID"] = f"<{digest}@{self._sender.domain}>"
        _set_text(mail, text)
        return mail


def _plain(text: str) -> str:
    """A text of one line in which there is no encoded word."""
    return " ".join(text[:LONGEST_TEXT].split()).replace("=?", "= ?")


def _written(mail: EmailMessage) -> bytes:
    """The mail, if it has the headers that it was given. ValueError."""
    content = mail.as_bytes()
    if b"\r" in content or message_from_bytes(content).keys() != mail.keys():
        raise ValueError("a header holds another one")
    return content


def _set_text(mail: EmailMessage, text: str) -> None:
    # Whatever the text is, no line of it then means something on the way to a mail server.
    mail.set_content(text, cte="base64")
