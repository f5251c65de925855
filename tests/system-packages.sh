#!/usr/bin/env bash
# Programs that the tests need from the system, each with the Debian package it comes from.
# Installs what is missing where that is allowed; otherwise says what is missing and fails.
set -euo pipefail
needed="
    redis-server  redis-server
    strace        strace
"

PATH=$PATH:/usr/sbin:/sbin
missing=()
while read -r program package; do
    [ -z "$program" ] || command -v "$program" >/dev/null || missing+=("$package")
done <<<"$needed"
[ ${#missing[@]} -eq 0 ] || "$BASH" "$(dirname "$0")/../scripts/apt-install.sh" "${missing[@]}"
