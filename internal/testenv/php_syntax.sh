#!/usr/bin/env bash
# Checks the plugin's syntax with every PHP that it is made for. One process a version parses all files, as starting one costs a
# second; the exit code of these PHPs says nothing, so their text is read.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

internal/testenv/npm.sh php
files=$(find php-client/ticketd -name '*.php' | wc -l)
failed=0
for version in 7.4 8.0 8.1 8.2 8.3 8.4 8.5; do
    said=$(PHP=$version .cache/php/node_modules/.bin/php-wasm-cli internal/testenv/php_syntax.php php-client/ticketd 2>&1) || true
    printf '%s\n' "$said"
    [[ $said =~ ^PHP\ ${version}[.0-9]*:\ $files\ files$ ]] || failed=1
done
exit "$failed"
