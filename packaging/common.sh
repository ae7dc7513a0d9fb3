# What the scripts here share: versions, and how the program is compiled. To be sourced, in the module's folder.
# $VERSION is what git describe says and $DIST is dist unless they are set.
# shellcheck shell=bash

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

# scratch makes the folder $work, which goes with the script.
scratch() {
    work=$(mktemp -d)
    trap 'rm -rf -- "$work"' EXIT
}
