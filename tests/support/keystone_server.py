"""Serves Keystone from a folder. Runs in an environment that has Keystone, and nothing of ours.

python keystone_server.py FOLDER PORT PASSWORD

The first time it makes the database, the keys and the first administrator, as `keystone-manage` does: each
command in a child of this process, so that Keystone, which takes seconds to import, is imported once.
"""

from __future__ import annotations

import grp
import os
import pwd
import sys
from pathlib import Path
from typing import Any

import waitress
from keystone.cmd import cli


def manage(config: Path, *command: str) -> None:
    """Run a command of `keystone-manage`. Raises RuntimeError if it fails."""
    child = os.fork()
    if child == 0:
        cli.main(["keystone-manage", "--config-file", str(config), *command])
        sys.stdout.flush()
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        raise RuntimeError(f"keystone-manage {command[0]} failed")


def main() -> None:
    """Make what is missing, then serve until SIGTERM."""
    folder, port, password = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    config = folder / "keystone.conf"
    if not (folder / "ready").exists():
        user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
        owner = ("--keystone-user", user, "--keystone-group", group)
        manage(config, "db_sync")
        manage(config, "fernet_setup", *owner)
        manage(config, "credential_setup", *owner)
        url = f"http://127.0.0.1:{port}/v3/"
        first = ("--bootstrap-password", password, "--bootstrap-public-url", url)
        manage(config, "bootstrap", *first, "--bootstrap-region-id", "RegionOne")
        (folder / "ready").touch()
    os.environ["OS_KEYSTONE_CONFIG_FILES"] = str(config)
    # It reads its configuration, and the command line, when it is imported.
    del sys.argv[1:]
    from keystone.wsgi.api import application  # noqa: PLC0415

    def told(environ: Any, start_response: Any) -> Any:
        """The same, but each request stands in the log."""
        print(f"asked: {environ['REQUEST_METHOD']} {environ['PATH_INFO']}", flush=True)
        return application(environ, start_response)

    waitress.serve(told, host="127.0.0.1", port=port, threads=4, ident="keystone")


if __name__ == "__main__":
    main()
