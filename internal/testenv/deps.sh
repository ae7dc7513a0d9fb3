#!/usr/bin/env bash
# Installs what building, testing and the demo need besides Go, from the distribution's own packages (Debian, Ubuntu).
# It does nothing where all is there; otherwise it says what it installs. It starts no system service: ticketd's tests
# run servers of their own. Usage: deps.sh [--browser] [--galera] [--release] [--systemd] [--list]: the first four add what those
# tests need, --list only prints the packages that are missing.
set -euo pipefail
shopt -s nullglob

readonly policy=/usr/sbin/policy-rc.d
readonly policy_kept=$policy.before-ticketd

# Servers lie in /usr/sbin, which is not on every user's PATH.
PATH=$PATH:/usr/sbin:/sbin
missing=()

# has COMMAND...: are all of them there?
has() { type -P "$@" >/dev/null; }

# any FILE...: is one of them there? Called with a glob, which may have matched nothing.
any() { (($# > 0)) && [[ -e $1 ]]; }

# want PACKAGE CHECK...: notes the package as missing unless the check succeeds.
want() {
    local package=$1
    shift
    "$@" || missing+=("$package")
}

extension() { [[ $extensions == *$'\n'"$1"$'\n'* ]]; }

find_missing() {
    local extensions=
    if has php; then
        extensions=$'\n'$(php -m 2>/dev/null)$'\n'
    fi

    want git has git
    want make has make
    want gcc has gcc # the race detector needs cgo
    want libc6-dev any /usr/include/stdlib.h
    want shellcheck has shellcheck

    want redis-server has redis-server
    want redis-tools has redis-benchmark
    want mariadb-server has mariadbd mariadb-install-db
    want nginx-light has nginx
    want rabbitmq-server any /usr/lib/rabbitmq/bin/rabbitmq-server
    want amqp-tools has amqp-consume # consumers that share no code with ticketd's publishers
    want kcat has kcat
    want nats-server has nats-server

    want php-cli has php
    want php-fpm any /usr/sbin/php-fpm*
    want php-mysql extension mysqli
    want php-mbstring extension mbstring
    want php-xml extension dom
    want php-redis extension redis
    want php-msgpack extension msgpack
    want phpunit has phpunit
    want php-codesniffer has phpcs

    want nodejs has node
    want npm has npm
    want prometheus has prometheus promtool # for the alert rules
    want gettext has xgettext msguniq

    want wordpress any /usr/share/wordpress/wp-load.php

    if [[ " $* " == *' --browser '* ]]; then
        want chromium has chromium
        want nodejs has node
        want npm has npm
    fi
    if [[ " $* " == *' --galera '* ]]; then
        want galera-4 any /usr/lib/galera/libgalera_smm.so
        want haproxy has haproxy
    fi
    if [[ " $* " == *' --release '* ]]; then
        want apt-utils has apt-ftparchive
        want gpg has gpg
        want minisign has minisign
        want rpm has rpm
    fi
    if [[ " $* " == *' --systemd '* ]]; then
        want debootstrap has debootstrap
        want systemd-container has systemd-nspawn
    fi
}

# add_theme adds the theme that this release's WordPress recommends, where WordPress is installed now: without one, its
# front page stays empty.
add_theme() {
    [[ " ${missing[*]} " == *' wordpress '* ]] || return 0
    mapfile -t -O "${#missing[@]}" missing < <(apt-cache depends wordpress |
        sed -n 's/^ *|\{0,1\}Recommends: \(wordpress-theme-[a-z]*\)$/\1/p')
}

die() {
    printf '%s\n' "$@" >&2
    exit 1
}

# forbid_services makes package scripts leave services alone (exit status 101 of policy-rc.d) until restore_services.
forbid_services() {
    trap restore_services EXIT
    trap 'exit 1' HUP INT TERM
    if [[ -e $policy && ! -e $policy_kept ]]; then
        mv -- "$policy" "$policy_kept"
    fi
    printf '#!/bin/sh\n# Set for the time of an installation by ticketd'\''s deps.sh.\nexit 101\n' >"$policy"
    chmod 755 "$policy"
}

restore_services() {
    rm -f -- "$policy"
    if [[ -e $policy_kept ]]; then
        mv -- "$policy_kept" "$policy"
    fi
}

install_missing() {
    export DEBIAN_FRONTEND=noninteractive
    # Lists that are old but good enough may still do where a source does not answer.
    apt-get -qq update || printf 'deps: apt-get update failed; going on with the package lists that are here\n' >&2
    add_theme
    forbid_services
    apt-get -qq -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 install --no-install-recommends "${missing[@]}" >&2 ||
        die "deps: installing failed; the lines above say why. Install by hand: ${missing[*]}"
}

find_missing "$@"
if ((${#missing[@]} == 0)); then
    exit
fi
if [[ " $* " == *' --list '* ]]; then
    printf '%s\n' "${missing[@]}"
    exit
fi
printf 'deps: installing through apt: %s\n' "${missing[*]}" >&2
has apt-get ||
    die "deps: there is no apt-get on this system (it is made for Debian and Ubuntu)." \
        "Install what these Debian packages hold, then run the command again: ${missing[*]}"
if ((EUID != 0)); then
    has sudo ||
        die "deps: installing needs root, and there is no sudo. Run as root: bash $0"
    exec sudo -- "$BASH" "$0" "$@"
fi
install_missing
