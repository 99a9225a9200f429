#!/bin/sh
# Lays out the files of the image that are not gbuild itself: Debian's programs for an architecture, moved below /.gbuild with
# the libraries that they need, certificates, and a user. Nothing of that architecture is executed here.
# usage: collect.sh ARCH ROOT DEBUG    DEBUG gets what the image with a shell has besides
set -eu
arch=$1 root=$2 debug=$3
. "$(dirname "$0")/triplet.sh"
triplet=$(triplet "$arch")
own=$root/.gbuild
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# unpack PACKAGE... fetches packages and all that they depend on, as for a machine that has nothing yet, and unpacks each into
# a directory of its own below $work/packages.
unpack() {
    mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial"
    : >"$work/status"
    cat >"$work/apt.conf" <<CONF
APT { Architecture "$arch"; Architectures { "$arch"; }; Install-Recommends "false"; Sandbox::User "root"; };
Dir { State "$work/state"; State::status "$work/status"; Cache "$work/cache"; };
CONF
    APT_CONFIG=$work/apt.conf apt-get -q update
    APT_CONFIG=$work/apt.conf apt-get -q -y install --download-only "$@"
    for deb in "$work"/cache/archives/*.deb; do
        package=$(basename "$deb" | cut -d _ -f 1)
        mkdir -p "$work/packages/$package"
        dpkg-deb -x "$deb" "$work/packages/$package"
    done
}

# find_one NAME finds a library of the packages.
find_one() {
    for dir in "$work"/packages/*/lib "$work"/packages/*/usr/lib; do
        [ ! -f "$dir/$triplet/$1" ] || { echo "$dir/$triplet/$1" && return; }
    done
    echo "no package has $1" >&2
    return 1
}

# take FILE DIR copies a file of a package, and keeps the licence of the package.
take() {
    mkdir -p "$2"
    cp --dereference "$1" "$2/"
    package=${1#"$work/packages/"}
    package=${package%%/*}
    mkdir -p "$own/share/licences"
    cp --dereference "$work/packages/$package/usr/share/doc/$package/copyright" "$own/share/licences/$package"
}

# libraries FILE takes what a program or a library needs, and leads it there.
libraries() {
    for name in $(patchelf --print-needed "$1"); do
        [ ! -e "$own/lib/$name" ] || continue
        take "$(find_one "$name")" "$own/lib"
        libraries "$own/lib/$name"
    done
    case ${1##*/} in
    ld-linux-* | libc.so.*) ;; # the loader needs nobody, and the C library the loader only
    *) patchelf --set-rpath /.gbuild/lib "$1" ;;
    esac
}

# program FILE DIR takes a program with its libraries and their loader.
program() {
    take "$1" "$2"
    set -- "$2/${1##*/}"
    loader=$(patchelf --print-interpreter "$1")
    [ -e "$own/lib/${loader##*/}" ] || take "$(find_one "${loader##*/}")" "$own/lib"
    libraries "$1"
    patchelf --set-interpreter "/.gbuild/lib/${loader##*/}" "$1"
}

unpack git openssh-client uidmap busybox-static ca-certificates
packages=$work/packages

# Git. A submodule is fetched by a script of git's, which has its shell and its tools beside it.
program "$packages/git/usr/bin/git" "$own/bin"
program "$packages/git/usr/lib/git-core/git-remote-http" "$own/libexec"
ln -s git-remote-http "$own/libexec/git-remote-https"
for script in git-submodule git-sh-setup git-sh-i18n; do
    take "$packages/git/usr/lib/git-core/$script" "$own/libexec"
done
take "$packages/busybox-static/bin/busybox" "$own/libexec"
for tool in sh basename cat dirname expr sed tr uname; do
    ln -s busybox "$own/libexec/$tool"
done
sed -i '1s,^#! */bin/sh,#!/.gbuild/libexec/sh,' "$own/libexec/git-submodule"
program "$packages/openssh-client/usr/bin/ssh" "$own/bin"

# Setuid root is of no use in a container, whose root has no CAP_SYS_ADMIN: newuidmap has capabilities instead.
for tool in newuidmap newgidmap; do
    program "$packages/uidmap/usr/bin/$tool" "$own/bin"
    chmod 0755 "$own/bin/$tool"
done
setcap cap_setuid=ep "$own/bin/newuidmap"
setcap cap_setgid=ep "$own/bin/newgidmap"

mkdir -p "$own/certs" "$root/kaniko/ssl/certs"
cat "$packages"/ca-certificates/usr/share/ca-certificates/mozilla/*.crt >"$own/certs/ca-certificates.crt"
cp "$packages/ca-certificates/usr/share/doc/ca-certificates/copyright" "$own/share/licences/ca-certificates"

# Where pipelines for kaniko look for the builder, and put credentials and certificates.
ln -s /.gbuild/certs/ca-certificates.crt "$root/kaniko/ssl/certs/ca-certificates.crt"
mkdir -p "$root/kaniko/.docker"
ln -s gbuild "$own/bin/executor"
ln -s /.gbuild/bin/gbuild "$root/kaniko/executor"

mkdir -p "$root/etc" "$root/root" "$root/home/gbuild" "$root/tmp" "$own/tmp" "$root/var/lib/gbuild"
chmod 1777 "$root/tmp" "$own/tmp" "$root/var/lib/gbuild" # whoever the container's user is
chmod 0700 "$root/root"
chown 1000:1000 "$root/home/gbuild"
printf 'root:x:0:0:root:/root:/busybox/sh\ngbuild:x:1000:1000:gbuild:/home/gbuild:/busybox/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\ngbuild:x:1000:\n' >"$root/etc/group"
for kind in uid gid; do
    echo gbuild:100000:65536 >"$root/etc/sub$kind"
done

# What of / is gbuild's image, and no part of what is built in its place. The files with a dash make room for those of the
# same names that are built: users are for who does not build in place, and a shell that runs goes on.
printf '%s\n' /.gbuild /busybox /kaniko -/etc/passwd -/etc/group -/etc/subuid -/etc/subgid -/bin/sh >"$own/image"

# The shell is where images for CI have it, with the tools that scripts of pipelines call, and where every image has one.
mkdir -p "$debug/busybox" "$debug/bin"
ln -s /busybox/sh "$debug/bin/sh"
for tool in [ ash awk base64 basename busybox cat chmod chown clear cp cut date dd df diff dirname du echo egrep env expr false \
    fgrep find fold free getopt grep gunzip gzip head hexdump hostname id kill ln ls md5sum mkdir mkfifo mktemp more mv nc nl \
    nproc nslookup od paste pidof printf ps pwd readlink realpath rm rmdir sed seq sh sha1sum sha256sum sha512sum sleep sort \
    stat strings stty sync tac tail tar tee test time timeout touch tr true truncate tty uname uniq unlink unxz unzip uptime vi \
    watch wc wget which whoami xargs xxd xz xzcat yes zcat; do
    ln -s /.gbuild/libexec/busybox "$debug/busybox/$tool"
done
