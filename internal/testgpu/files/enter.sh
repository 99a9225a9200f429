#!/bin/sh
# enter.sh HOST COMMAND…: runs a command where the machine looks like a host with GPUs. HOST is a directory with what that host has:
# root/ is laid over this machine's files, proc/ stands for /proc/driver/nvidia, and nodes lists the devices below /dev.
# Root has namespaces of mounts and processes of its own for that, and everybody else is root in a user namespace of their own, too.
set -eu
host=$1
if [ -z "${_GPU_HOST:-}" ]; then
    export _GPU_HOST=1
    [ "$(id -u)" = 0 ] && exec unshare --mount --propagation private --pid --fork --kill-child sh "$0" "$@"
    exec unshare --user --map-root-user --map-auto --mount --pid --fork --kill-child sh "$0" "$@"
fi
unset _GPU_HOST
shift
here=$PWD new=$host/new
# A root directory in memory shows this machine's directories. Some of them are in memory, too, with what is in them, so that commands that
# make directories of their own there leave none behind.
own='/home /media /mnt /opt /root /run /srv'
show() {
    for at in "$1"/* "$1"/.[!.]*; do
        case " $own /dev /proc /old " in *" $at "*) continue ;; esac
        if [ -L "$at" ]; then
            ln -s "$(readlink "$at")" "$new$at"
        elif [ -d "$at" ]; then
            mkdir "$new$at"
            mount --rbind "$at" "$new$at"
        elif [ -e "$at" ]; then
            : >"$new$at"
            mount --bind "$at" "$new$at"
        fi
    done
}
mkdir -p "$new"
mount -t tmpfs -o mode=755 root "$new"
show ''
for dir in $own; do
    mkdir "$new$dir"
    show "$dir"
done
mkdir "$new/proc" "$new/dev" "$new/old" "$new/.proc"
# /proc has a file system over a part of it, as inside of a GPU container; there is another one that has not, so that sandboxes can have theirs.
mount -t proc proc "$new/proc"
mount -t proc proc "$new/.proc"
mount -t tmpfs driver "$new/proc/driver"
cp -r "$host/proc" "$new/proc/driver/nvidia"
mount -t tmpfs -o mode=755 dev "$new/dev"
for name in null zero full random urandom tty net/tun fuse $(cat "$host/nodes"); do
    from=/dev/$name
    [ -e "$from" ] || from=/dev/null
    mkdir -p "$new/dev/${name%/*}" 2>/dev/null || :
    [ -d "$new/dev/$name" ] && rmdir "$new/dev/$name"
    : >"$new/dev/$name"
    mount --bind "$from" "$new/dev/$name"
done
mkdir "$new/dev/pts" "$new/dev/shm" "$new/dev/mqueue"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts "$new/dev/pts"
mount -t tmpfs -o mode=1777 shm "$new/dev/shm"
ln -s pts/ptmx "$new/dev/ptmx"
ln -s /proc/self/fd "$new/dev/fd"
for n in 0 1 2; do ln -s "/proc/self/fd/$n" "$new/dev/$(echo stdin stdout stderr | cut -d ' ' -f $((n + 1)))"; done
# What is laid over a directory is merged with it.
while read -r dir; do
    mkdir -p "$new/$dir" 2>/dev/null || :
    mount -t overlay -o "lowerdir=$host/root/$dir:$new/$dir" merged "$new/$dir"
done <"$host/merged"
cd "$new"
pivot_root . old
cd /
umount -l /old
rmdir /old
cd "$here"
exec "$@"
