"""Mail addresses, and what can stand in a header."""

from __future__ import annotations

from email.message import EmailMessage
from email.policy import SMTP

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.mail_address import is_header_text, is_mail_address, read_mailbox


@pytest.mark.parametrize(
    "text", ["a@b", "ada.love+x@example.org", "a@xn--bcher-kva.example", "!#$%&'*+/=?^_`{|}~-@b", "a@1.2"]
)
def test_addresses(text: str) -> None:
    assert is_mail_address(text)
    assert read_mailbox(f"Somebody <{text}>").addr_spec == text


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "a",
            "@b",
            "a@",
            "a@b@c",
            "a b@c",
            "a@b c",
            "a@b\n",
            "\na@b",
            "a,b@c",
            "a@b,c@d",
            "a@b>",
            "<a@b>",
        ),
        *(
            "ä@b",
            "a@bücher",
            '"a"@b',
            "a@[127.0.0.1]",
            ".a@b",
            "a.@b",
            "a..b@c",
            "a@-b",
            "a@b-",
            "a@b..c",
            "a@.b",
        ),
        *("a" * 65 + "@b", "a@" + "b" * 64, "a@" + "b.b" * 85),
    ],
)
def test_what_is_none(text: str) -> None:
    assert not is_mail_address(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [("a@b", ""), ("Ada <a@b>", "Ada"), ('"Love, Ada" <a@b>', "Love, Ada"), ("Ä <a@b>", "Ä")],
)
def test_mailboxes(text: str, name: str) -> None:
    assert read_mailbox(text).display_name == name
    assert read_mailbox(text).addr_spec == "a@b"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Ada",
        "<>",
        "a@b, c@d",
        "a@b\r\nBcc: c@d",
        "=?utf-8?q?A=0d=0aBcc:_c@d?= <a@b>",
        "x" * 600 + " <a@b>",
    ],
)
def test_what_is_no_mailbox(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a mail address|CR or LF"):
        read_mailbox(text)


@given(st.text() | st.text(alphabet='a@b<>",;:()[]=?\\ \r\n\x00é') | st.builds("{} <a@b>".format, st.text()))
def test_whatever_is_taken_is_one_header(text: str) -> None:
    """No mailbox and no subject that is taken makes a mail with more headers than these."""
    mail = EmailMessage(SMTP)
    try:
        mail["From"] = str(read_mailbox(text))
    except ValueError:
        mail["From"] = "a@b"
    if is_header_text(text):
        mail["Subject"] = text
    mail.set_content("text", cte="base64")
    head = mail.as_bytes().partition(b"\r\n\r\n")[0]
    names = [line.partition(b":")[0] for line in head.split(b"\r\n") if not line.startswith((b" ", b"\t"))]
    allowed = {b"From", b"Subject", b"MIME-Version", b"Content-Type", b"Content-Transfer-Encoding"}
    assert set(names) <= allowed
    assert len(set(names)) == len(names)
    assert b"\n" not in head.replace(b"\r\n", b"")


@pytest.mark.parametrize(
    "text", ["(" * 250 + "a@b", "(). <a@b>", '<a  ""@[ ', "=?utf-8?q?=0d=0aBcc:x?= <a@b>"]
)
def test_odd_input_is_no_mailbox_and_no_fault(text: str) -> None:
    with pytest.raises(ValueError, match="not a mail address"):
        read_mailbox(text)


def test_a_header_is_no_longer_than_a_line() -> None:
    """Folding a subject of 60,000 characters took more than a second, and nothing else went on meanwhile."""
    assert is_header_text("ä" * 998)
    assert not is_header_text("ä" * 999)
