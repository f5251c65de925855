"""A real Keystone for the tests: from PyPI, with SQLite, in an environment and a folder of its own.

::

    with start_keystone(python, tmp_path / "keystone") as keystone:
        project = keystone.create_project("one")
        user = keystone.create_user("ada", {project: ["member"]})
        token = keystone.token(user, project)
        keystone.revoke(token)
"""

from __future__ import annotations

import atexit
import http.client
import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.servers import free_port

HERE = Path(__file__).parent

INSTALL_TIMEOUT = 300
"""Seconds to install Keystone."""

START_TIMEOUT = 120.0
"""Seconds from its start to its first answer, on a busy machine. It takes seconds even on an idle one."""

STOP_TIMEOUT = 60.0

PASSWORD = "wild-horses-42"
"""The administrator's, the service user's and everybody's: in a log or a reply it would be found."""

SERVICE_USER = "zaqar"

_CONFIGURATION = """\
[DEFAULT]
use_stderr = true
[database]
connection = sqlite:///{folder}/keystone.db
[token]
expiration = {expiration}
[fernet_tokens]
key_repository = {folder}/fernet-keys
[fernet_receipts]
key_repository = {folder}/fernet-keys
[credential]
key_repository = {folder}/credential-keys
[identity]
password_hash_rounds = 4
[cache]
enabled = false
"""

_running: set[Keystone] = set()


class Keystone:
    """A Keystone's process. `kill`, `start` and `pause` keep what is in its folder, and its address."""

    def __init__(self, python: Path, folder: Path) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{free_port()}"
        self.log_path = folder / "keystone.log"
        self._python = python
        self._process: subprocess.Popen[bytes] | None = None
        self._admin = ""
        folder.mkdir(parents=True)
        for keys in ("fernet-keys", "credential-keys"):
            (folder / keys).mkdir(mode=0o700)

    # The process

    def start(self, *, expiration: int = 3600) -> None:
        """Start it and wait for its first answer; the tokens it gives then live so many seconds."""
        configuration = _CONFIGURATION.format(folder=self.folder, expiration=expiration)
        (self.folder / "keystone.conf").write_text(configuration)
        # -P: or tests.support.keystone would be taken for Keystone.
        script, port = HERE / "keystone_server.py", self.url.rpartition(":")[2]
        command = [str(self._python), "-P", str(script), str(self.folder), port, PASSWORD]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        _running.add(self)
        deadline = time.monotonic() + START_TIMEOUT
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"Keystone did not start:\n{self.log_path.read_text()[-5000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_TIMEOUT)
            self._process = None
        _running.discard(self)

    def pause(self) -> None:
        """Stop it, so that it takes connections and does not answer."""
        assert self._process is not None, "it does not run"
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self._process is not None, "it does not run"
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    # What is in it

    def set_up(self) -> None:
        """Make what a deployment has: the project `service`, and in it the user that may look at tokens."""
        self._admin = self.token("admin", "admin", by_name=True)
        self.create_user(SERVICE_USER, {self.create_project("service"): ["service"]})

    def create_project(self, name: str) -> str:
        """A new project in the domain Default; its id."""
        project = {"project": {"name": name, "domain_id": "default"}}
        return str(self._as_admin("POST", "/projects", project)["project"]["id"])

    def create_user(self, name: str, roles: dict[str, list[str]]) -> str:
        """A new user in the domain Default who has these roles, by project id; their id."""
        user = {"user": {"name": name, "domain_id": "default", "password": PASSWORD}}
        created = str(self._as_admin("POST", "/users", user)["user"]["id"])
        known = {role["name"]: role["id"] for role in self._as_admin("GET", "/roles")["roles"]}
        for project, names in roles.items():
            for role in names:
                self._as_admin("PUT", f"/projects/{project}/users/{created}/roles/{known[role]}")
        return created

    def create_service(self, kind: str, name: str, url: str) -> None:
        """Have the catalog name a service of a type, at a URL that is the same for all."""
        service = {"service": {"type": kind, "name": name}}
        created = self._as_admin("POST", "/services", service)["service"]["id"]
        for interface in ("public", "internal", "admin"):
            endpoint = {"service_id": created, "interface": interface, "url": url}
            self._as_admin("POST", "/endpoints", {"endpoint": endpoint})

    def token(self, user: str, project: str | None, *, by_name: bool = False) -> str:
        """A token of a user in a project; None: in no project. Both by id, or `by_name`."""
        named = {"domain": {"id": "default"}, "name": user} if by_name else {"id": user}
        identity = {"methods": ["password"], "password": {"user": {**named, "password": PASSWORD}}}
        auth: dict[str, Any] = {"identity": identity}
        if project is None:
            auth["scope"] = "unscoped"
        else:
            wanted = {"domain": {"id": "default"}, "name": project} if by_name else {"id": project}
            auth["scope"] = {"project": wanted}
        return str(self._request("POST", "/auth/tokens", {"auth": auth}, {})[1]["X-Subject-Token"])

    def add_service(self, name: str, url: str) -> None:
        """Have the catalog name a service, with a public endpoint and one of the inside."""
        service = {"service": {"name": name, "type": name}}
        created = self._as_admin("POST", "/services", service)["service"]["id"]
        for interface, where in (("internal", "http://10.0.0.1/"), ("public", url)):
            endpoint = {"service_id": created, "interface": interface, "url": where}
            self._as_admin("POST", "/endpoints", {"endpoint": endpoint})

    def revoke(self, token: str) -> None:
        """Take a token back."""
        self._as_admin("DELETE", "/auth/tokens", None, {"X-Subject-Token": token})

    def trusts(self) -> list[dict[str, Any]]:
        """All that there are."""
        return list(self._as_admin("GET", "/OS-TRUST/trusts")["trusts"])

    def trust(self, trust: str) -> dict[str, Any]:
        """One that has to be there, with its roles; asked for by an administrator."""
        return dict(self._as_admin("GET", f"/OS-TRUST/trusts/{trust}")["trust"])

    def delete_trust(self, trust: str) -> None:
        """Take a trust back, as an administrator may."""
        self._as_admin("DELETE", f"/OS-TRUST/trusts/{trust}")

    def user_of(self, token: str) -> str:
        """The id of who is spoken for by a token that has to be good."""
        return str(
            self._as_admin("GET", "/auth/tokens", None, {"X-Subject-Token": token})["token"]["user"]["id"]
        )

    def change_password(self, user: str, password: str) -> None:
        """Give a user another password, which takes all their tokens back."""
        self._as_admin("PATCH", f"/users/{user}", {"user": {"password": password}})

    def requests(self, method: str) -> int:
        """How many tokens were asked for (POST) or asked about (GET), by its log."""
        return self.log_path.read_text().count(f"asked: {method} /v3/auth/tokens\n")

    def _as_admin(
        self, method: str, path: str, document: object = None, headers: dict[str, str] | None = None
    ) -> Any:
        return self._request(method, path, document, {"X-Auth-Token": self._admin, **(headers or {})})[0]

    def _request(self, method: str, path: str, document: object, headers: dict[str, str]) -> tuple[Any, Any]:
        data = None if document is None else json.dumps(document).encode()
        sent = {"Content-Type": "application/json", **headers}
        request = urllib.request.Request(f"{self.url}/v3{path}", data, sent, method=method)
        with _opener.open(request, timeout=60) as answer:
            body = answer.read()
            return json.loads(body) if body else None, answer.headers

    def _answers(self) -> bool:
        try:
            with _opener.open(f"{self.url}/v3", timeout=5):
                return True
        except (urllib.error.URLError, http.client.HTTPException, OSError):
            return False


_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Not by a proxy, whatever the environment says."""


def install_keystone(folder: Path) -> Path:
    """The Python of a new environment in `folder` that has Keystone, and nothing of ours."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    # uv: it takes a fifth of pip's time.
    command: list[str | Path] = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python]
    command += ["--require-hashes", "-r", HERE / "keystone.lock"]
    subprocess.run(command, check=True, timeout=INSTALL_TIMEOUT)
    return python


def start_keystone(python: Path, folder: Path) -> Keystone:
    """Start a new Keystone with what a deployment has.

    :param python: that of an environment with Keystone.
    :param folder: where its data goes; made.
    """
    keystone = Keystone(python, folder.absolute())
    keystone.start()
    try:
        keystone.set_up()
    except BaseException:
        keystone.kill()
        raise
    return keystone


@atexit.register
def _kill_all() -> None:
    for keystone in list(_running):
        keystone.kill()
