#!/usr/bin/env bash
# Installs the servers that the gateway is compared with: install.sh FOLDER
# Python's and npm's go into FOLDER, pinned; nginx, its module and Redis come from Debian.
# One that cannot be had is left out, and the table names it.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -eq 1 ] || { echo "usage: install.sh FOLDER" >&2; exit 2; }
folder=$(mkdir -p "$1" && cd "$1" && pwd) || exit 1
python=$here/../../.venv/bin/python

left_out() { echo "Left out: $1" >&2; }

install_python() {
    "$python" -m venv --clear "$folder/$1" &&
        "$folder/$1/bin/python" -m pip --disable-pip-version-check install --quiet --require-hashes \
            -r "$here/$1.lock" && touch "$folder/$1/.installed"
}

for name in zaqar nats picows; do
    [ "$folder/$name/.installed" -nt "$here/$name.lock" ] || {
        echo "Installing $name"
        install_python "$name" || left_out "$name"
    }
done

needed="
    npm           npm          npm
    redis-server  redis-server redis-server
    nginx         nginx        nginx
    /usr/lib/nginx/modules/ngx_nchan_module.so libnginx-mod-nchan nchan
"
PATH=$PATH:/usr/sbin:/sbin
while read -r program package name; do
    [ -z "$program" ] || command -v "$program" >/dev/null || [ -e "$program" ] ||
        "$BASH" "$here/../../scripts/apt-install.sh" "$package" || left_out "$name"
done <<<"$needed"

mkdir -p "$folder/ws" && cp "$here"/ws/{package.json,package-lock.json,server.js} "$folder/ws/"
[ "$folder/ws/.installed" -nt "$here/ws/package-lock.json" ] || {
    echo "Installing ws"
    (cd "$folder/ws" && npm ci --no-audit --no-fund --silent && touch .installed) || left_out ws
}
exit 0
