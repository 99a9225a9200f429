#!/bin/sh
# Measures gbuild's own image beside kaniko's executor: each build in a new container with Docker's default rights, as root, by the same
# command line, in turns. What is stored is in the registry (--cache), or for gbuild also in a volume.
# usage: [BENCH_DIR=DIR] [BENCH_RUNS=3] [BENCH_SIZE=small|full] scripts/bench-kaniko.sh GBUILD EXECUTOR [W0 W1 W2 W3 W4 W5 W6]
# GBUILD is a static binary, EXECUTOR is kaniko's. Needs root and a Docker Engine. BENCH_DIR keeps base and wheels.
set -eu
cd "$(dirname "$0")/.."
gbuild=$(realpath "$1") executor=$(realpath "$2")
shift 2
size=${BENCH_SIZE:-small}
dir=${BENCH_DIR:-/var/tmp/gbuild-bench-$(id -u)}
mkdir -p "$dir"
work=$(mktemp -d "$dir/kaniko.XXXXXX")
name=gbuild-bench-$$
pids=
finish() {
    [ -z "$pids" ] || kill $pids 2>/dev/null || true
    docker rmi --force "$name:gbuild" "$name:kaniko" >/dev/null 2>&1 || true
    docker volume rm --force "$name" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap finish EXIT
. scripts/registry.sh
python3 scripts/wheels.py make "$dir/wheels-$size" "$size"
start_registry "$work/registry"
pids=$registry_pid
index=127.0.0.1:$(free_port)
python3 scripts/wheels.py serve "$dir/wheels-$size" "$index" "$work/index.log" &
pids="$pids $!"
go build -o "$work/demo" ./internal/testimage/demo
"$work/demo" base "$dir" "$registry/base/python:1" >/dev/null

mkdir -p "$work/compiled/src" "$work/executor/kaniko/.docker" "$work/out"
cp "$gbuild" "$work/compiled/src/gbuild"
"$gbuild" --root "$work/state" --cache-dir "$work/caches" build --quiet --build-context "build=$work/compiled" \
    --build-arg DEBIAN_IMAGE=debian --build-context "debian=docker-image://$registry/base/python:1" -t "$name:gbuild" -o "type=docker,dest=$work/image.tar" .
docker load --quiet --input "$work/image.tar"
cp "$executor" "$work/executor/kaniko/executor"
printf 'FROM scratch\nCOPY kaniko /kaniko\nENV HOME=/root USER=root PATH=/usr/local/bin:/kaniko DOCKER_CONFIG=/kaniko/.docker/\nWORKDIR /workspace\nENTRYPOINT ["/kaniko/executor"]\n' >"$work/executor/Dockerfile"
docker build --quiet -t "$name:kaniko" "$work/executor"
cp "$dir/wheels-$size/requirements.txt" "$work/"
python3 scripts/bench-kaniko.py "$name" "$work" "$registry" "$index" "$size" "${BENCH_RUNS:-3}" "$@"
