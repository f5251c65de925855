"""What the client is told about a failure."""

from __future__ import annotations

import pytest

from protocol import errors


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (errors.BadRequest("no"), 400, {"exception": "no", "error": None, "code": "bad_request"}),
        (errors.MalformedFrame("no"), 400, {"error": "no", "code": "malformed_frame"}),
        (errors.UnknownAction("no"), 400, {"error": "no", "code": "unknown_action"}),
        (
            errors.SchemaViolation("no"),
            400,
            {"error": "Schema validation failed.", "detail": "no", "code": "schema_violation"},
        ),
        (errors.NotAuthenticated("no"), 403, {"error": "no", "code": "not_authenticated"}),
        (
            errors.Forbidden("no", error="held", code="claimed"),
            403,
            {"exception": "no", "error": "held", "code": "claimed"},
        ),
        (errors.NotFound("no"), 404, {"exception": "no", "error": None, "code": "not_found"}),
        (errors.Conflict("no"), 409, {"exception": "no", "error": None, "code": "conflict"}),
        (errors.Unavailable("no"), 503, {"exception": "no", "error": None, "code": "unavailable"}),
    ],
)
def test_status_and_body(error: errors.RequestError, status: int, body: dict[str, str | None]) -> None:
    assert error.status == status
    assert error.body() == body


def test_only_unavailable_is_worth_a_retry() -> None:
    assert errors.Unavailable.retry
    assert not errors.BadRequest.retry


def test_half_surrogate_pairs_in_a_text_are_escaped() -> None:
    assert str(errors.BadRequest("a\ud800b")) == "a\\ud800b"
