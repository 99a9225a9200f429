#!/bin/sh
# Installs what gbuild is compiled with for an architecture, in a Debian of any. usage: compilers.sh ARCH
set -eu
arch=$1 native=$(dpkg --print-architecture)
. "$(dirname "$0")/triplet.sh"
gcc=gcc
if [ "$arch" != "$native" ]; then
    dpkg --add-architecture "$arch"
    gcc=gcc-$(triplet "$arch" | tr _ -)
fi
apt-get update
apt-get install -y --no-install-recommends "$gcc" "libc6-dev:$arch" "libseccomp-dev:$arch" make pkg-config
rm -rf /var/lib/apt/lists/*
