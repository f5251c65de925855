"""A headless Chromium that runs scripts in a page, over its DevTools protocol.

::

    with Chromium(tmp_path / "profile") as browser:
        browser.open("http://127.0.0.1:8000/page.html")
        assert browser.evaluate("1 + await Promise.resolve(1)") == 2
"""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from websockets.sync.client import ClientConnection, connect

START_TIMEOUT = 60.0
"""Seconds from the start of the browser to the file in which it tells its port."""

CALL_TIMEOUT = 30.0
"""Seconds that a command of the DevTools protocol may take, unless its caller gives more."""

FLAGS = (
    "--headless",
    "--no-sandbox",  # root has none, and no page of others is opened
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--remote-debugging-port=0",
)


class Chromium:
    """One browser with one page, in a profile of its own.

    `console` holds what the page wrote to its console and the errors that nothing caught, in order.
    """

    def __init__(self, profile: Path) -> None:
        program = (
            shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        )
        assert program is not None, "there is no chromium"
        profile.mkdir(parents=True)
        self.console: list[str] = []
        self._last_id = 0
        with (profile / "log.txt").open("wb") as log:
            self._process = subprocess.Popen(
                [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._closing = contextlib.ExitStack()
        try:
            self._socket = self._closing.enter_context(self._attach(profile))
            self._call("Runtime.enable")
            self._call("Page.enable")
        except BaseException:
            self._end()
            raise

    def open(self, url: str) -> None:
        """Load a page, and wait until it is loaded."""
        self.evaluate("window.isOld = true")
        assert "errorText" not in self._call("Page.navigate", url=url)
        deadline = time.monotonic() + CALL_TIMEOUT
        while not self._is_loaded():
            assert time.monotonic() < deadline, f"{url} was not loaded"
            time.sleep(0.02)

    def evaluate(self, expression: str, timeout: float = CALL_TIMEOUT) -> Any:
        """The value of an expression, which may use `await`. Raises `AssertionError` if it throws."""
        wrapped = f"(async () => ({expression}))()"
        done = self._call(
            "Runtime.evaluate",
            timeout_seconds=timeout,
            expression=wrapped,
            awaitPromise=True,
            returnByValue=True,
        )
        if "exceptionDetails" in done:
            raise AssertionError(json.dumps(done["exceptionDetails"])[:2000] + "\n" + "\n".join(self.console))
        return done["result"].get("value")

    def wait_for(self, expression: str, timeout: float = CALL_TIMEOUT) -> Any:
        """Wait until an expression is true in the page; its value."""
        deadline = time.monotonic() + timeout
        while not (value := self.evaluate(expression)):
            if time.monotonic() > deadline:
                raise AssertionError(f"never true: {expression}\n" + "\n".join(self.console))
            self.evaluate("new Promise(done => setTimeout(done, 20))")
        return value

    def resize(self, width: int, height: int, *, dark: bool = False) -> None:
        """Make the window so large, in CSS pixels, and the system's colours dark or light."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self) -> bytes:
        """What the window shows, as PNG."""
        return base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"])

    def press(self, key: str) -> None:
        """Press a key that is no character, such as `Tab` or `Enter`."""
        codes = {"Tab": 9, "Enter": 13, " ": 32}
        about: dict[str, Any] = {
            "key": key,
            "code": "Space" if key == " " else key,
            "windowsVirtualKeyCode": codes[key],
        }
        if key != "Tab":
            about["text"] = "\r" if key == "Enter" else key
        self._call("Input.dispatchKeyEvent", type="keyDown", **about)
        self._call("Input.dispatchKeyEvent", type="keyUp", **{**about, "text": ""})

    def accessibility_tree(self) -> list[dict[str, Any]]:
        """What a screen reader is told: the nodes with role and name (CDP Accessibility.getFullAXTree)."""
        nodes: list[dict[str, Any]] = self._call("Accessibility.getFullAXTree")["nodes"]
        return nodes

    def wait_console(self, text: str, timeout: float = CALL_TIMEOUT) -> None:
        """Wait until the page has written this to its console."""
        deadline = time.monotonic() + timeout
        while not any(text in line for line in self.console):
            assert time.monotonic() < deadline, f"nothing says {text!r}: {self.console}"
            # What the page writes is told between the answers.
            self.evaluate("new Promise(done => setTimeout(done, 20))")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _is_loaded(self) -> bool:
        """Whether there is a page that is not the one before. What is asked while they change may be lost."""
        try:
            return self.evaluate("!window.isOld && document.readyState === 'complete'") is True
        except AssertionError:
            return False

    def _attach(self, profile: Path) -> ClientConnection:
        """A socket to the page, whose address the browser tells over HTTP."""
        told = profile / "DevToolsActivePort"
        deadline = time.monotonic() + START_TIMEOUT
        while not (told.exists() and told.read_text().count("\n")):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError("chromium did not start:\n" + (profile / "log.txt").read_text()[-2000:])
            time.sleep(0.05)
        port = told.read_text().splitlines()[0]
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{port}/json/list", timeout=CALL_TIMEOUT) as answer:
            (page,) = [one for one in json.load(answer) if one["type"] == "page"]
        return connect(page["webSocketDebuggerUrl"], max_size=None, proxy=None)

    def _call(
        self, method: str, *, timeout_seconds: float = CALL_TIMEOUT, **parameters: Any
    ) -> dict[str, Any]:
        self._last_id += 1
        self._socket.send(json.dumps({"id": self._last_id, "method": method, "params": parameters}))
        deadline = time.monotonic() + timeout_seconds
        while True:
            frame = json.loads(self._socket.recv(timeout=max(0.0, deadline - time.monotonic())))
            if frame.get("id") == self._last_id:
                assert "error" not in frame, frame
                result: dict[str, Any] = frame["result"]
                return result
            if frame.get("method") in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
                self.console.append(json.dumps(frame["params"])[:500])

    def _end(self) -> None:
        self._closing.close()
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
