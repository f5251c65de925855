#!/usr/bin/env bash
# Programs and files that the tests need from the system, each with the Debian package it comes from.
# Installs what is missing where that is allowed; otherwise says what is missing and fails.
set -euo pipefail
needed="
    cc            build-essential
    chromium      chromium
    go            golang-go
    haproxy       haproxy
    jq            jq
    mariadbd      mariadb-server
    nginx         nginx
    node          nodejs
    npm           npm
    openssl       openssl
    postgres      postgresql
    redis-server  redis-server
    strace        strace
    /usr/share/gocode/src/github.com/gophercloud/gophercloud  golang-github-gophercloud-gophercloud-dev
"

# Debian keeps the programs of PostgreSQL's versions side by side.
PATH=$PATH:/usr/sbin:/sbin$(printf ':%s' /usr/lib/postgresql/*/bin)
missing=()
while read -r program package; do
    [[ -z $program || ($program = /* && -e $program) ]] || command -v "$program" >/dev/null || missing+=("$package")
done <<<"$needed"
[ ${#missing[@]} -eq 0 ] || "$BASH" "$(dirname "$0")/../scripts/apt-install.sh" "${missing[@]}"
