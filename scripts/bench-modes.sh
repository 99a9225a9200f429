#!/bin/sh
# Measures what isolation rootless-single costs beside rootless: starts of containers, trivial steps, apt, pip and mixed work, built in turns by
# one ordinary user. Processor time is that of all processes of a build.
# usage: [BENCH_DIR=DIR] [BENCH_RUNS=3] scripts/bench-modes.sh GBUILD[,GBUILD...] [start steps apt pip mixed]
# Needs a user with subordinate ids: as root, $GBUILD_TEST_USER (tester). Several binaries are compared with each other. BENCH_DIR keeps base and wheels.
set -eu
cd "$(dirname "$0")/.."
gbuild=$1
shift
user=${GBUILD_TEST_USER:-tester}
dir=${BENCH_DIR:-/var/tmp/gbuild-bench-$(id -u)}
as=
mkdir -p "$dir"
work=$(mktemp -d "$dir/modes.XXXXXX")
[ "$(id -u)" -ne 0 ] || {
    as="setpriv --reuid $user --regid $user --init-groups"
    chown "$user" "$work"
}
pids=
finish() {
    [ -z "$pids" ] || kill $pids 2>/dev/null || true
    $as unshare --map-root-user --map-auto rm -rf "$work/state-rootless" || true
    rm -rf "$work"
}
trap finish EXIT
. scripts/registry.sh
python3 scripts/wheels.py make "$dir/wheels-small" small
chmod 755 "$dir" "$work"
start_registry "$work/registry"
pids=$registry_pid
index=127.0.0.1:$(free_port)
python3 scripts/wheels.py serve "$dir/wheels-small" "$index" "$work/index.log" &
pids="$pids $!"
go build -o "$work/demo" ./internal/testimage/demo
"$work/demo" base "$dir" "$registry/base/python:1" >/dev/null
cp "$dir/wheels-small/requirements.txt" "$work/"
copies=
for binary in $(echo "$gbuild" | tr , ' '); do
    cp "$binary" "$work/$(basename "$binary")" # where the user can read it
    copies=${copies:+$copies,}$work/$(basename "$binary")
done
cp scripts/bench-modes.py "$work/"
$as /usr/bin/python3 "$work/bench-modes.py" "$copies" "$work" "$registry" "$index" "${BENCH_RUNS:-3}" "$@"
