#!/usr/bin/env bash
# Builds dist/ticketd_VERSION_ARCH.deb and dist/ticketd-VERSION-1.ARCH.rpm for each architecture that is named (amd64 and arm64 by
# default), the same bytes from the same commit. Usage: build.sh [ARCH...]; $VERSION is what git describe says, $DIST is dist and
# $PACKAGERS is "deb rpm" unless they are set.
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
    "$GO" run ./internal/licences ./cmd/ticketd >"$share/doc/ticketd/THIRD-PARTY-LICENSES.txt"
    mkdir -p "$share/doc/ticketd/examples/containers"
    cp packaging/containers/*.yaml "$share/doc/ticketd/examples/containers/"
    cp packaging/ticketd.openrc "$share/doc/ticketd/examples/"
    gzip -9nc CHANGELOG.md >"$share/doc/ticketd/changelog.gz"
    "$GO" run ./internal/pluginzip php-client/ticketd "$share/ticketd/ticketd.zip"
    # The modes of a checkout depend on its owner's umask.
    find "$share" -type d -exec chmod 755 {} +
    find "$share" -type f -exec chmod 644 {} +
}

# units GROUP fills the folder of units and configuration, which name the web server's group: www-data in Debian, apache in RHEL and Fedora.
units() {
    mkdir -p "$work/units"
    local file
    for file in systemd/* packaging/ticketd.toml; do
        sed "s/www-data/$1/g" "$file" >"$work/units/${file##*/}"
    done
    # The number that RHEL and Fedora keep for this group, where no web server has made the group yet.
    [[ $1 != apache ]] || sed -i 's/^m /g apache 48 -\n&/' "$work/units/ticketd.sysusers"
}

# rpm_arch writes the name that RPM has for an architecture of Go.
rpm_arch() {
    case $1 in
        amd64) echo x86_64 ;;
        arm64) echo aarch64 ;;
        *) echo "$1" ;;
    esac
}

scratch
GOFLAGS="${GOFLAGS:-} -tags=man" compile "$("$GO" env GOHOSTARCH)" "$work/tool" # with the command man
share "$work/share" "$work/tool"
mkdir -p "$DIST"
(($#)) || set -- amd64 arm64
for ARCH; do
    export ARCH STAGE=$work
    compile "$ARCH" "$work/ticketd" || die "build.sh: $ARCH is no architecture that Go can build for"
    for packager in ${PACKAGERS:-deb rpm}; do
        case $packager in
            deb)
                units www-data
                target=ticketd_${PACKAGE_VERSION}_$ARCH.deb
                ;;
            rpm)
                units apache
                target=ticketd-$PACKAGE_VERSION-1.$(rpm_arch "$ARCH").rpm
                ;;
            *) die "build.sh: PACKAGERS has $packager, and not deb or rpm" ;;
        esac
        "$GO" run "$nfpm" package --config packaging/nfpm.yaml --packager "$packager" --target "$DIST/$target"
    done
done
