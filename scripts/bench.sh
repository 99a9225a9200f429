#!/bin/sh
# Measures gbuild beside every builder on PATH and writes docs/benchmarks.md and .svg (full) or $BENCH_DIR/ (small).
# usage: [BENCH_SIZE=small|full] [BENCH_RUNS=3] [BENCH_TOOLS="buildah ..."] [BENCH_DIR=DIR] scripts/bench.sh GBUILD [W0 W1 W2 W3 W5 W6 pull run limits growth]
# Results of workloads that are not named stay from the last time. As root, builders run as $GBUILD_TEST_USER (tester)
# where they can. BENCH_DIR keeps the base, the wheels and the results; full needs 25 GB there.
set -eu
cd "$(dirname "$0")/.."
gbuild=$(realpath "$1")
shift
size=${BENCH_SIZE:-full}
dir=${BENCH_DIR:-/var/tmp/gbuild-bench-$(id -u)}
out=$dir
[ "$size" != full ] || out=$PWD/docs
user=
[ "$(id -u)" -ne 0 ] || user=$(id -un "${GBUILD_TEST_USER:-tester}" 2>/dev/null) || true
for tool in docker-registry mmdebstrap busybox; do
    command -v $tool >/dev/null || { echo "bench: needs $tool (scripts/setup.sh installs it)" >&2; exit 1; }
done
mkdir -p "$dir/bin"
chmod 755 "$dir"
go build -o "$dir/bin/bench" ./scripts/bench
. scripts/registry.sh
start_registry "$dir/registry"
trap 'kill $registry_pid' EXIT
"$dir/bin/bench" -gbuild "$gbuild" -dir "$dir" -registry "$registry" -user "$user" -size "$size" -out "${BENCH_OUT:-$out}" \
    -runs "${BENCH_RUNS:-3}" -tools "${BENCH_TOOLS:-}" "$@"
