#!/usr/bin/env bash
# Makes all files of a release in dist/: packages for Debian and for RHEL and Fedora, an apt repository, the container image, the plugin,
# the Composer package, a bill of materials of each program, the notes, checksums and their signature. Usage: release.sh [ARCH...].
#
# The version is that of the commit's tag, v1.2.3: without one, with changes that are not committed, or if CHANGELOG.md, the plugin
# or its readme.txt name another version, nothing is made. $DIST is dist unless it is set. Keys, each optional:
#   MINISIGN_KEY=FILE  signs SHA256SUMS with minisign (SHA256SUMS.minisig)
#   COSIGN_KEY=FILE    signs SHA256SUMS with cosign (SHA256SUMS.sig)
#   APT_KEY=ID         signs the apt repository with gpg
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
if ! VERSION=$(git describe --exact-match --tags --match 'v[0-9]*' 2>/dev/null); then
    echo "release.sh: this commit has no tag v…: git tag -s v1.2.3" >&2
    exit 1
fi
export VERSION
# shellcheck source=packaging/common.sh
. packaging/common.sh

readonly cyclonedx=github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0

# notes prints the section of a version in CHANGELOG.md, whose heading is "## 1.2.3 - 2027-01-31".
notes() {
    awk -v version="$1" '/^## / { found = $2 == version } found && !/^## /' CHANGELOG.md
}

# check_versions demands that everything that names the version names this one.
check_versions() {
    local version=$1 wrong=()
    [[ -n $(notes "$version") ]] || wrong+=("CHANGELOG.md has no section '## $version - DATE' with text")
    grep -Fqx " * Version:           $version" php-client/ticketd/ticketd.php || wrong+=("php-client/ticketd/ticketd.php: Version")
    grep -Fqx "Stable tag: $version" php-client/ticketd/readme.txt || wrong+=("php-client/ticketd/readme.txt: Stable tag")
    ((${#wrong[@]} == 0)) || die "release.sh: not $version:" "${wrong[@]}"
}

# materials ARCH writes the bill of materials of a program.
materials() {
    compile "$1" "$work/ticketd"
    "$GO" run "$cyclonedx" bin -json -std -noserial -notimestamp -version "$VERSION" -output "$DIST/ticketd_${version}_$1.cdx.json" \
        "$work/ticketd"
}

# sign writes the checksums of all files, and signs them.
sign() {
    (cd "$DIST" && find . -type f ! -name 'SHA256SUMS*' ! -path './oci/*' -printf '%P\n' | LC_ALL=C sort | xargs -d '\n' sha256sum) \
        >"$work/sums"
    mv "$work/sums" "$DIST/SHA256SUMS"
    if [[ -n ${MINISIGN_KEY:-} ]]; then
        minisign -S -s "$MINISIGN_KEY" -t "ticketd $version" -m "$DIST/SHA256SUMS"
    fi
    if [[ -n ${COSIGN_KEY:-} ]]; then
        cosign sign-blob --yes --key "$COSIGN_KEY" --output-signature "$DIST/SHA256SUMS.sig" "$DIST/SHA256SUMS"
    fi
}

[[ -z $(git status --porcelain) ]] || die "release.sh: there are changes that are not committed" "$(git status --short)"
version=${VERSION#v}
check_versions "$version"
[[ -z $(ls -A "$DIST" 2>/dev/null) ]] || die "release.sh: $DIST is not empty: make clean"

scratch
mkdir -p "$DIST"
(($#)) || set -- amd64 arm64
packaging/build.sh "$@"
packaging/image.sh "$@"
packaging/apt.sh
"$GO" run ./internal/pluginzip php-client/ticketd "$DIST/ticketd.zip"
GO=$GO DIST=$DIST packaging/composer.sh
for arch; do
    materials "$arch"
done
notes "$version" >"$DIST/NOTES.md"
sign
ls -l "$DIST"
