// This file owns the table of places.

package testplaces

import "slices"

// places are in the order of the page.
var places = []place{
	{name: "root", title: "root on the machine",
		want: want{mode: "root"}},
	{name: "root-no-userns", title: "root, user.max_user_namespaces = 0",
		around: [][]string{{"$WORLD/self", idsWord}, shell("echo 0 > /proc/sys/user/max_user_namespaces")},
		want:   want{mode: "root", says: []string{"user.max_user_namespaces is 0", "sudo sysctl -w user.max_user_namespaces"}}},
	{name: "root-no-sysadmin", title: "root without CAP_SYS_ADMIN", around: [][]string{without("-sys_admin")},
		want: want{mode: "root"}},
	{name: "root-no-setfcap", title: "root without CAP_SETFCAP", around: [][]string{without("-setfcap")},
		want: want{mode: "root", says: []string{"it has no CAP_SETFCAP", "--cap-add SETFCAP"}}},
	{name: "root-no-caps", title: "root without any capability", around: [][]string{without("-all")},
		want: want{mode: "norun", b: 64, c: 64, says: []string{"it has no CAP_SETUID, CAP_SETGID, CAP_SETFCAP", "capabilities.add: [SETUID, SETGID, SETFCAP]"}}},
	{name: "root-chroot", title: "root in a chroot", tree: true, around: [][]string{prepared(fillRoot), {"chroot", "$DIR.root"}},
		want: want{mode: "root", says: []string{"this is a chroot", "root of this machine"}}},
	{name: "root-no-cgroup", title: "no control groups mounted", around: [][]string{prepared("umount -R -l /sys/fs/cgroup")},
		want: want{mode: "root"}},
	{name: "root-no-sys", title: "no /sys mounted", around: [][]string{prepared("umount -R -l /sys")},
		want: want{mode: "root"}},
	{name: "root-no-proc", title: "no /proc mounted", around: [][]string{prepared("umount -R -l /proc")},
		want: want{mode: "norun", b: 64, c: 64, says: []string{"there is no /proc here", "mount -t proc proc /proc"}}},
	{name: "root-no-tun", title: "no /dev/net/tun", around: [][]string{prepared("mount -t tmpfs none /dev/net")},
		want: want{mode: "root"}},

	{name: "user", title: "a user with subordinate ids", needs: userIDs, around: [][]string{asOrdinary},
		want: want{mode: "rootless"}},
	{name: "user-bare", title: "a user with subordinate ids, umask 077 and 64 open files", needs: userIDs, around: [][]string{asOrdinary, shell("umask 077; ulimit -n 64")},
		want: want{mode: "rootless"}},
	{name: "user-ubuntu", title: "a user of Ubuntu 24.04: AppArmor lets namespaces be made, and nothing be mounted in them (by a filter that does the same)", needs: userIDs,
		around: [][]string{behind("no-mounts"), asOrdinary},
		want:   want{mode: "norun", b: 64, c: 64, says: []string{"nothing may be mounted in it here"}}},
	{name: "user-no-new-privs", title: "a user with subordinate ids under no_new_privs", needs: userIDs,
		around: [][]string{slices.Concat(asOrdinary, []string{"--no-new-privs"})},
		want:   want{mode: "rootless-single", says: []string{"no_new_privs is set", "allowPrivilegeEscalation: true"}}},
	{name: "user-no-ids", title: "a user without subordinate ids (a node of a cluster)", around: [][]string{as("4321", "4321")},
		want: want{mode: "rootless-single", says: []string{"isolation rootless-single", "uid 4321 has no account here"}}},
	{name: "slurm", title: "a job of Slurm, of a user without subordinate ids", needs: []string{"slurm"}, around: [][]string{inJob},
		want: want{mode: "rootless-single", says: []string{"isolation rootless-single", "www-data has no subordinate ids", "usermod --add-subuids"}}},
	{name: "user-no-ids-no-new-privs", title: "a user without subordinate ids under no_new_privs", around: [][]string{as("4321", "4321", "--no-new-privs")},
		want: want{mode: "rootless-single", says: []string{"isolation rootless-single", "no_new_privs is set"}}},
	{name: "user-no-supervisor", title: "a user without subordinate ids where system calls cannot be answered", around: [][]string{behind("no-supervisor"), as("4321", "4321")},
		want: want{mode: "fake", agent: 1, says: []string{"isolation fake", "every file that is made belongs to root"}}},
	{name: "user-chroot", title: "a user in a chroot", tree: true,
		around: [][]string{prepared(fillRoot), {"chroot", "--userspec", "4321:4321", "$DIR.root"}},
		want:   want{mode: "norun", b: 64, c: 64, says: []string{"this is a chroot", "outside of the chroot"}}},
	{name: "user-no-cgroup", title: "a user, no control groups mounted", needs: userIDs, around: [][]string{prepared("umount -R -l /sys/fs/cgroup"), asOrdinary},
		want: want{mode: "rootless"}},
	{name: "user-home-unset", title: "no HOME, no --root", needs: userIDs, around: [][]string{asOrdinary},
		env:  []string{"HOME=", "GBUILD_ROOT=", "GBUILD_CACHE_DIR=", "TMPDIR=$DIR/area"},
		want: want{mode: "rootless", says: []string{"HOME is not set, or cannot be written: the state is in $DIR/area/gbuild-", "GBUILD_ROOT"}}},
	{name: "user-home-unwritable", title: "a HOME that cannot be written", needs: userIDs, around: [][]string{asOrdinary},
		env:  []string{"HOME=/usr", "GBUILD_ROOT=", "GBUILD_CACHE_DIR=", "TMPDIR=$DIR/area"},
		want: want{mode: "rootless", says: []string{"HOME is not set, or cannot be written: the state is in $DIR/area/gbuild-", "GBUILD_ROOT"}}},

	{name: "nested-one-id-root", title: "root in a namespace with one id (unshare -Ur)", around: [][]string{{"unshare", "--user", "--map-root-user"}},
		want: want{mode: "rootless-single", says: []string{"the user namespace around this process has but one id", "--map-auto"}}},
	{name: "nested-one-id-user", title: "a user in a namespace with one id (unshare -Ur)", needs: userIDs, around: [][]string{asOrdinary, {"unshare", "--user", "--map-root-user"}},
		want: want{mode: "rootless-single", says: []string{"the user namespace around this process has but one id", "--map-auto"}}},
	{name: "nested-all-ids", title: "root in a namespace with many ids (podman unshare)", needs: userIDs,
		around: [][]string{asOrdinary, {"unshare", "--map-root-user", "--map-auto"}},
		want:   want{mode: "root"}},

	{name: "state-small", title: "the state on a tmpfs that is smaller than the base", around: [][]string{prepared("mount -t tmpfs -o size=1m,mode=777 none $DIR/area")},
		want: want{mode: "root", a: 1, b: 1, c: 1, says: []string{"no space left on device", "gbuild prune"}}},
	{name: "state-small-norun", title: "a state that is smaller than the base, with --isolation=norun", around: [][]string{prepared("mount -t tmpfs -o size=1m,mode=777 none $DIR/area")},
		env:  []string{"GBUILD_ISOLATION=norun"},
		want: want{mode: "norun", b: 64, c: 64, says: []string{"the isolation norun was asked for"}}},
	{name: "state-noexec", title: "the state on noexec, nosuid, nodev", needs: userIDs,
		around: [][]string{prepared("mount --bind $DIR/area $DIR/area; mount -o remount,bind,noexec,nosuid,nodev $DIR/area"), asOrdinary},
		want:   want{mode: "rootless"}},
	{name: "state-overlay", title: "the state on overlay", needs: userIDs,
		around: [][]string{prepared("mkdir -p $DIR/l $DIR/u $DIR/w; chmod 777 $DIR/u; mount -t overlay -o lowerdir=$DIR/l,upperdir=$DIR/u,workdir=$DIR/w none $DIR/area"), asOrdinary},
		want:   want{mode: "rootless"}},
	{name: "state-fuse", title: "the state on FUSE", needs: []string{"fuse-overlayfs"},
		around: [][]string{prepared("mkdir -p $DIR/l $DIR/u $DIR/w; fuse-overlayfs -o timeout=0,lowerdir=$DIR/l,upperdir=$DIR/u,workdir=$DIR/w $DIR/area 2>&-")},
		want:   want{mode: "root"}},

	{name: "docker-root", title: "Docker, default options, root", needs: docker, image: "setuid", around: [][]string{inDocker()},
		want: want{mode: "chroot", says: inChroot}},
	{name: "docker-root-overlay", title: "Docker, default options, root, the state in the container's own root", needs: docker, image: "setuid", around: [][]string{inDocker()}, env: ownState,
		want: want{mode: "chroot", says: inChroot}},
	{name: "docker-own", title: "Docker, default options, root, gbuild's own image", needs: docker, image: "own", around: [][]string{inDocker()},
		want: want{mode: "inplace", says: inPlace}},
	{name: "docker-own-overlay", title: "Docker, default options, root, gbuild's own image, the state in the container's own root", needs: docker, image: "own",
		around: [][]string{inDocker()}, env: []string{"GBUILD_ROOT=/.gbuild/state", "GBUILD_CACHE_DIR=/.gbuild/caches"},
		want: want{mode: "inplace", says: inPlace}},
	{name: "docker-user", title: "Docker, default options, a user", needs: docker, image: "setuid", around: [][]string{inDocker(asApp)},
		want: want{mode: "norun", b: 64, c: 64, says: []string{"the system call filter of this container forbids it", "seccomp=unconfined", "seccompProfile Unconfined"}}},
	{name: "docker-user-overlay", title: "Docker, default options, a user, the state in the container's own root", needs: docker, image: "setuid",
		around: [][]string{inDocker(asApp)}, env: ownState,
		want: want{mode: "norun", b: 64, c: 64, says: []string{"the system call filter of this container forbids it", "seccomp=unconfined", "seccompProfile Unconfined"}}},
	{name: "docker-unconfined", title: "Docker, seccomp=unconfined, root", needs: docker, image: "setuid", around: [][]string{inDocker(unconfined)},
		want: want{mode: "root", says: []string{"sees its processes", "systempaths=unconfined"}}},
	{name: "docker-unconfined-proc", title: "Docker, seccomp=unconfined and systempaths=unconfined, root", needs: docker, image: "setuid",
		around: [][]string{inDocker(unconfined, unmasked)},
		want:   want{mode: "root"}},
	{name: "docker-bare", title: "Docker, both unconfined, root, an image with gbuild and a shell only", needs: docker, image: "bare",
		around: [][]string{inDocker(unconfined, unmasked)},
		want:   want{mode: "root"}},
	{name: "docker-unconfined-user", title: "Docker, seccomp=unconfined, a user, newuidmap with setuid", needs: docker, image: "setuid",
		around: [][]string{inDocker(unconfined, asApp)},
		want:   want{mode: "rootless-single", says: []string{"needs CAP_SYS_ADMIN", "setcap cap_setuid=ep /usr/bin/newuidmap", "sees its processes"}}},
	{name: "docker-unconfined-user-filecaps", title: "Docker, seccomp=unconfined, a user, newuidmap with file capabilities", needs: docker, image: "filecaps",
		around: [][]string{inDocker(unconfined, asApp)},
		want:   want{mode: "rootless", says: []string{"sees its processes", "systempaths=unconfined"}}},
	{name: "docker-unconfined-user-proc", title: "Docker, seccomp=unconfined and systempaths=unconfined, a user, newuidmap with file capabilities", needs: docker, image: "filecaps",
		around: [][]string{inDocker(unconfined, unmasked, asApp)},
		want:   want{mode: "rootless"}},
	{name: "docker-p6", title: "Docker, seccomp=unconfined, a user, no-new-privileges", needs: docker, image: "setuid",
		around: [][]string{inDocker(unconfined, noNewPrivileges, asApp)},
		want:   want{mode: "rootless-single", says: []string{"isolation rootless-single", "no_new_privs is set", "sees its processes"}}},
	{name: "docker-p6-proc", title: "Docker, seccomp=unconfined and systempaths=unconfined, a user, no-new-privileges", needs: docker, image: "setuid",
		around: [][]string{inDocker(unconfined, unmasked, noNewPrivileges, asApp)},
		want:   want{mode: "rootless-single", says: []string{"isolation rootless-single", "no_new_privs is set"}}},
	{name: "docker-p7", title: "a restricted pod: a user, no capabilities, no-new-privileges, default filter", needs: docker, image: "bare",
		around: [][]string{inDocker(restricted, asApp)},
		want:   want{mode: "norun", b: 64, c: 64, says: []string{"the system call filter of this container forbids it", "seccomp=unconfined", "seccompProfile Unconfined"}}},
	{name: "docker-p7-overlay", title: "a restricted pod, the state in the container's own root", needs: docker, image: "bare",
		around: [][]string{inDocker(restricted, asApp)}, env: ownState,
		want: want{mode: "norun", b: 64, c: 64, says: []string{"the system call filter of this container forbids it", "seccomp=unconfined", "seccompProfile Unconfined"}}},
	{name: "docker-p7-ptrace", title: "a restricted pod whose image has proot, with --isolation=ptrace", needs: []string{"docker", "proot"}, image: "proot",
		around: [][]string{inDocker(restricted, asApp)}, env: []string{"GBUILD_ISOLATION=ptrace"},
		want: want{mode: "ptrace", says: []string{"isolation ptrace, which was asked for", "changes of owners are lost"}}},
	{name: "docker-openshift", title: "a pod of OpenShift: uid 54321, gid 0, HOME=/, restricted", needs: docker, image: "bare",
		around: [][]string{inDocker(restricted, []string{"--user", "54321:0"})}, env: []string{"HOME=/", "GBUILD_ROOT=", "GBUILD_CACHE_DIR=", "TMPDIR=$DIR/area"},
		want: want{mode: "norun", b: 64, c: 64, says: []string{"the state is in $DIR/area/gbuild-54321", "seccompProfile Unconfined"}}},
	{name: "docker-privileged-user", title: "Docker, --privileged's rights, a user", needs: docker, image: "setuid",
		around: [][]string{inDocker(unconfined, unmasked, admin, asApp)},
		want:   want{mode: "rootless"}},
	{name: "docker-gpus", title: "a GPU pod, --privileged's rights, root: NVIDIA's runtime has covered a part of /proc (by a mount that does the same)", needs: docker, image: "setuid",
		around: [][]string{inDocker(unconfined, unmasked, admin), shell("mount -t tmpfs none /proc/driver")},
		want:   want{mode: "root"}},

	{name: "podman", title: "podman without root, default options, root inside", needs: podman, tree: true, around: [][]string{asOrdinary, inPodman()},
		want: want{mode: "root", says: []string{"sees its processes", "the name of a host cannot be set"}}},
	{name: "podman-unmasked", title: "podman without root, unmask=ALL", needs: podman, tree: true,
		around: [][]string{asOrdinary, inPodman("--security-opt", "unmask=ALL")},
		want:   want{mode: "root", says: []string{"the name of a host cannot be set"}}},
	{name: "podman-privileged", title: "podman without root, --privileged", needs: podman, tree: true, around: [][]string{asOrdinary, inPodman("--privileged")},
		want: want{mode: "root"}},
}

// Options of docker run that people are told to give.
var (
	docker          = []string{"docker"}
	userIDs         = []string{"user"}
	podman          = []string{"user", "podman"}
	unconfined      = []string{"--security-opt", "seccomp=unconfined"}
	unmasked        = []string{"--security-opt", "systempaths=unconfined"}
	noNewPrivileges = []string{"--security-opt", "no-new-privileges"}
	restricted      = []string{"--cap-drop", "ALL", "--security-opt", "no-new-privileges"}
	admin           = []string{"--cap-add", "SYS_ADMIN"}
	asApp           = []string{"--user", "1000:1000"}
	inChroot        = []string{"isolation chroot: ", "the system call filter of this container forbids it", "there is no /proc", "seccomp=unconfined", "seccompProfile Unconfined"}
	inPlace         = []string{"isolation inplace: ", "the system call filter of this container forbids it", "sees its processes", "seccomp=unconfined", "seccompProfile Unconfined"}
	ownState        = []string{"GBUILD_ROOT=/tmp/state", "GBUILD_CACHE_DIR=/tmp/caches"}
)

// fillRoot gives the tree of a chroot what every system has.
const fillRoot = `cat /etc/resolv.conf > $DIR.root/etc/resolv.conf; mkdir -p $DIR.root$DIR $DIR.root$WORLD; mount --rbind $WORLD $DIR.root$WORLD
mount -t proc proc $DIR.root/proc; mount --rbind /dev $DIR.root/dev; mount --rbind /sys $DIR.root/sys`
