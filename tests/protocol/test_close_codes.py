"""Close codes."""

from __future__ import annotations

from protocol import close_codes


def test_an_expired_token_is_not_worth_reconnecting_with() -> None:
    assert close_codes.AUTHENTICATION_EXPIRED == 4003
    assert close_codes.AUTHENTICATION_EXPIRED in close_codes.DO_NOT_RECONNECT


def test_the_classes_do_not_overlap() -> None:
    classes = (close_codes.DO_NOT_RECONNECT, close_codes.RECONNECT_LATER, close_codes.RECONNECT_AT_ONCE)
    assert sum(len(codes) for codes in classes) == len({code for codes in classes for code in codes})


def test_the_standard_codes_are_those_of_the_rfc() -> None:
    assert (close_codes.INVALID_TEXT, close_codes.FRAME_TOO_LARGE, close_codes.SERVICE_RESTART) == (
        1007,
        1009,
        1012,
    )
