#!/bin/sh
# Runs the tests: as root and again as the ordinary user that setup.sh made; or once, as who calls it.
# The last line is "N passed, N failed, N skipped", of all runs together.
# usage: scripts/test.sh [PACKAGE...]
set -eu
cd "$(dirname "$0")/.."
user=${GBUILD_TEST_USER:-tester} tags=seccomp timeout=15m
[ $# -gt 0 ] || set -- ./...

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 0755 "$work"
# What takes long to make for tests (a Debian root with Python) is kept here between runs, for both to read.
export GBUILD_TEST_CACHE="${GBUILD_TEST_CACHE:-/var/tmp/gbuild-test-$(id -u)}"
mkdir -p "$GBUILD_TEST_CACHE"

# as_user runs the tests that go compiled for root in a copy of the tree: the user may be unable to read this one, and
# has neither modules nor a build cache.
as_user() {
    mkdir "$work/tree" "$work/bin"
    git ls-files -z --cached --others --exclude-standard | tar -c --null --files-from=- --ignore-failed-read 2>/dev/null |
        tar -x --no-same-owner -C "$work/tree"
    chown -R "$user:" "$work/tree"
    go test -c -tags "$tags" -o "$work/bin/" "$@"
    go list -f '{{.Name}} {{.ImportPath}} {{.Dir}}' "$@" | while read -r _ package dir; do
        binary=$work/bin/${package##*/}.test
        [ -x "$binary" ] && [ "$dir" != "$PWD/internal" ] || continue # internal: tests of the source, which needs go
        cd "$work/tree${dir#"$PWD"}"
        go tool test2json -t -p "$package (as $user)" \
            setpriv --reuid "$user" --regid "$user" --init-groups env -i HOME="$(getent passwd "$user" | cut -d: -f6)" \
            USER="$user" PATH="$PATH" GBUILD_TEST_CACHE="$GBUILD_TEST_CACHE" \
            "$binary" -test.v=test2json -test.timeout "$timeout" || true # the count knows
        cd "$OLDPWD"
    done
}

all() {
    go test -json -tags "$tags" -timeout "$timeout" "$@" || true # the count knows
    if [ "$(id -u)" -eq 0 ] && id "$user" >/dev/null 2>&1; then
        as_user "$@"
    fi
}

go build -o "$work/testcount" ./scripts/testcount
all "$@" | "$work/testcount"
