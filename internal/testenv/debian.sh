#!/usr/bin/env bash
# Makes programs of Debian 13 runnable on an older Debian, for `make test-redis`, and PHPUnit on its PHP: FOLDER/root, a Debian trixie
# with Redis 8, Valkey 8.1 and PHP 8.4 (about 400 MB; debootstrap, as root; one that is there stays), and FOLDER/redis-server,
# FOLDER/valkey-server, which run with that root's libraries. Usage: debian.sh FOLDER
set -euo pipefail

(($# == 1)) || { echo "usage: debian.sh FOLDER" >&2; exit 2; }
folder=$(realpath -m -- "$1")
root=$folder/root
readonly folder root
mkdir -p -- "$folder"
if [[ ! -e $root.complete ]]; then
    rm -rf -- "$root"
    debootstrap --variant=minbase --include=redis-server,valkey-server,php-cli,php-mbstring,php-xml,php-mysql,php-msgpack,phpunit \
        trixie "$root" >&2
    touch -- "$root.complete"
fi

loader=$(echo "$root"/usr/lib*/ld-linux-*.so.*)
libraries=$(dirname -- "$(echo "$root"/usr/lib/*/libc.so.6)")
[[ -x $loader && -d $libraries ]] || { echo "debian.sh: $root has no libc" >&2; exit 1; }
# They are one program each, which looks at its name.
for server in redis-server valkey-server; do
    program=$(readlink -f -- "$root/usr/bin/$server")
    printf '#!/bin/sh\nexec %q --argv0 %q --library-path %q %q "$@"\n' "$loader" "$server" "$libraries" "$program" >"$folder/$server.new"
    chmod 0755 "$folder/$server.new"
    mv -- "$folder/$server.new" "$folder/$server"
    "$folder/$server" --version >&2
done
