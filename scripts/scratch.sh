#!/bin/sh
# Runs a command; where it helps, with /tmp and /var/tmp on a file system of their own, which is gone afterwards.
# It helps where these are an ext4 without a journal, as disks of virtual machines are: the kernel gives no file a number there that
# another one had in the last minutes, and looks at all of those for each new file, which tests make and remove by thousands.
# A Docker Engine that runs already would not find files there; then, and where nothing can be mounted, the command has the usual ones.
# usage: scripts/scratch.sh COMMAND...
set -eu

# helps says whether the directory is on such a file system, and nobody else is to see what is in it.
helps() {
    [ "$(id -u)" -eq 0 ] && [ "$(findmnt -no FSTYPE -T "$1")" = ext4 ] &&
        [ "$(cat "/sys/fs/ext4/$(basename "$(findmnt -nvo SOURCE -T "$1")")/journal_task")" = '<none>' ] && ! docker info
} >/dev/null 2>&1

# scratch mounts the file system, in this process' namespace alone. What else the command needs stays where it is.
scratch() {
    file=$(mktemp /var/tmp/gbuild-scratch.XXXXXX)
    truncate -s 32G "$file" # of which it takes what is written
    mkfs.ext4 -qF -m 0 "$file" && mount -o loop,nobarrier "$file" /mnt || { rm "$file"; return 1; }
    rm "$file"
    mkdir -p /mnt/tmp /mnt/var/tmp
    chmod 1777 /mnt/tmp /mnt/var/tmp
    for kept in "$PWD" "$HOME" $(go env GOROOT GOCACHE GOMODCACHE) "${GBUILD_TEST_CACHE:-}" /var/tmp/gbuild-test-*; do
        case $kept in
        /tmp/* | /var/tmp/*) [ ! -d "$kept" ] || { mkdir -p "/mnt$kept" && mount --rbind "$kept" "/mnt$kept"; } ;;
        esac
    done
    mount --rbind /mnt/tmp /tmp
    mount --rbind /mnt/var/tmp /var/tmp
    umount -Rl /mnt
}

if [ "$1" = --inside ]; then
    shift
    scratch || echo "scratch: no file system can be mounted: going on in /tmp" >&2
elif helps /var/tmp && [ "$(stat -c %d /tmp)" = "$(stat -c %d /var/tmp)" ]; then
    exec unshare --mount "$0" --inside "$@"
fi
exec "$@"
