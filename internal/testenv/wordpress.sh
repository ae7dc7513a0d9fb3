#!/usr/bin/env bash
# Brings the newest WordPress that Debian has, sid's, into .cache/wordpress-sid at the root of the repository, which git ignores,
# for the tests besides this release's own WordPress. The packages are unpacked there and not installed: this system stays as it
# is. It does nothing where that is there; remove the folder for a newer one.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

readonly target=$PWD/.cache/wordpress-sid
readonly part=$PWD/.cache/wordpress-sid.part
[[ ! -e $target ]] || exit 0

die() {
    printf 'wordpress.sh: %s\n' "$@" >&2
    exit 1
}

# The mirror that this system's apt uses for Debian itself.
# shellcheck disable=SC2016 # the names are apt's
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 'Origin: Debian' 'Label: Debian' | head -n 1)
[[ -n $mirror ]] ||
    die "apt knows no mirror of Debian here, or has no lists yet (apt-get update)." \
        "TICKETD_TEST_WORDPRESS=/path/to/wordpress gives the tests another newest WordPress."

rm -rf -- "$part"
mkdir -p -- "$part"/{lists/partial,archives/partial,packages,root}
printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s sid main\n' "$mirror" >"$part/sources.list"
readonly options=(-q -o "Dir::Etc::SourceList=$part/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o "Dir::State::Lists=$part/lists" -o Dir::State::Status=/dev/null -o "Dir::Cache=$part" -o APT::Sandbox::User=
    -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false)

printf 'wordpress.sh: unpacking the WordPress of Debian sid into %s\n' "$target" >&2
apt-get "${options[@]}" update >"$part/log" 2>&1 || die "$(cat "$part/log")"
# Besides WordPress: its theme, and the libraries that Debian packages apart.
mapfile -t packages < <(apt-cache "${options[@]}" depends wordpress | sed -n \
    's/^ *|\{0,1\}\(Depends\|Recommends\): \(libjs-.*\|libphp-.*\|php-getid3\|wordpress-theme-.*\)$/\2/p')
(cd -- "$part/packages" && apt-get "${options[@]}" download wordpress "${packages[@]}") >"$part/log" 2>&1 ||
    die "$(cat "$part/log")"
for package in "$part"/packages/*.deb; do
    dpkg-deb --extract "$package" "$part/root"
done
rm -f -- "$part/root/usr/share/wordpress/.htaccess" # a link to the machine's own
# Copied without the links to those libraries; one without its library fails.
cp -RL -- "$part/root/usr/share/wordpress" "$part/tree"
mv -- "$part/tree" "$target"
rm -rf -- "$part"
