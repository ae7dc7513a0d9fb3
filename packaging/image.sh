#!/usr/bin/env bash
# Builds the container image without a container engine: dist/oci, a layout of all architectures, and for each architecture
# dist/ticketd_VERSION_ARCH.oci.tar, the same bytes from the same commit. Usage: image.sh [ARCH...], amd64 and arm64 by default.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
# shellcheck source=packaging/common.sh
. packaging/common.sh

scratch
mkdir -p "$DIST"
(($#)) || set -- amd64 arm64
programs=()
for arch; do
    compile "$arch" "$work/$arch" || die "image.sh: $arch is no architecture that Go can build for"
    programs+=("$arch=$work/$arch")
done
# The plugin, for `docker cp`, and the licences.
"$GO" run ./internal/licences ./cmd/ticketd >"$work/licences"
"$GO" run ./internal/pluginzip php-client/ticketd "$work/ticketd.zip"
# A tag has no "+" or "~".
"$GO" run ./internal/ociimage -version "${PACKAGE_VERSION//[+~]/-}" -created "$SOURCE_DATE_EPOCH" \
    -revision "$(git rev-parse HEAD 2>/dev/null || true)" -out "$DIST" \
    -file usr/share/ticketd/ticketd.zip="$work/ticketd.zip" -file usr/share/doc/ticketd/copyright=packaging/copyright \
    -file usr/share/doc/ticketd/THIRD-PARTY-LICENSES.txt="$work/licences" \
    -file usr/share/licenses/ticketd/GPL-3.0.txt=packaging/GPL-3.0.txt \
    "${programs[@]}"
