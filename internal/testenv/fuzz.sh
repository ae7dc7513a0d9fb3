#!/bin/bash
# Usage: fuzz.sh TIME [PACKAGE [TARGET]]. Fuzzes every fuzz target of the module, or of one package, or one of them, for TIME each.
# A target that fails ends it; the input is then in the package's testdata/fuzz, to be committed with what mends it.
set -euo pipefail
time=$1 package=${2:-} target=${3:-}
go=${GO:-go}

# Targets that open journals wait for the disk most of the time; in memory they do a hundred times as much.
if [[ -w /dev/shm && -z ${TMPDIR:-} ]]; then
	TMPDIR=$(mktemp -d /dev/shm/ticketd-fuzz.XXXXXX)
	export TMPDIR
	trap 'rm -rf "$TMPDIR"' EXIT
fi

if [[ -n $package ]]; then
	packages=("$package")
else
	mapfile -t packages < <(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n 1 dirname | sort -u)
fi
for package in "${packages[@]}"; do
	mapfile -t targets < <(grep -ho '^func Fuzz[A-Za-z0-9_]*' "$package"/*_test.go | sed 's/^func //' | sort)
	for name in "${targets[@]}"; do
		[[ -z $target || $name == "$target" ]] || continue
		# An input is made smaller only a hundred times, as that counts as time of the target's.
		"$go" test -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 100x "$package"
	done
done
