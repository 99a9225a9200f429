#!/bin/sh
# Compiles the static binary for an architecture, in the directory of the project. usage: compile.sh ARCH VERSION
set -eu
. "$(dirname "$0")/triplet.sh"
triplet=$(triplet "$1")
export GOARCH="$1" CC="$triplet-gcc" PKG_CONFIG_LIBDIR="/usr/lib/$triplet/pkgconfig"
exec make build VERSION="$2"
