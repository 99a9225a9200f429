#!/bin/sh
# Kills builds of examples/email-agent with SIGKILL at random moments; after each, a build must succeed and give the same
# files, and no process may be left. Every tenth round starts from an empty store, so that pulls are killed, too.
# usage: scripts/crash.sh [GBUILD [ROUNDS [SEED]]]
set -eu
cd "$(dirname "$0")/.."
gbuild=$(realpath "${1:-./gbuild}") rounds=${2:-100} seed=${3:-$$}
dir=${GBUILD_DEMO_DIR:-/var/tmp/gbuild-demo-$(id -u)}
work=$(mktemp -d)
mkdir -p "$dir"
go build -o "$work/demo" ./internal/testimage/demo
. scripts/registry.sh
start_registry "$work/registry"
pids=$registry_pid
finish() {
    kill $pids 2>/dev/null || true
    cd /
    "$gbuild" --root "$work/state" prune --keep 0s >/dev/null 2>&1 || true
    rm -rf "$work" 2>/dev/null || true
}
trap finish EXIT
index=127.0.0.1:$(free_port)
"$work/demo" index "$index" "$work/index.log" &
pids="$pids $!"
"$work/demo" base "$dir" "$registry/base/python:1" >/dev/null

build() {
    "$gbuild" --root "$work/state" --cache-dir "$work/caches" build --build-arg "BASE=$registry/base/python:1" \
        --build-arg "PIP_INDEX_URL=http://$index/simple/" --build-arg PIP_TRUSTED_HOST=127.0.0.1 --network host \
        --progress plain -t agent "$@" examples/email-agent
}
# files is a digest over all files of the image that do not record a time.
files() {
    "$gbuild" --root "$work/state" run --hostname crash agent sh -c 'cd / && find etc opt usr workspace -type f ! -name "*.pyc" \
        ! -path "etc/ld.so.cache" -print0 | sort -z | xargs -0 sha256sum | sha256sum'
}
left() { pgrep -f "^$gbuild --root $work/state" || true; }

build >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
want=$(files)
echo "crash: seed $seed, $rounds rounds; files $want"
n=0 failed=0
while [ $n -lt "$rounds" ]; do
    n=$((n + 1))
    if [ $((n % 10)) = 0 ]; then
        mv "$work/state" "$work/old" && rm -rf "$work/old"
    fi
    seed=$(((seed * 1103515245 + 12345) % 2147483648))
    moment=$((seed / 65536 % 6000))
    build --no-cache >"$work/killed" 2>&1 &
    victim=$!
    sleep "$((moment / 1000)).$(printf %03d $((moment % 1000)))"
    for p in $(pgrep -P $victim; echo $victim); do kill -9 "$p" 2>/dev/null || true; done
    wait $victim 2>/dev/null || true
    sleep 0.2
    survivors=$(left)
    if [ -n "$survivors" ]; then
        echo "round $n (after $moment ms): left processes: $survivors"
        failed=$((failed + 1))
    fi
    if ! build >"$work/log" 2>&1; then
        echo "round $n (after $moment ms): the next build failed:"
        tail -5 "$work/log"
        failed=$((failed + 1))
    elif [ "$(files)" != "$want" ]; then
        echo "round $n (after $moment ms): the files differ"
        failed=$((failed + 1))
    fi
done
echo "$((n - failed)) passed, $failed failed"
[ $failed = 0 ]
