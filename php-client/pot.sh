#!/usr/bin/env bash
# Makes the plugin's template for translators: every text in PHP and JavaScript, and those of the plugin's header and blocks.
# Usage: pot.sh FILE. The same texts make the same file, so that a test can tell whether the one in the repository is old.
set -euo pipefail

target=$(realpath -m -- "$1")
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/ticketd"

# shellcheck disable=SC2054 # the commas are xgettext's
keywords=(--keyword
    --keyword=__ --keyword=_e --keyword=esc_html__ --keyword=esc_html_e --keyword=esc_attr__ --keyword=esc_attr_e
    --keyword=_n:1,2 --keyword=_n_noop:1,2 --keyword=_x:1,2c --keyword=esc_html_x:1,2c --keyword=esc_attr_x:1,2c --keyword=_nx:1,2,4c)
options=(--from-code=UTF-8 --add-comments=translators: --add-location=file --sort-by-file --no-wrap --force-po
    --package-name=ticketd "${keywords[@]}")

mapfile -t php < <(find . -name '*.php' -printf '%P\n' | LC_ALL=C sort)
mapfile -t scripts < <(find assets -name '*.js' | LC_ALL=C sort)

# Prints the texts of files, without xgettext's header. With --omit-header xgettext would not know its output's encoding and
# drop every character that is not ASCII.
texts() {
    xgettext "${options[@]}" --output=- "$@" | sed '1,/^$/d'
}

{
    printf '# Texts of the WordPress plugin ticketd.\n# This file is distributed under the GPL-2.0-or-later.\n'
    printf 'msgid ""\nmsgstr ""\n"Project-Id-Version: ticketd\\n"\n"MIME-Version: 1.0\\n"\n'
    printf '"Content-Type: text/plain; charset=UTF-8\\n"\n"Content-Transfer-Encoding: 8bit\\n"\n"X-Domain: ticketd\\n"\n\n'
    printf '#. Description of the plugin\n#: ticketd.php\nmsgid "%s"\nmsgstr ""\n\n' "$(sed -n 's/^ \* Description: *//p' ticketd.php)"
    # With the contexts by which WordPress looks them up.
    # shellcheck disable=SC2016 # the variables are PHP's
    php -r 'foreach ( array_slice( $argv, 1 ) as $file ) {
        $block = json_decode( file_get_contents( $file ), true );
        foreach ( array( "title", "description" ) as $key ) {
            printf( "#: %s\nmsgctxt \"block %s\"\nmsgid %s\nmsgstr \"\"\n\n", $file, $key, json_encode( $block[ $key ], 320 ) );
        }
    }' -- blocks/*/block.json
    texts --language=PHP "${php[@]}"
    printf '\n'
    texts --language=JavaScript "${scripts[@]}"
} | msguniq --use-first --sort-by-file --no-wrap --add-location=file --output-file="$target" -
