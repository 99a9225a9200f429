#!/bin/sh
# Installs what building and testing gbuild need: as root by apt; else it says what is missing and how to get it.
# As root it also opens /dev/net/tun to everyone, as udev does, and makes the ordinary user that the tests run as.
# usage: scripts/setup.sh [--demo]    --demo leaves out what only the tests use, and the user
set -eu

demo="gcc libc6-dev libseccomp-dev pkg-config uidmap busybox-static mmdebstrap docker-registry python3 git curl ca-certificates
      make zstd xz-utils bzip2 python3-six python3-yaml python3-tabulate"
tests="skopeo podman openssh-client strace attr libcap2-bin hyperfine util-linux procps python3-pip docker.io proot fuse-overlayfs jq slurmctld slurmd slurm-client"
user=${GBUILD_TEST_USER:-tester}

wanted=$demo
[ "${1:-}" = --demo ] || wanted="$demo $tests"

missing=
for package in $wanted; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' || missing="$missing $package"
done

if [ -n "$missing" ] && [ "$(id -u)" -ne 0 ]; then
    echo "setup: missing Debian packages:$missing" >&2
    echo "setup: as root: apt-get install --no-install-recommends$missing" >&2
    exit 1
fi
if [ -n "$missing" ]; then
    echo "setup: installing$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq || echo "setup: apt-get update failed; going on with the lists that are here" >&2
    apt-get install -qq -y --no-install-recommends $missing >/dev/null
fi

if ! command -v go >/dev/null; then
    echo "setup: Go is missing: see https://go.dev/doc/install (the version is in go.mod)" >&2
    exit 1
fi

if [ "$(id -u)" -ne 0 ]; then
    name=$(id -un)
    grep -q "^$name:" /etc/subuid 2>/dev/null && grep -q "^$name:" /etc/subgid 2>/dev/null || {
        echo "setup: $name has no subordinate ids; as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $name" >&2
        exit 1
    }
    exit 0
fi

# A bare machine without udev leaves the device to root only; in some containers it is missing and may not be made.
if [ ! -e /dev/net/tun ]; then
    mkdir -p /dev/net && mknod /dev/net/tun c 10 200 2>/dev/null || true
fi
chmod 0666 /dev/net/tun 2>/dev/null || echo "setup: there is no /dev/net/tun: RUN gets its network by virtual Ethernet devices" >&2

[ "${1:-}" != --demo ] || exit 0
id "$user" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$user"
for kind in uid gid; do
    grep -q "^$user:" /etc/sub$kind || usermod --add-sub${kind}s 300000-365535 "$user"
done
