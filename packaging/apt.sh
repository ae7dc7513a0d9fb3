#!/usr/bin/env bash
# Makes an apt repository of the Debian packages in dist/: dist/apt, which a web server or a folder offers as it is. Packages of
# older versions that are there already stay. Usage: apt.sh; $DIST is dist unless it is set. With APT_KEY=ID, a key of gpg's, the
# repository is signed (InRelease, Release.gpg), and the public key is in dist/apt/ticketd.gpg.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
# shellcheck source=packaging/common.sh
. packaging/common.sh

readonly suite=stable component=main
type -P apt-ftparchive >/dev/null || die "apt.sh: there is no apt-ftparchive: apt-get install apt-utils"
shopt -s nullglob
debs=("$DIST"/ticketd_*.deb)
((${#debs[@]})) || die "apt.sh: there is no package in $DIST: make deb"

repository=$DIST/apt
mkdir -p "$repository/pool"
cp -p "${debs[@]}" "$repository/pool/"
cd "$repository"
declare -A architectures=()
for deb in pool/*.deb; do
    architectures[$(dpkg-deb -f "$deb" Architecture)]=
done
rm -rf dists
for arch in "${!architectures[@]}"; do
    index=dists/$suite/$component/binary-$arch
    mkdir -p "$index"
    apt-ftparchive --arch "$arch" packages pool >"$index/Packages"
    gzip -9nk "$index/Packages"
done
release=dists/$suite/Release
list=("${!architectures[@]}")
# The date is the commit's, so that the same packages make the same repository.
apt-ftparchive -o "APT::FTPArchive::Release::Origin=ticketd" -o "APT::FTPArchive::Release::Label=ticketd" \
    -o "APT::FTPArchive::Release::Suite=$suite" -o "APT::FTPArchive::Release::Codename=$suite" \
    -o "APT::FTPArchive::Release::Components=$component" -o "APT::FTPArchive::Release::Architectures=${list[*]}" \
    release "dists/$suite" | sed "s/^Date: .*/Date: $(LC_ALL=C date -u -d "@$SOURCE_DATE_EPOCH" '+%a, %d %b %Y %H:%M:%S UTC')/" >"$release.new"
mv "$release.new" "$release"
if [[ -n ${APT_KEY:-} ]]; then
    gpg --batch --yes --local-user "$APT_KEY" --clearsign --output "dists/$suite/InRelease" "$release"
    gpg --batch --yes --local-user "$APT_KEY" --armor --detach-sign --output "$release.gpg" "$release"
    gpg --batch --yes --output ticketd.gpg --export "$APT_KEY"
fi
