#!/usr/bin/env bash
# Runs the plugin's PHPUnit tests on the oldest and on a new PHP that Debian has: 7.4 of Debian 11 and 8.4 of Debian 13, each in a
# root that debootstrap makes once (about 500 MB, in the user's cache), with this repository and WordPress of this host in it. Needs
# root. Usage: php_versions.sh [ARGUMENT OF PHPUNIT...]
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

((EUID == 0)) || { echo "php_versions.sh: only root can make and enter a Debian" >&2; exit 1; }
readonly cache=${XDG_CACHE_HOME:-$HOME/.cache}/ticketd-testenv
readonly packages=php-cli,php-mbstring,php-xml,php-mysql,php-msgpack,phpunit,mariadb-server
mkdir -p -- "$cache"
failed=0
for release in bullseye:7.4 trixie:8.4; do
    suite=${release%:*} version=${release#*:}
    root=$cache/php-$suite
    if [[ ! -e $root.complete ]]; then
        printf 'php_versions.sh: making a Debian with PHP %s in %s, once\n' "$version" "$root" >&2
        rm -rf -- "$root"
        debootstrap --variant=minbase --include="$packages" "$suite" "$root" >"$root.log" 2>&1 ||
            { tail -n 5 "$root.log" >&2; exit 1; }
        mkdir -p -- "$root/usr/share/wordpress"
        touch -- "$root.complete"
    fi
    # What it mounts and starts ends with it.
    # shellcheck disable=SC2016 # the inner shell's
    unshare --mount --pid --fork --kill-child sh -ec '
        root=$1 version=$2; shift 2
        mount --rbind "$PWD" "$root/mnt"
        mount --bind /usr/share/wordpress "$root/usr/share/wordpress"
        mount -t proc proc "$root/proc"
        mount -t tmpfs tmpfs "$root/tmp"
        exec chroot "$root" sh -ec '\''
            cd /mnt
            version=$1; shift
            php -r "exit( strncmp( PHP_VERSION, \"$version.\", 4 ) ? 1 : 0 );"
            exec phpunit -c php-client/phpunit.xml "$@"'\'' sh "$version" "$@"' sh "$root" "$version" "$@" || failed=1
done
exit "$failed"
