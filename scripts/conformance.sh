#!/bin/sh
# Runs the conformance cases on gbuild in several places, one after the other; a place that this machine cannot make is left
# out, and said. Cases that testdata/conformance/pending.txt names for a place are left out there.
# usage: [PLACES='self tester'] scripts/conformance.sh GBUILD [GLOB]
#   self      who calls this script
#   tester    the ordinary user that setup.sh made
#   single    a user without subordinate ids: one that Debian has for a web server
#   pod       a user in a container of Docker, without a filter of system calls and without a way to more rights
#   confined  the same behind Docker's filter and without capabilities, where only cases without a RUN can be built; the state is
#             in the container's own root, which is an overlay
set -eu
gbuild=$(realpath "$1") only=${2:-*}
cd "$(dirname "$0")/.."
user=${GBUILD_TEST_USER:-tester}
. scripts/registry.sh
. scripts/engine.sh

work=$(mktemp -d)
registry_pid=
image=gbuild-conformance:$$
finish() {
    [ -z "$registry_pid" ] || kill "$registry_pid"
    docker rmi --force "$image" >/dev/null 2>&1 || true
    stop_engine
    rm -rf "$work"
}
trap finish EXIT
chmod 0755 "$work"
cp -r testdata/conformance "$work/suite"    # where the ordinary user can read it
cp "$gbuild" "$work/gbuild"
chmod -R a+rX "$work"

start_registry "$work/registry"
"$work/suite/mkbase.sh" "$work/base" "$registry"

# choose PLACE makes the directory of the cases that are expected to pass there.
choose() {
    mkdir "$work/suite/$1"
    cp "$work"/suite/cases/*.txtar "$work/suite/$1/"
    sed 's/ *#.*//; /^$/d' testdata/conformance/pending.txt | while read -r case places; do
        case " ${places:-$1} " in
        *" $1 "*) rm "$work/suite/$1/$case.txtar" ;;
        esac
    done
    # What a case has to do with a RUN is in its own Dockerfile, or in the triggers of its base.
    [ "$1" != confined ] || rm $(grep -liE '^[[:space:]]*(onbuild[[:space:]]+)?run([[:space:]]|$)|^FROM alpine-like-onbuild' "$work"/suite/confined/*.txtar)
    chmod -R a+rX "$work/suite/$1"
}

# suite HOME [COMMAND...]: runs the cases of the place, by way of COMMAND.
suite() {
    home=$1
    shift
    "$@" env -i PATH="$PATH" HOME="$home" LC_ALL=C.UTF-8 GBUILD="$work/gbuild" TMPDIR="${TMPDIR:-/tmp}" "$python" "$work/suite/run.py" \
        --builder gbuild --cases "$work/suite/$place" --registry "$registry" --only "$only"
}

# contained OPTION...: runs a command in a container with the programs of this machine.
contained() {
    docker run --rm --network host --user 1000:1000 --security-opt no-new-privileges -v /usr:/usr:ro -v "$work:$work" -w / "$@"
}

# make_image makes the image of that container: names for mounts and links, and what programs look up.
make_image() {
    mkdir -p "$work/root/etc" "$work/root/usr" "$work/root/proc" "$work/root/sys" "$work/root/dev" "$work/root/tmp" "$work/pod"
    chmod 1777 "$work/root/tmp" "$work/pod"
    cp -a /bin /sbin /lib* "$work/root/"
    cp -aL /etc/passwd /etc/group /etc/ld.so.cache "$work/root/etc/"
    cp -a /etc/alternatives "$work/root/etc/"
    getent passwd 1000 >/dev/null || echo user:x:1000:1000::/:/bin/sh >>"$work/root/etc/passwd"
    tar -C "$work/root" -c . | docker import - "$image" >/dev/null
}

# in_place runs the cases in the place.
in_place() {
    case $place in
    self) suite "$HOME" ;;
    tester) suite "$(getent passwd "$user" | cut -d: -f6)" setpriv --reuid "$user" --regid "$user" --init-groups ;;
    single) suite /nonexistent setpriv --reuid www-data --regid www-data --clear-groups ;;
    pod) TMPDIR=$work/pod suite /nonexistent contained --security-opt seccomp=unconfined "$image" ;;
    confined) TMPDIR=/tmp suite /nonexistent contained --cap-drop ALL "$image" ;;
    esac
}

# lacking NAME says what this machine lacks for the place.
lacking() {
    [ "$1" = self ] || [ "$(id -u)" -eq 0 ] || { echo "root can make it only"; return; }
    case $1 in
    tester) id "$user" >/dev/null 2>&1 || echo "there is no user $user" ;;
    pod | confined) docker info >/dev/null 2>&1 || echo "no Docker Engine answers" ;;
    esac
}

# The python of PATH may be one that only root can read.
python=/usr/bin/python3
[ -x "$python" ] || python=$(command -v python3)
status=0
chosen=${PLACES:-self tester single pod confined}
case " $chosen " in
*" pod "* | *" confined "*) start_engine "$work.engine" ;;
esac
for place in $chosen; do
    lacks=$(lacking "$place")
    if [ -n "$lacks" ]; then
        echo "== $place: left out: $lacks"
        continue
    fi
    echo "== $place"
    case $place in
    pod | confined) [ -d "$work/root" ] || make_image ;;
    esac
    choose "$place"
    ls "$work/suite/$place"/$only.txtar >/dev/null 2>&1 || { echo "no case of $only is for this place"; continue; }
    in_place || status=1
done
exit $status
