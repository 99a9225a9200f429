#!/bin/sh
# Measures what one changed requirement costs: an image of Python distributions is built and pushed, one small requirement
# is bumped, and it is built and pushed again; by gbuild, and by buildah and Docker where they are.
# usage: [BENCH_SIZE=small|full] [BENCH_DIR=DIR] scripts/bench-pip.sh GBUILD
# full installs 1.9 GB, small a quarter. BENCH_DIR keeps the base, the wheels and the report (pip.md).
set -eu
cd "$(dirname "$0")/.."
gbuild=$(realpath "$1")
size=${BENCH_SIZE:-full}
dir=${BENCH_DIR:-/var/tmp/gbuild-bench-$(id -u)}
for tool in docker-registry mmdebstrap apt-get dpkg-deb curl; do
    command -v $tool >/dev/null || { echo "bench-pip: needs $tool (scripts/setup.sh installs it)" >&2; exit 1; }
done
mkdir -p "$dir"
work=$(mktemp -d "$dir/pip.XXXXXX")
wheels=$dir/wheels-$size
python3 scripts/wheels.py make "$wheels" "$size"

. scripts/registry.sh
pids=
finish() {
    [ -z "$pids" ] || kill $pids 2>/dev/null || true
    # buildah leaves mounts behind where a RUN failed.
    awk -v dir="$work/" 'index($2, dir) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r umount || true
    chmod -R u+rwX "$work" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT
start_registry "$work/registry"
pids=$registry_pid
index=127.0.0.1:$(free_port)
python3 scripts/wheels.py serve "$wheels" "$index" "$work/index.log" &
pids="$pids $!"
go build -o "$work/demo" ./internal/testimage/demo
"$work/demo" base "$dir" "$registry/base/python:1"

mkdir "$work/context"
cat >"$work/context/Dockerfile" <<DOCKERFILE
FROM $registry/base/python:1
ENV PIP_INDEX_URL=http://$index/simple/ PIP_TRUSTED_HOST=127.0.0.1
COPY requirements.txt /
RUN pip install --no-cache-dir -r /requirements.txt
CMD ["python3"]
DOCKERFILE

# stored prints how many bytes of blobs the registry has.
stored() { find "$work/registry/data" -path '*/blobs/*' -name data -printf '%s\n' 2>/dev/null | awk '{ n += $1 } END { printf "%d", n }'; }
now() { date +%s.%N; }

# measure TOOL VERSION COMMAND... builds and pushes, and adds a row to the report.
measure() {
    tool=$1 version=$2
    shift 2
    sed "s/^bumped==.*/bumped==$version/" "$wheels/requirements.txt" >"$work/context/requirements.txt"
    before=$(stored)
    : >"$work/index.log"
    began=$(now)
    if ! "$@" >"$work/log" 2>&1; then
        echo "bench-pip: $tool failed:" >&2
        tail -20 "$work/log" >&2
        return 1
    fi
    ended=$(now)
    # Builders of lines write when pip ended; what follows is commit, compression and upload.
    installed=$(sed -n 's/^@\([0-9.]*\) .*Successfully installed.*/\1/p' "$work/log" | tail -1)
    printf '%s\n' "$tool" "$version" "$began" "${installed:-$ended}" "$ended" "$(($(stored) - before))" \
        "$(grep -c '^200 /files/' "$work/index.log" || true)" "$(awk '/^200 \/files/ { n += $3 } END { printf "%d", n }' "$work/index.log")" | tr '\n' ' ' |
        awk '{ printf "| %s | %s | %.1f s | %.1f s | %.2f MB | %d (%.1f MB) |\n", $1, $2, $5 - $3, $5 - $4, $6 / 1e6, $7, $8 / 1e6 }' |
        tee -a "$work/report"
}

# stamped runs a command and puts the time before each line that it writes.
stamped() {
    { "$@" 2>&1 || echo "failed: $*"; } | python3 -c '
import sys, time
failed = False
for line in sys.stdin:
    failed |= line.startswith("failed: ")
    print("@%.3f %s" % (time.time(), line), end="")
sys.exit(failed)'
}

with_gbuild() {
    stamped "$gbuild" build --root "$work/gbuild" --cache-dir "$work/caches" --network host --progress plain -t "$registry/gbuild/app" --push "$work/context"
}
with_buildah() {
    stamped buildah --root "$work/buildah" --runroot "$work/buildah-run" bud --layers --isolation chroot --network host --tls-verify=false -t "$registry/buildah/app" "$work/context" &&
        buildah --root "$work/buildah" --runroot "$work/buildah-run" push -q --tls-verify=false "$registry/buildah/app"
}
with_docker() {
    stamped docker build --network host -t "$registry/docker/app" "$work/context" && docker push -q "$registry/docker/app"
}

echo "| builder | bumped | build and push | of that after pip | uploaded | wheels downloaded |" | tee "$work/report"
echo "|---|---|---|---|---|---|" | tee -a "$work/report"
for tool in gbuild buildah docker; do
    case $tool in
    buildah) command -v buildah >/dev/null || continue ;;
    docker) docker info >/dev/null 2>&1 || continue ;;
    esac
    measure $tool 1.0 with_$tool && measure $tool 1.1 with_$tool || true
done
cp "$work/report" "$dir/pip.md"
echo "the report: $dir/pip.md"
