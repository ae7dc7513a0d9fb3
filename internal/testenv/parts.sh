#!/usr/bin/env bash
# Says on what the tests run that may be one of several: each WordPress, and the real WP-CLI or its stand-in.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

# wordpress FOLDER: its version.
wordpress() {
    local version
    version=$(sed -n "s/^\$wp_version = '\(.*\)';/\1/p" "$1/wp-includes/version.php" 2>/dev/null) || version=none
    printf 'WordPress %s (%s)\n' "${version:-none}" "$1"
}

wordpress /usr/share/wordpress
wordpress "${TICKETD_TEST_WORDPRESS:-.cache/wordpress-sid}"
if [[ -n ${TICKETD_TEST_WP-} ]]; then
    printf '%s (%s)\n' "$("$TICKETD_TEST_WP" --allow-root --version)" "$TICKETD_TEST_WP"
else
    printf 'WP-CLI: a stand-in; TICKETD_TEST_WP=/path/to/wp gives the tests a real one\n'
fi
php --version | head -n 1
