#!/bin/sh
# Measures what one changed requirement costs, and what a machine that has nothing stored need not do again: gbuild beside
# buildah and Docker where they are. Writes docs/benchmarks-pip.md (full) or $BENCH_DIR/benchmarks-pip.md (small).
# usage: [BENCH_SIZE=small|full] [BENCH_TOOLS="gbuild buildah docker"] [BENCH_DIR=DIR] scripts/bench-pip.sh GBUILD
# full installs 1.9 GB, small 150 MB. BENCH_DIR keeps the base and the wheels; full needs 10 GB there. Docker is measured
# as root only.
set -eu
cd "$(dirname "$0")/.."
gbuild=$(realpath "$1")
size=${BENCH_SIZE:-full}
dir=${BENCH_DIR:-/var/tmp/gbuild-bench-$(id -u)}
page=$dir/benchmarks-pip.md
[ "$size" != full ] || page=$PWD/docs/benchmarks-pip.md
for tool in docker-registry mmdebstrap apt-get dpkg-deb curl; do
    command -v $tool >/dev/null || { echo "bench-pip: needs $tool (scripts/setup.sh installs it)" >&2; exit 1; }
done
mkdir -p "$dir"
work=$(mktemp -d "$dir/pip.XXXXXX")
wheels=$dir/wheels-$size
say() { echo "bench-pip: $*" >&2; }

. scripts/registry.sh
. scripts/builders.sh
pids=
# remove deletes a directory, with the mounts that a builder left there.
remove() {
    awk -v dir="$1/" 'index($2, dir) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r umount || true
    chmod -R u+rwX "$1" 2>/dev/null || true
    rm -rf "$1"
}
finish() {
    stop_docker
    [ -z "$pids" ] || kill $pids 2>/dev/null || true
    remove "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

say "making wheels, a base, and an index and a registry on loopback"
python3 scripts/wheels.py make "$wheels" "$size"
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
RUN date +began=%s.%N && pip install --no-cache-dir --progress-bar off -r /requirements.txt && date +ended=%s.%N
CMD ["python3"]
DOCKERFILE
require() { sed "s/^bumped==.*/bumped==$1/" "$wheels/requirements.txt" >"$work/context/requirements.txt"; }

# stored is how many bytes of blobs the registry has, fetched how many of blobs were read from it.
stored() { find "$work/registry/data" -path '*/blobs/*' -name data -printf '%s\n' | awk '{ n += $1 } END { printf "%.0f", n }'; }
fetched() { awk '/"GET [^"]*\/blobs\/.* 200 / { n += $10 } END { printf "%.0f", n }' "$work/registry/log"; }

# measure BUILDER WHAT COMMAND... runs a build and adds a row. When pip began and ended is in what the build prints.
measure() {
    builder=$1 what=$2
    shift 2
    up=$(stored) down=$(fetched)
    : >"$work/index.log"
    sync # what the one before wrote is not to be this one's burden
    began=$(date +%s.%N)
    if ! "$@" >"$work/log" 2>&1; then
        say "$builder: $what: failed:"
        tail -20 "$work/log" >&2
        echo "| $what | $builder | failed |" >>"$work/rows"
        return 1
    fi
    ended=$(date +%s.%N)
    pip=$(grep -o '\(began\|ended\)=[0-9.]*' "$work/log" | cut -d= -f2 | tr '\n' ' ')
    awk -v row="| $what | $builder |" -v times="$began $ended $pip" -v up=$(($(stored) - up)) -v down=$(($(fetched) - down)) '
        function mb(n) { return n && n < 1e5 ? sprintf("%.1f kB", n / 1e3) : sprintf(n && n < 1e7 ? "%.2f MB" : "%.0f MB", n / 1e6) }
        /^200 \/files\// { wheels++; bytes += $3 }
        END {
            split(times, t, " ")
            pip = t[4] ? sprintf("%.1f s | %.2f s", t[4] - t[3], t[2] - t[4]) : "– | –"
            printf "%s %.2f s | %s | %s | %s | %d (%s) |\n", row, t[2] - t[1], pip, mb(up), mb(down), wheels, mb(bytes)
        }' "$work/index.log" >>"$work/rows"
    tail -1 "$work/rows" >&2
}

# scenarios BUILDER: what happens to a team that uses it.
scenarios() {
    require 1.0
    measure "$1" "nothing stored" "build_$1" app || return 0
    require 1.1
    measure "$1" "one requirement changed" "build_$1" app || return 0
    measure "$1" "nothing changed" "build_$1" app || return 0
    share_"$1" >"$work/log" 2>&1 || return 0
    forget_"$1"
    measure "$1" "nothing stored, steps in the registry" "cached_$1" copy || true
    [ "$1" = gbuild ] || return 0
    forget_"$1"
    measure "$1" "nothing stored, pip's cache in the registry" "mounted_$1" again || true
}

# layers prints the layers of a manifest in the registry: digests and sizes.
layers() {
    curl -fsS -H 'Accept: application/vnd.oci.image.manifest.v1+json' "http://$registry/v2/$1" |
        python3 -c 'import json, sys; [print(l["digest"], l["size"]) for l in json.load(sys.stdin)["layers"]]'
}

versions=
for tool in ${BENCH_TOOLS:-gbuild buildah docker}; do
    if start_"$tool" >"$work/log" 2>&1; then
        scenarios "$tool"
        forget_"$tool"
        stop_docker
        versions="$versions; $version"
    else
        say "$tool: left out: $why"
    fi
done

say "an image of gbuild elsewhere, and in other tools"
image=$(layers gbuild/app/manifests/latest | awk '{ n += $2 } END { print n }')
# installed IMAGE prints the digests of the layers that pip's step became, without those of the base and of the COPY.
installed() { layers "gbuild/$1/manifests/latest" | cut -d' ' -f1 | tail -n +$((base + 2)); }
base=$(layers base/python/manifests/1 | wc -l)
installed app >"$work/app"
same() { installed "$1" | cmp -s - "$work/app" && echo "the same, byte for byte," || echo "NOT the same"; }
build_elsewhere elsewhere >"$work/log" 2>&1 || { tail -20 "$work/log" >&2; exit 1; }
taken=$(takers "$registry/gbuild/app" 2>"$work/log" | paste -sd, | sed 's/,/, /g')
{
    cat <<PAGE
# What one changed requirement costs

Written by \`make bench-pip\`; do not edit. One Dockerfile installs $(wc -l <"$wheels/requirements.txt") packages with \`pip install --no-cache-dir\` and mounts no cache; its image
has $((image / 1000000)) MB of layers. Then one small requirement changes (tens of kilobytes). Each build ends with the image in the registry. Registry and index are on
loopback; what was uploaded is what the registry has more than before, what was downloaded is by the logs of registry and index.

Measured on $(date -u +%F), size $size, $(nproc) processors$versions.

| machine and change | builder | build and push | of that pip | after pip | uploaded | from the registry | wheels from the index |
|---|---|--:|--:|--:|--:|--:|--:|
PAGE
    for what in "one requirement changed" "nothing changed" "nothing stored" "nothing stored, steps in the registry" "nothing stored, pip's cache in the registry"; do
        grep -F "| $what |" "$work/rows"
    done
    cat <<PAGE

- With steps in the registry the others were given what they have for it: buildah \`--cache-to\` and \`--cache-from\`, Docker an inline cache.
- With pip's cache in the registry (\`--cache-mounts-from\`) only gbuild can be measured. The layers that this machine made of the RUN are $(same again)
  as those that the first one had pushed. Those that another user made in another directory, where pip's clock was 400 days ahead, are $(same elsewhere) as well.
- The RUN became $(wc -l <"$work/app") layers. The image was pulled by: $taken.
PAGE
} >"$page"
cat "$page"
say "the page: $page"
