#!/usr/bin/env bash
# Makes a mysqld of Oracle's for `make test-mysql` on a machine whose distribution has none: Debian has it in sid alone, and its
# libraries are newer than those here. Usage: mysql.sh FOLDER. It makes FOLDER/root, a Debian sid with mysql-server-core (about
# 650 MB; debootstrap, as root; one that is there stays), and FOLDER/mysqld, which starts the server there with that root's
# libraries. What it prints is the SERVER of `make test-mysql`.
set -euo pipefail

(($# == 1)) || { echo "usage: mysql.sh FOLDER" >&2; exit 2; }
folder=$(realpath -m -- "$1")
root=$folder/root
readonly folder root
mkdir -p -- "$folder"
if [[ ! -x $root/usr/sbin/mysqld ]]; then
    debootstrap --variant=minbase --include=mysql-server-core sid "$root" >&2
fi

loader=$(echo "$root"/usr/lib*/ld-linux-*.so.*)
libraries=$(dirname -- "$(echo "$root"/usr/lib/*/libc.so.6)")
[[ -x $loader && -d $libraries ]] || { echo "mysql.sh: $root has no libc" >&2; exit 1; }
{
    echo '#!/bin/sh'
    # What the caller gives comes first, as --no-defaults must.
    printf 'exec %q --library-path %q %q "$@" ' "$loader" "$libraries" "$root/usr/sbin/mysqld"
    printf -- '--%s=%q ' basedir "$root/usr" lc-messages-dir "$root/usr/share/mysql" \
        character-sets-dir "$root/usr/share/mysql/charsets" plugin-dir "$root/usr/lib/mysql/plugin"
    echo
} >"$folder/mysqld.new"
chmod 0755 "$folder/mysqld.new"
mv -- "$folder/mysqld.new" "$folder/mysqld"
"$folder/mysqld" --no-defaults --version >&2
echo "$folder/mysqld"
