#!/usr/bin/env bash
# Installs Debian or Ubuntu packages: apt-install.sh PACKAGE...
# As root, or where sudo asks no password; otherwise it says what to install and fails.
# A server that a package brings is not started: the tests start their own.
set -euo pipefail

explain() {
    echo "Missing: $*" >&2
    if command -v apt-get >/dev/null; then
        echo "Install with: sudo apt-get install --no-install-recommends $*" >&2
    else
        echo "They have these names on Debian and Ubuntu; install your system's packages of the same programs." >&2
    fi
    exit 1
}

command -v apt-get >/dev/null || explain "$@"
if [ "$(id -u)" -ne 0 ]; then
    sudo -n true 2>/dev/null || explain "$@"
    exec sudo -n "$BASH" "$0" "$@"
fi

# 101 is "forbidden by policy" to everything that starts services for a package.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi

echo "Installing $*"
export DEBIAN_FRONTEND=noninteractive
# A broken source of somebody else's is no reason to stop; a package that is not found is.
apt-get -qq -o DPkg::Lock::Timeout=120 update || echo "apt-get update failed; trying with the lists there are" >&2
apt-get -qq -y -o DPkg::Lock::Timeout=120 --no-install-recommends install "$@" </dev/null >/dev/null || explain "$@"
