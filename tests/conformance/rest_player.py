"""Plays a recorded REST conversation with OpenStack Zaqar against a gateway and says what differs.

Steps are those of `tests.conformance.player`, with a method, a path, headers and a body in place of a frame.
Two further placeholders stand for bodies: `{"__raw__": text}` is sent as the text, and `{"__long_json__": n}`
as a JSON document of n bytes. Projects named `http-…` get the run's suffix, unless they have it.
"""

from __future__ import annotations

import http.client
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from tests.conformance.player import Matcher, first, spell_out

TIMEOUT = 30.0
"""Seconds that an answer may take."""


@dataclass(frozen=True, slots=True)
class Step:
    """One request and what Zaqar answered."""

    number: int
    method: str
    path: str
    headers: Mapping[str, Any]
    body: Any
    expect: Mapping[str, Any]
    asserted: bool
    note: str

    def __str__(self) -> str:
        return f"step {self.number}, {self.method} {self.path:.80}" + (f" ({self.note})" if self.note else "")


def read_steps(path: Path, run: str = "<run>") -> list[Step]:
    """The steps of a scenario file, with `run` in the place of `<run>`."""
    scenario = json.loads(path.read_text(encoding="utf-8").replace("<run>", run))
    return [
        Step(
            number=step["step"],
            method=step["method"],
            path=step["path"],
            headers=step["headers"],
            body=step["body"],
            expect=step["expect"],
            asserted=step.get("assert", True),
            note=step.get("note", ""),
        )
        for step in scenario["steps"]
    ]


class RestPlayer:
    """Plays the steps of one scenario, all on one connection."""

    def __init__(self, url: str, run: str | None = None) -> None:
        self.run = secrets.token_hex(4) if run is None else run
        self.matcher = Matcher()
        parts = urlsplit(url)
        assert parts.hostname
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT)

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def play(self, path: Path) -> tuple[int, list[str]]:
        """Play a scenario file: how many asserted steps it has, and the difference of each that differs."""
        asserted = 0
        differences = []
        for step in read_steps(path, self.run):
            difference = self.step(step)
            asserted += step.asserted
            if step.asserted and difference:
                differences.append(f"{step}: {difference}")
        return asserted, differences

    def step(self, step: Step) -> str | None:
        """Play one step: None, or the first difference from what was recorded."""
        headers = {name: self._header(name, value) for name, value in step.headers.items()}
        path = quote(self._known(step.path), safe="/?&=%,:+")
        self._connection.request(step.method, path, body=self._body(step.body), headers=headers)
        answer = self._connection.getresponse()
        raw = answer.read()
        if answer.status != step.expect["status"]:
            return f"status: {step.expect['status']} recorded, got {answer.status} with {raw!r:.200}"
        return first(
            self._header_difference(name, value, answer.getheader(name))
            for name, value in step.expect["headers"].items()
        ) or self._body_difference(step.expect["body"], raw)

    def _known(self, text: str) -> str:
        for placeholder, identifier in self.matcher.identifiers.items():
            text = text.replace(placeholder, identifier)
        return text

    def _header(self, name: str, value: Any) -> str:
        text = self._known(spell_out(value))
        if name.lower() == "x-project-id" and text.startswith("http-") and not text.endswith(self.run):
            return f"{text}-{self.run}"
        return text

    def _body(self, body: Any) -> bytes | None:
        if body is None:
            return None
        if isinstance(body, dict) and "__raw__" in body:
            return str(body["__raw__"]).encode()
        if isinstance(body, dict) and "__long_json__" in body:
            head, size = str(body["head"]).encode(), int(body["__long_json__"])
            return head + b"x" * (size - len(head) - 4) + b'"}]}'
        return self._known(json.dumps(body)).encode()

    def _header_difference(self, name: str, want: str, got: str | None) -> str | None:
        if got is None:
            return f"header {name}: {want!r} recorded, got none"
        if name == "content-type":
            return None if got.partition(";")[0] == want.partition(";")[0] else f"header {name}: got {got!r}"
        return self.matcher.difference(want, got, f"header {name}")

    def _body_difference(self, want: Any, raw: bytes) -> str | None:
        if want is None:
            return None
        try:
            return self.matcher.difference(want, json.loads(raw), "body")
        except ValueError:
            return f"body: JSON recorded, got {raw!r:.200}"
