#!/bin/sh
# gbuild builds its own Dockerfile, on a machine that reaches Debian's mirror but no image registry and no module proxy:
# the golang image is a Debian root with this machine's Go, and the modules are those of this machine. usage: scripts/selfbuild.sh GBUILD
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
gbuild build -t gbuild:self --build-arg GO_IMAGE=golang --build-context "golang=docker-image://$golang" \
    --build-arg DEBIAN_IMAGE=debian --build-context "debian=docker-image://$debian" \
    --build-context "modules=$(go env GOMODCACHE)/cache/download" --build-arg VERSION=self .
gbuild run gbuild:self version
