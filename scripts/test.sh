#!/bin/sh
# Runs the tests: as root and again as the ordinary user that setup.sh made; or once, as who calls it. As many packages are tested
# side by side as there are processors. The last line is "N passed, N failed, N skipped", of all runs together.
# usage: scripts/test.sh [PACKAGE...]
set -eu
cd "$(dirname "$0")/.."
user=${GBUILD_TEST_USER:-tester} tags=seccomp timeout=15m
# Packages whose tests take longest begin first, so that nothing waits for them at the end.
longest='internal/testplaces cmd/gbuild pkg/build internal/testkaniko internal/testjobs pkg/layers pkg/files pkg/runtime pkg/image'
[ $# -gt 0 ] || set -- ./...

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 0755 "$work"
# What takes long to make for tests (a Debian root with Python) is kept here between runs, for both to read.
export GBUILD_TEST_CACHE="${GBUILD_TEST_CACHE:-/var/tmp/gbuild-test-$(id -u)}"
mkdir -p "$GBUILD_TEST_CACHE"

# compile makes the programs of the tests, which all runs share.
compile() {
    mkdir "$work/bin"
    go test -c -tags "$tags" -ldflags=-w -o "$work/bin/" "$@"
}

# programs lists them, those that take longest first: the name of the package, its directory, and the program.
programs() {
    go list -f '{{.ImportPath}} {{.Dir}}' "$@" | while read -r package dir; do
        binary=$work/bin/${package##*/}.test
        [ ! -x "$binary" ] || echo "$package $dir $binary"
    done | awk -v longest="$longest" 'BEGIN { n = split(longest, names) }
        { for (i = 1; i <= n && $1 !~ names[i] "$"; i++); print i, $0 }' | sort -s -n | cut -d ' ' -f 2-
}

# as_user turns such a list into that of the user, who runs the tests in a copy of the tree: the user may be unable to read
# this one, and has neither modules nor a build cache.
as_user() {
    mkdir "$work/tree"
    git ls-files -z --cached --others --exclude-standard | tar -c --null --files-from=- --ignore-failed-read 2>/dev/null |
        tar -x --no-same-owner -C "$work/tree"
    chown -R "$user:" "$work/tree"
    while read -r package dir binary; do
        [ "$dir" != "$PWD/internal" ] || continue # tests of the source, which needs go
        echo "$package-as-$user $work/tree${dir#"$PWD"} setpriv --reuid $user --regid $user --init-groups env -i" \
            "HOME=$(getent passwd "$user" | cut -d: -f6) USER=$user PATH=$PATH GBUILD_TEST_CACHE=$GBUILD_TEST_CACHE $binary"
    done
}

# run runs the tests of a list: what each program says comes in one piece, when it has ended.
run() {
    xargs -P "$(nproc)" -L 1 sh -c 'work=$1 timeout=$2 package=$3 dir=$4
        shift 4
        cd "$dir"
        said=$(mktemp "$work/said.XXXXXX")
        go tool test2json -t -p "$package" "$@" -test.paniconexit0 -test.v=test2json -test.timeout "$timeout" >"$said" 2>&1 || true # the count knows
        flock "$work" cat "$said"
        rm "$said"' sh "$work" "$timeout"
}

all() {
    compile "$@"
    programs "$@" >"$work/list"
    if [ "$(id -u)" -eq 0 ] && id "$user" >/dev/null 2>&1; then
        as_user <"$work/list" >"$work/more"
        cat "$work/more" >>"$work/list"
    fi
    run <"$work/list"
}

go build -o "$work/testcount" ./scripts/testcount
all "$@" | "$work/testcount"
