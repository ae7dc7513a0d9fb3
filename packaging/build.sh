#!/usr/bin/env bash
# Builds dist/ticketd_VERSION_ARCH.deb for each architecture that is named (amd64 and arm64 by default), the same bytes from the
# same commit. Usage: build.sh [ARCH...]; $VERSION is what git describe says and $DIST is dist unless they are set.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

readonly nfpm=github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2
readonly module=github.com/ticketd/ticketd
: "${GO:=go}" "${DIST:=dist}"

die() {
    printf '%s\n' "$@" >&2
    exit 1
}

# package_version makes of a version of git one that dpkg orders as git does: v1.2.3 is 1.2.3, three commits later it is
# 1.2.3+3.g0123abc; before the first tag it is 0~git and the number of commits.
package_version() {
    local version=$1
    if [[ $version =~ ^v?([0-9]+\.[0-9.]+.*)$ ]]; then
        version=${BASH_REMATCH[1]}
        # 1.2.3-3-g0123abc-dirty; a pre-release, as in v1.2.3-rc1, comes before 1.2.3
        [[ $version =~ ^(.*)-([0-9]+)-(g[0-9a-f]+)(-dirty)?$ ]] &&
            version=${BASH_REMATCH[1]}+${BASH_REMATCH[2]}.${BASH_REMATCH[3]}${BASH_REMATCH[4]/-/.}
        version=${version/-dirty/+dirty}
        printf '%s\n' "${version//-/\~}"
    else
        printf '0~git%s.%s\n' "$(git rev-list --count HEAD)" "${version//-/.}"
    fi
}

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

# compile ARCH FILE builds the program.
compile() {
    CGO_ENABLED=0 GOOS=linux GOARCH=$1 "$GO" build -trimpath -buildvcs=false \
        -ldflags "-s -w -X $module/internal/version.Version=$VERSION" -o "$2" ./cmd/ticketd
}

: "${VERSION:=$(git describe --tags --always --dirty)}"
PACKAGE_VERSION=$(package_version "$VERSION")
# The time in every archive and man page is the commit's; nfpm takes it from this variable, too.
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct)}"
export VERSION PACKAGE_VERSION SOURCE_DATE_EPOCH
# Flags whose defaults come from the environment must not bring the builder's into the man pages.
unset "${!TICKETD_@}"
umask 022

work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
compile "$("$GO" env GOHOSTARCH)" "$work/tool"
share "$work/share" "$work/tool"
mkdir -p "$DIST"
(($#)) || set -- amd64 arm64
for ARCH; do
    export ARCH STAGE=$work
    compile "$ARCH" "$work/ticketd" || die "build.sh: $ARCH is no architecture that Go can build for"
    "$GO" run "$nfpm" package --config packaging/nfpm.yaml --packager deb --target "$DIST/ticketd_${PACKAGE_VERSION}_$ARCH.deb"
done
