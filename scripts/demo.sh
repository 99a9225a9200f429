#!/bin/sh
# The main job on a bare machine with Go: examples/email-agent is built twice, pushed, saved, and run.
# As root it installs what is missing by apt; as an ordinary user it says what is missing. State stays in
# $GBUILD_DEMO_DIR (default: below /var/tmp), so that a second demo does not make the base again.
set -eu
cd "$(dirname "$0")/.."
began=$(date +%s)
dir=${GBUILD_DEMO_DIR:-/var/tmp/gbuild-demo-$(id -u)}
work=$dir/work

say() { printf '\n\033[1m== [%3ds] %s\033[0m\n' $(($(date +%s) - began)) "$*"; }
show() { printf '$ %s\n' "$*"; "$@"; }

say "install what the demo needs"
scripts/setup.sh --demo

say "build gbuild: one static binary"
make --no-print-directory build
show ls -lh gbuild
PATH=$PWD:$PATH

gbuild() { command gbuild --root "$dir/state" --cache-dir "$dir/caches" "$@"; }
pids=
finish() {
    [ -z "$pids" ] || kill $pids 2>/dev/null || true
}
trap finish EXIT
mkdir -p "$dir"
rm -rf "$work"
mkdir "$work"
go build -o "$work/demo" ./internal/testimage/demo

say "start a registry (Debian's docker-registry) and a package index, both on loopback"
. scripts/registry.sh
start_registry "$work/registry"
pids=$registry_pid
index=127.0.0.1:$(free_port)
"$work/demo" index "$index" "$work/index.log" &
pids="$pids $!"
for _ in $(seq 100); do curl -fs -o "$work/answer" "http://$index/simple/" && break || sleep 0.1; done
echo "registry: $registry   index: http://$index/simple/"

say "make the base image: a Debian root with python3 and pip, by mmdebstrap"
show "$work/demo" base "$dir" "$registry/base/python:1"

say "build the example"
cp -r examples/email-agent "$work/agent"
# build: the network of the host, because the index is on loopback.
build() {
    show gbuild build --build-arg "BASE=$registry/base/python:1" --build-arg "PIP_INDEX_URL=http://$index/simple/" \
        --build-arg PIP_TRUSTED_HOST=127.0.0.1 --network host --progress plain -t "$registry/team/email-agent:latest" -t email-agent:latest "$@" "$work/agent"
}
gbuild cache rm --all >"$work/answer" 2>&1 || true
gbuild rmi email-agent >"$work/answer" 2>&1 || true
: >"$work/index.log"
build --no-cache
say "what pip asked the index for"
cat "$work/index.log"

say "build again, nothing changed"
start=$(date +%s%N)
build >"$work/second.out" 2>&1 || { cat "$work/second.out"; exit 1; }
grep -c CACHED "$work/second.out" | sed 's/$/ steps were stored/'
echo "took $((($(date +%s%N) - start) / 1000000)) ms"

say "change one line of requirements.txt, build again: only the new wheel is fetched"
sed -i 's/^six==.*/six==1.17.0/' "$work/agent/requirements.txt"
: >"$work/index.log"
build
echo "-- what pip asked the index for (304: the page was in the cache):"
cat "$work/index.log"
fetched=$(grep -c '^200 /files/' "$work/index.log") || true
[ "$fetched" = 1 ] || { echo "demo: $fetched wheels were fetched, not one" >&2; exit 1; }
show gbuild cache ls

say "push it, and write a tarball that docker load reads"
show gbuild push "$registry/team/email-agent:latest"
curl -fs -H 'Accept: application/vnd.oci.image.manifest.v1+json' "http://$registry/v2/team/email-agent/manifests/latest" | head -c 400
echo
show gbuild save email-agent:latest -o "$work/email-agent.tar"
show ls -lh "$work/email-agent.tar"

say "run it"
mkdir -p "$work/outputs"
show gbuild run --rm -v "$work/outputs:/workspace/outputs" email-agent:latest
show cat "$work/outputs/metrics.json"
say "done in $(($(date +%s) - began)) s"
