"""What stands in mails: nothing that a client says becomes another header."""

from __future__ import annotations

import json
from email import message_from_bytes
from email.header import decode_header, make_header

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.delivery.mail_text import CONFIRMATION, UNSUBSCRIPTION, MailWriter
from gateway.delivery.sender import Notice
from protocol.mail_address import read_mailbox
from storage.records import Queue, Subscription

WRITER = MailWriter(read_mailbox("gateway@zaqar.test"), "https://page.example/", CONFIRMATION, UNSUBSCRIPTION)
ANOTHER = "=?utf-8?q?=0d=0aBcc:_x?="
"""An encoded word that holds another header."""

PARTS = ("a", " ", "\\", "ä", "(", ")", '"', "=?", "?=", ".", "=0d=0a", "x" * 70, ANOTHER)
HEADERS = {
    *("From", "To", "Subject", "Message-ID", "Date", "Auto-Submitted", "MIME-Version"),
    *("Content-Type", "Content-Transfer-Encoding"),
}


def written(subject: str) -> bytes:
    subscription = Subscription(1, "mailto:a@b.example", 60, 0, {"subject": subject}, confirmed=False)
    return WRITER.write(Notice(Queue("p", "jobs", 5), subscription, b"{}", "id")).content


@given(parts=st.lists(st.sampled_from(PARTS), min_size=1, max_size=20))
def test_no_subject_holds_another_header(parts: list[str]) -> None:
    content = written("".join(parts))
    assert set(message_from_bytes(content).keys()) == HEADERS
    assert b"\r" not in content
    assert b"\n." not in content


@pytest.mark.parametrize("begins", ["", "\\", "a", "(", ") "])
def test_an_encoded_word_is_shown_as_the_text_that_it_is(begins: str) -> None:
    shown = message_from_bytes(written(begins + ANOTHER))["Subject"]
    assert "Bcc:_x" in str(make_header(decode_header(shown.replace("\n", ""))))


def test_no_project_holds_another_header() -> None:
    template = CONFIRMATION._replace(subject="{1}")
    writer = MailWriter(read_mailbox("gateway@zaqar.test"), "https://page.example/", template, UNSUBSCRIPTION)
    notice = {"Message_Type": "SubscriptionConfirmation"}
    subscription = Subscription(1, "mailto:a@b.example", 60, 0, {}, confirmed=False)
    queue = Queue("\\" + ANOTHER + "\r\nBcc: y", "jobs", 5)
    mail = writer.write(Notice(queue, subscription, json.dumps(notice).encode()))
    assert set(message_from_bytes(mail.content).keys()) == HEADERS


@pytest.mark.parametrize(
    "name", [ANOTHER, "=?utf-8?q?=3D=3Futf-8=3Fq=3F=3D0d=3D0aBcc:x=3F=3D?=", '"=?utf-8?q?=0d=0aBcc:x?="']
)
def test_no_sender_holds_another_header(name: str) -> None:
    with pytest.raises(ValueError, match="not a mail address"):
        read_mailbox(f"{name} <a@b>")
