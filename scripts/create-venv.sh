#!/usr/bin/env bash
# Makes a virtual environment: create-venv.sh FOLDER
# with the first Python 3.11 or later found; PYTHON=... names another one.
# Debian and Ubuntu keep a part of the venv module in a package of its own: installed where that is allowed.
set -euo pipefail
folder=$1

recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
complete() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

candidates=${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3}
found=()
for candidate in $candidates; do
    recent "$candidate" && found+=("$candidate")
done
if [ ${#found[@]} -eq 0 ]; then
    echo "No Python 3.11 or later was found; tried: $candidates" >&2
    echo "On Debian 12, Ubuntu 24.04 and later: sudo apt-get install python3 python3-venv" >&2
    echo "Elsewhere install it beside the system's own and name it: make PYTHON=/path/to/python3.11 ..." >&2
    exit 1
fi

for python in "${found[@]}"; do
    if complete "$python"; then
        chosen=$python
        break
    fi
done
if [ -z "${chosen:-}" ]; then
    chosen=${found[0]}
    version=$("$chosen" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    "$BASH" "$(dirname "$0")/apt-install.sh" "python$version-venv"
fi
echo "Creating $folder with $("$chosen" -c 'import platform, sys; print(sys.executable, platform.python_version())')"
"$chosen" -m venv --clear "$folder"
