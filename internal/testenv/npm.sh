#!/usr/bin/env bash
# Brings what the tests need from npm's packages into .cache/ at the root of the repository, which git ignores:
#   npm.sh wordpress   WordPress 6.5 in .cache/wordpress-6.5, for the end-to-end tests besides Debian's 6.1
#   npm.sh php         PHP 7.4 to 8.5, compiled for Node.js, in .cache/php, for checking syntax
# It does nothing where that is there. No package's own scripts are run.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

readonly cache=$PWD/.cache
readonly wordpress=@wp-playground/wordpress-builds@0.9.19
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
wordpress)
    target=$cache/wordpress-6.5
    if [[ ! -e $target ]]; then
        fetch "$cache/wordpress.part" "$wordpress"
        package=$cache/wordpress.part/node_modules/@wp-playground/wordpress-builds
        mkdir -- "$cache/wordpress.part/tree"
        unzip -q "$package/src/wordpress/wp-6.5.zip" -d "$cache/wordpress.part/tree"
        # The package keeps what browsers load apart from the code.
        cp -R -- "$package/public/wp-6.5/." "$cache/wordpress.part/tree/"
        rm -rf -- "$cache/wordpress.part/tree/wp-content/database"
        mv -- "$cache/wordpress.part/tree" "$target"
        rm -rf -- "$cache/wordpress.part"
    fi
    ;;
php)
    if [[ ! -e $cache/php ]]; then
        fetch "$cache/php.part" "$php"
        mv -- "$cache/php.part" "$cache/php"
    fi
    ;;
*)
    printf 'usage: npm.sh wordpress|php\n' >&2
    exit 2
    ;;
esac
