#!/usr/bin/env bash
# Brings what the tests need from npm's packages into .cache/ at the root of the repository, which git ignores:
#   npm.sh php   PHP 7.4 to 8.5, compiled for Node.js, in .cache/php, for checking syntax
# It does nothing where that is there. No package's own scripts are run.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

readonly cache=$PWD/.cache
readonly php=@php-wasm/cli@3.1.56

# fetch FOLDER PACKAGE: installs a package into a folder that is complete or not there.
fetch() {
    printf 'npm: installing %s\n' "$2" >&2
    rm -rf -- "$1"
    mkdir -p -- "$1"
    npm install --prefix "$1" --ignore-scripts --no-audit --no-fund --no-save --loglevel=error "$2" >&2 || {
        rm -rf -- "$1"
        printf 'npm: %s cannot be installed; the lines above say why.\n' "$2" >&2
        exit 1
    }
}

case ${1-} in
php)
    if [[ ! -e $cache/php ]]; then
        fetch "$cache/php.part" "$php"
        mv -- "$cache/php.part" "$cache/php"
    fi
    ;;
*)
    printf 'usage: npm.sh php\n' >&2
    exit 2
    ;;
esac
