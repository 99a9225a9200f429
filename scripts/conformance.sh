#!/bin/sh
# Runs the conformance cases on gbuild, as root and again as the ordinary user that setup.sh made; or once, as who calls it.
# Cases that testdata/conformance/pending.txt names are left out.
# usage: scripts/conformance.sh GBUILD [GLOB]
set -eu
gbuild=$(realpath "$1") only=${2:-*}
cd "$(dirname "$0")/.."
user=${GBUILD_TEST_USER:-tester}

work=$(mktemp -d)
registry_pid=
trap '[ -z "$registry_pid" ] || kill "$registry_pid"; rm -rf "$work"' EXIT
chmod 0755 "$work"
cp -r testdata/conformance "$work/suite"    # where the ordinary user can read it
cp "$gbuild" "$work/gbuild"
sed 's/ *#.*//; /^$/d' testdata/conformance/pending.txt | while read -r case; do
    rm "$work/suite/cases/$case.txtar"
done
chmod -R a+rX "$work"

. scripts/registry.sh
start_registry "$work/registry"
"$work/suite/mkbase.sh" "$work/base" "$registry"

# suite HOME [COMMAND...]: runs the cases, by way of COMMAND.
suite() {
    home=$1
    shift
    "$@" env -i PATH="$PATH" HOME="$home" LC_ALL=C.UTF-8 GBUILD="$work/gbuild" "$python" "$work/suite/run.py" --builder gbuild \
        --cases "$work/suite/cases" --registry "$registry" --only "$only"
}

# The python of PATH may be one that only root can read.
python=/usr/bin/python3
[ -x "$python" ] || python=$(command -v python3)
status=0
echo "== as $(id -un)"
suite "$HOME" || status=1
if [ "$(id -u)" -eq 0 ] && id "$user" >/dev/null 2>&1; then
    echo "== as $user"
    suite "$(getent passwd "$user" | cut -d: -f6)" setpriv --reuid "$user" --regid "$user" --init-groups || status=1
fi
exit $status
