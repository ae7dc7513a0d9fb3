#!/usr/bin/env bash
# Makes dist/composer/ticketd-client-VERSION.zip, the PHP client as a Composer package without WordPress, the same bytes from the
# same files. VERSION is the plugin's. Usage: composer.sh; $DIST is dist unless it is set.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

: "${GO:=go}" "${DIST:=dist}"
version=$(sed -n 's/^ \* Version: *//p' php-client/ticketd/ticketd.php)
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

package=$work/ticketd-client
mkdir -p "$package/ticketd/src"
cp -r php-client/ticketd/src/Client "$package/ticketd/src/"
cp -r php-client/README.md php-client/examples "$package/"
cp LICENSE "$package/LICENSE.txt"
# A package in a folder says its version itself.
sed "s/^    \"type\":/    \"version\": \"$version\",\n&/" php-client/composer.json >"$package/composer.json"
"$GO" run ./internal/pluginzip "$package" "$DIST/composer/ticketd-client-$version.zip"
ls -l "$DIST/composer/ticketd-client-$version.zip"
