#!/bin/sh
# Times a second build with nothing changed, beside buildah's and Docker's where they are. usage: scripts/bench.sh GBUILD
set -eu
gbuild=$(realpath "$1")
command -v hyperfine >/dev/null || { echo "bench: needs hyperfine (scripts/setup.sh installs it)" >&2; exit 1; }
work=$(mktemp -d)
trap 'chmod -R u+rwX "$work" 2>/dev/null; rm -rf "$work"' EXIT
mkdir "$work/context"
cd "$work"
busybox=$(command -v busybox)
mkdir -p root/bin
cp "$busybox" root/bin/busybox
ln -s busybox root/bin/sh
tar -C root -cf context/root.tar .
printf 'FROM scratch\nADD root.tar /\nCOPY . /src/\nRUN /bin/sh -c "echo built >/built"\nCMD ["/bin/sh"]\n' >context/Dockerfile
for i in $(seq 1 200); do echo "print($i)" >"context/file$i.py"; done

warm="$gbuild build --root $work/state --cache-dir $work/caches -q -t bench context"
$warm >/dev/null
set -- -n gbuild "$warm"
if command -v buildah >/dev/null && buildah bud --layers -q -t bench context >/dev/null 2>&1; then
    set -- "$@" -n buildah "buildah bud --layers -q -t bench context"
fi
if command -v docker >/dev/null && docker build -q -t bench context >/dev/null 2>&1; then
    set -- "$@" -n docker "docker build -q -t bench context"
fi
hyperfine --warmup 3 --runs 20 "$@"
