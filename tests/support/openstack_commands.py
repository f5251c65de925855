"""Runs commands of `openstack` one after the other, in an environment that has it, and nothing of ours.

Reads a list of words for each, as JSON, one a line; answers each with a line: exit code, output, errors.
"""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout

from openstackclient.shell import main


def run(words: list[str]) -> tuple[int, str, str]:
    """What the program does when it is started with these words."""
    out, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(errors):
        try:
            code = main(words)
        except SystemExit as exit:  # what it does with words that it does not know
            code = exit.code
    return code, out.getvalue(), errors.getvalue()


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)
