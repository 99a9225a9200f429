#!/bin/sh
# gbuild builds its own Dockerfile, on a machine that reaches Debian's mirror but no image registry and no module proxy:
# the golang image is a Debian root with this machine's Go, and the modules are those of this machine. The image for another architecture
# is compiled and put together as well; it is executed where qemu-aarch64-static is installed. usage: scripts/selfbuild.sh GBUILD
set -eu
gbuild=$(realpath "$1")
cd "$(dirname "$0")/.."
dir=${GBUILD_DEMO_DIR:-/var/tmp/gbuild-demo-$(id -u)}
mkdir -p "$dir"
work=$(mktemp -d)
registry_pid=
trap '[ -z "$registry_pid" ] || kill "$registry_pid"; rm -rf "$work"' EXIT
. scripts/registry.sh
start_registry "$work/registry"

gbuild() { "$gbuild" --root "$dir/state" --cache-dir "$dir/caches" "$@"; }

debian=$registry/base/debian:1 golang=$registry/base/golang:1
go run ./internal/testimage/demo base "$dir" "$debian"
printf 'FROM debian\nCOPY --from=goroot / /usr/local/go/\nENV PATH=/usr/local/go/bin:$PATH\n' >"$work/Dockerfile"
gbuild build -f "$work/Dockerfile" --build-context "debian=docker-image://$debian" \
    --build-context "goroot=$(go env GOROOT)" -t "$golang" --push "$work"
build_self() {
    gbuild build --build-arg GO_IMAGE=golang --build-context "golang=docker-image://$golang" \
        --build-arg DEBIAN_IMAGE=debian --build-context "debian=docker-image://$debian" \
        --build-context "modules=$(go env GOMODCACHE)/cache/download" --build-arg VERSION=self "$@" .
}
build_self -t gbuild:self
gbuild run gbuild:self version

build_self --platform linux/arm64 -o "type=tar,dest=$work/arm64.tar"
mkdir "$work/arm64"
tar -x -C "$work/arm64" -f "$work/arm64.tar"
for program in git ssh gbuild; do
    ! command -v qemu-aarch64-static >/dev/null || qemu-aarch64-static -L "$work/arm64" "$work/arm64/.gbuild/bin/$program" $([ $program = ssh ] && echo -V || echo version)
done
