#!/usr/bin/env bash
# Builds dist/ticketd_VERSION_ARCH.deb for each architecture that is named (amd64 and arm64 by default), the same bytes from the
# same commit. Usage: build.sh [ARCH...]; $VERSION is what git describe says and $DIST is dist unless they are set.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

# shellcheck source=packaging/common.sh
. packaging/common.sh
readonly nfpm=github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2

# share fills the folder whose content goes below /usr/share.
share() {
    local share=$1 tool=$2
    mkdir -p "$share"/{man/man1,doc/ticketd,ticketd} \
        "$share"/{bash-completion/completions,zsh/vendor-completions,fish/vendor_completions.d}
    "$tool" man "$share/man/man1"
    rm "$share"/man/man1/ticketd-completion*
    gzip -9n "$share"/man/man1/*
    "$tool" completion bash >"$share/bash-completion/completions/ticketd"
    "$tool" completion zsh >"$share/zsh/vendor-completions/_ticketd"
    "$tool" completion fish >"$share/fish/vendor_completions.d/ticketd.fish"
    cp -r docs/. protocol/SPEC.md "$share/doc/ticketd/"
    cp packaging/copyright "$share/doc/ticketd/copyright"
    gzip -9nc CHANGELOG.md >"$share/doc/ticketd/changelog.gz"
    "$GO" run ./internal/pluginzip php-client/ticketd "$share/ticketd/ticketd.zip"
    # The modes of a checkout depend on its owner's umask.
    find "$share" -type d -exec chmod 755 {} +
    find "$share" -type f -exec chmod 644 {} +
}

scratch
compile "$("$GO" env GOHOSTARCH)" "$work/tool"
share "$work/share" "$work/tool"
mkdir -p "$DIST"
(($#)) || set -- amd64 arm64
for ARCH; do
    export ARCH STAGE=$work
    compile "$ARCH" "$work/ticketd" || die "build.sh: $ARCH is no architecture that Go can build for"
    "$GO" run "$nfpm" package --config packaging/nfpm.yaml --packager deb --target "$DIST/ticketd_${PACKAGE_VERSION}_$ARCH.deb"
done
