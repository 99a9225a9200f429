# The system calls that change, ask and imply owners, one by one, as programs call them.
import os, socket, stat, struct, subprocess, sys, tarfile

top = "/srv/calls"
os.mkdir(top)
os.chdir(top)
top_fd = os.open(top, os.O_RDONLY)


def touch(name, mode=0o644):
    with open(name, "w") as f:
        f.write(name)
    os.chmod(name, mode)
    return name


def owner(name):
    s = os.lstat(name)
    return s.st_uid, s.st_gid


# Every way to give a file away.
os.chown(touch("chown"), 11, 12)
os.lchown(touch("lchown"), 13, 14)
os.chown(touch("chown-at"), 15, 16, dir_fd=top_fd)
with open(touch("fchown")) as f:
    os.fchown(f.fileno(), 17, 18)
os.symlink("chown", "link")
os.chown("link", 19, 20, follow_symlinks=False)
os.chown("link", -1, 21)
assert owner("chown") == (11, 21) and owner("link") == (19, 20)
os.chown(touch("large"), 60000, 65534)
os.chown(touch("and-back"), 5, 6)
os.chown("and-back", 0, 0)

# Rights that a change of the owner takes, and keeps.
for mode in 0o4755, 0o2755, 0o2745, 0o6711, 0o1755:
    os.chown(touch(f"mode-{mode:o}", mode), 1000, 1000)
os.mkdir("directory-2775")
os.chmod("directory-2775", 0o2775)
os.chown("directory-2775", 1000, 2000)

# A capability in the form of an image, which a change of the owner takes.
capability = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
for name in "capable", "no-longer-capable", "capable-of-agent":
    touch(name, 0o755)
os.chown("capable-of-agent", 1000, 2000)
for name in "capable", "no-longer-capable", "capable-of-agent":
    os.setxattr(name, "security.capability", capability)
os.chown("no-longer-capable", 1000, 2000)
os.setxattr("capable", "user.note", b"kept")
assert not [n for n in os.listxattr("capable-of-agent") if n.startswith("user.")], os.listxattr("capable-of-agent")
os.setxattr("directory-2775", "user.note", b"kept, too")


def acl(*entries):
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *e) for e in entries)


anybody = 0xFFFFFFFF
touch("listed")
os.setxattr("listed", "system.posix_acl_access", acl((1, 6, anybody), (2, 4, 1000), (4, 4, anybody), (8, 6, 2000), (16, 6, anybody), (32, 4, anybody)))
os.mkdir("listing")
os.setxattr("listing", "system.posix_acl_default", acl((1, 7, anybody), (2, 7, 1000), (4, 5, anybody), (16, 7, anybody), (32, 5, anybody)))

# Names in every kind of directory, made by every kind of user.
os.mkdir("shared")
os.chown("shared", 1000, 2000)
os.chmod("shared", 0o2777)
os.mkdir("open")
os.chmod("open", 0o1777)
for directory in "shared", "open":
    for uid, gid, groups in (0, 0, []), (1000, 1000, [2000]), (33, 44, []):
        child = os.fork()
        if child == 0:
            os.setgroups(groups)
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            assert (os.getuid(), os.geteuid(), os.getgid(), os.getgroups()) == (uid, uid, gid, groups)
            at = f"{directory}/{uid}-"
            touch(at + "file")
            os.mkdir(at + "directory")
            os.mkfifo(at + "fifo")
            os.symlink("file", at + "link")
            os.link(at + "file", at + "hard")
            os.rename(touch(at + "before"), at + "renamed")
            with open(at + "exclusive", "x") as f:
                assert os.fstat(f.fileno()).st_uid == uid
            hidden = os.open(directory, os.O_TMPFILE | os.O_RDWR, 0o640)
            os.link(f"/proc/self/fd/{hidden}", at + "was-hidden", src_dir_fd=top_fd)
            socket.socket(socket.AF_UNIX).bind(at + "socket")
            if uid:
                try:
                    os.setuid(0)
                    sys.exit("root again")
                except PermissionError:
                    pass
                try:
                    os.chown(at + "file", 0, 0)
                    sys.exit("given to root")
                except PermissionError:
                    pass
            os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            sys.exit(f"as {uid} in {directory}")

# For some time only, and what a command begins with.
os.setegid(2000)
os.seteuid(1000)
touch("shared/for-some-time")
os.seteuid(0)
os.setegid(0)
touch("shared/root-again")
subprocess.run(["sh", "-c", "id; touch shared/by-command; umask 007; mkdir shared/by-umask"], user=33, group=44, extra_groups=[2000], check=True)

# An archive of all that, taken apart by root.
with tarfile.open("/tmp/all.tar", "w") as t:
    t.add("shared", filter=lambda m: None if m.type == tarfile.REGTYPE and stat.S_ISSOCK(os.lstat(m.name).st_mode) else m)
with tarfile.open("/tmp/all.tar") as t:
    t.extractall("from-archive")
os.remove("/tmp/all.tar")
