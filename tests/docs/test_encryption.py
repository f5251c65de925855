"""The commands of docs/encryption.md, as they stand there, and what the gateway makes of the files."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

from gateway.encryption_keys import EncryptionKeys

PAGE = Path(__file__).resolve().parents[2] / "docs" / "encryption.md"


def test_keys_are_made_and_rotated_by_its_commands(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    keys, seen = tmp_path / "encryption-keys", []
    for block in blocks:
        commands = [
            line for line in textwrap.dedent(block).splitlines() if not line.startswith("zaqar-gateway")
        ]
        subprocess.run(
            ["sh", "-euc", "\n".join(commands)],
            cwd=tmp_path,
            env={**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"},
            timeout=60,
            check=True,
        )
        seen.append(EncryptionKeys(keys).keyring.ids)
        assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert seen == [b" 2026-11 ", b" 2026-11 2027-05 ", b" 2027-05 2026-11 ", b" 2027-05 "]
