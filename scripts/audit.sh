#!/usr/bin/env bash
# Looks for known vulnerabilities in what the gateway is installed with: audit.sh PYTHON FOLDER
# PYTHON makes a virtual environment in FOLDER, for pip-audit alone. Where PyPI cannot be reached this is skipped.
set -euo pipefail
python=$1
folder=$2

skip() {
    echo "skipped: pip-audit ($*)"
    exit 0
}

if [ ! -e "$folder/.installed" ]; then
    "$python" -m venv --clear "$folder"
    "$folder/bin/python" -m pip --disable-pip-version-check install --quiet "pip-audit==2.10.1" ||
        skip "it cannot be installed"
    touch "$folder/.installed"
fi
"$folder/bin/python" - <<'PYTHON' || skip "PyPI does not tell of vulnerabilities here"
import sys

import requests

try:
    # Mirrors know packages, and not what is known of a version: pip-audit would find nothing wrong.
    requests.get("https://pypi.org/pypi/pip-audit/2.10.1/json", timeout=15).raise_for_status()
except requests.RequestException as error:
    sys.exit(str(error)[:200])
PYTHON
# The lock file names every package with its hash, so nothing has to be resolved or installed.
"$folder/bin/pip-audit" --progress-spinner off --disable-pip --require-hashes -r requirements.lock
