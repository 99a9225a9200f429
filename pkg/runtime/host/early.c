// This file enters the namespaces of `gbuild build`, `kaniko`, `bud` and `run` before the Go runtime starts. Only a process with one thread
// can make a user namespace for itself, and Go has several threads from its start; so Enter starts the program a second
// time, which takes as long as a good part of the rest. Here a fork is enough: the child goes on into Go while the parent
// maps its ids, and the parent stays behind and waits. Every case that is less simple is left to Enter,
// which can say what is wrong.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

// What Go reads of this file, in Init and after it.
int gbuild_gate = -1; // In the child: the descriptor on which a byte comes when its ids are mapped.
int gbuild_bare;     // In the child: it is root in no user namespace of its own, since none may be made here.

static int has_prefix(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

// is_below says whether a path lies in a directory.
static int is_below(const char *path, const char *dir)
{
	return has_prefix(path, dir) && path[strlen(dir)] == '/';
}

// mount_point reads where a line of /proc/self/mountinfo mounts something, and says whether that is all of a /proc, and may be written to.
static int mount_point(const char *line, char point[4096])
{
	char root[4096], options[8];
	*point = 0;
	return sscanf(line, "%*d %*d %*s %4095s %4095s %7s", root, point, options) == 3 && !strcmp(root, "/") && strstr(line, " - proc ") &&
	       strncmp(options, "ro", 2);
}

// covers_of counts what is mounted over parts of a /proc, and keeps the first of the mount points, in their order. An empty directory that is
// there for a mount alone is no part of it.
static int covers_of(const char *proc, char *kept[], int most)
{
	char *line = NULL, point[4096];
	size_t size = 0;
	int n = 0;
	FILE *f = fopen("/proc/self/mountinfo", "re");
	while (f && getline(&line, &size, f) > 0) {
		mount_point(line, point);
		if (!is_below(point, proc) || strstr(point, "/sys/fs/binfmt_misc"))
			continue;
		if (n < most)
			kept[n] = strdup(point);
		n++;
	}
	free(line);
	if (f)
		fclose(f);
	return n;
}

// has_full_proc says whether a /proc is mounted somewhere of which nothing is covered: then the kernel allows others. For one that is
// read-only it allows only others that are, too.
static int has_full_proc(void)
{
	char *line = NULL, point[4096];
	size_t size = 0;
	int full = 0;
	FILE *f = fopen("/proc/self/mountinfo", "re");
	while (f && !full && getline(&line, &size, f) > 0)
		full = mount_point(line, point) && !covers_of(point, NULL, 0);
	free(line);
	if (f)
		fclose(f);
	return full;
}

// gbuild_uncover_proc takes away what is mounted over parts of /proc, for this thread alone, in a namespace of its own, if it is root who may do
// that. NVIDIA's runtime covers a part in every container with GPUs, also in privileged ones, and the kernel lets nobody in a user namespace
// mount a /proc who could not see all of one before.
void gbuild_uncover_proc(void)
{
	char *covers[64];
	if (geteuid() || has_full_proc() || unshare(CLONE_NEWNS) || mount("", "/", "", MS_REC | MS_SLAVE, NULL))
		return;
	int n = covers_of("/proc", covers, 64);
	while (n-- > 0)
		if (n < 64 && covers[n]) {
			umount2(covers[n], MNT_DETACH);
			free(covers[n]);
		}
}

// is_limit says whether a -m is that of a limit of memory (-m 8g), not that of python, or a -c that of a part of the processors, not
// that of a shell: a limit begins with a digit.
static int is_limit(const char *flags, const char *next)
{
	const char *m = strpbrk(flags, "mc");
	const char *value = m && m[1] ? m + 1 : next;
	return m && value && (value[0] == '=' || (value[0] >= '0' && value[0] <= '9'));
}

// names_isolation says whether an argument asks for one way of isolation.
static int names_isolation(int argc, char **argv, int i)
{
	for (; i < argc; i++)
		if (has_prefix(argv[i], "--isolation"))
			return 1;
	return 0;
}

// is_plain_run says whether the arguments of run are those of a command in the foreground, without ports and limits: a
// detached container outlives this process, and ports below 1024 are opened, limits raised and control groups made outside. What only
// looks like -d, -p or -m costs time and no more.
static int is_plain_run(int argc, char **argv, int i)
{
	for (; i < argc; i++) {
		const char *a = argv[i];
		if (a[0] == '-' && a[1] != '-' && (strpbrk(a, "dp") || is_limit(a, argv[i + 1])))
			return 0;
		if (has_prefix(a, "--detach") || has_prefix(a, "--publish") || has_prefix(a, "--memory") || has_prefix(a, "--cpu") ||
		    has_prefix(a, "--pids-limit") || has_prefix(a, "--ulimit"))
			return 0;
	}
	return 1;
}

// is_plain_build says whether the arguments of build, kaniko or bud ask for an image, and not only for what a Dockerfile says, nor for
// limits, which are raised outside.
static int is_plain_build(int argc, char **argv, int i)
{
	for (; i < argc; i++)
		if (has_prefix(argv[i], "--call") || has_prefix(argv[i], "--check") || has_prefix(argv[i], "--dryrun") || has_prefix(argv[i], "--ulimit") || has_prefix(argv[i], "--help") ||
		    !strcmp(argv[i], "-h") || !strcmp(argv[i], "help") || !strcmp(argv[i], "version"))
			return 0;
	return 1;
}

// is_executor says whether the program has the name of kaniko's, whose arguments follow without a command.
static int is_executor(const char *program)
{
	const char *name = strrchr(program, '/');
	return !strcmp(name ? name + 1 : program, "executor");
}

// wants_namespace returns how many of the arguments name the program and its command, if it is one that enters its namespaces
// here; else 0.
static int wants_namespace(int argc, char **argv)
{
	int i = 1;
	if (argc > 0 && is_executor(argv[0]))
		return !names_isolation(argc, argv, 1) && is_plain_build(argc, argv, 1);
	for (; i < argc && argv[i][0] == '-'; i++)
		if (!strcmp(argv[i], "--root") || !strcmp(argv[i], "--cache-dir"))
			i++;
	if (names_isolation(argc, argv, i))
		return 0;
	if (i < argc && (!strcmp(argv[i], "build") || !strcmp(argv[i], "kaniko") || !strcmp(argv[i], "bud")) && is_plain_build(argc, argv, i + 1))
		return i + 1;
	if (i < argc && !strcmp(argv[i], "run") && is_plain_run(argc, argv, i + 1))
		return i + 1;
	return 0;
}

// write_proc writes a file of the process below /proc, at once, as the files of maps want it.
static int write_proc(pid_t pid, const char *kind, const char *text)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/%s", pid, kind);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	int ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return ok ? 0 : -1;
}

// write_identity maps every id that this process has to itself.
static int write_identity(pid_t pid, const char *kind)
{
	char path[64], map[4096] = "";
	unsigned inside, outside, count;
	int n = 0;
	snprintf(path, sizeof path, "/proc/self/%s", kind);
	FILE *own = fopen(path, "re");
	if (!own)
		return -1;
	while (n < (int)sizeof map - 64 && fscanf(own, "%u %u %u", &inside, &outside, &count) == 3)
		n += snprintf(map + n, sizeof map - n, "%u %u %u\n", inside, inside, count);
	fclose(own);
	return write_proc(pid, kind, map);
}

// write_single makes the user's own id the only one in the namespace. The kernel lets everybody do that who gives up setgroups.
static int write_single(pid_t pid)
{
	char uid[32], gid[32];
	snprintf(uid, sizeof uid, "0 %u 1\n", geteuid());
	snprintf(gid, sizeof gid, "0 %u 1\n", getegid());
	return write_proc(pid, "setgroups", "deny") || write_proc(pid, "uid_map", uid) || write_proc(pid, "gid_map", gid);
}

// user_name finds the name of the user in /etc/passwd, or writes the number.
static void user_name(uid_t uid, char *name, size_t size)
{
	snprintf(name, size, "%u", uid);
	FILE *f = fopen("/etc/passwd", "re");
	if (!f)
		return;
	for (struct passwd *p; (p = fgetpwent(f));)
		if (p->pw_uid == uid) {
			snprintf(name, size, "%s", p->pw_name);
			break;
		}
	fclose(f);
}

// range is what a file in the format of subuid(5) grants to a user.
struct range {
	unsigned long start, count;
	int found; // how many ranges there are; the numbers are those of the last
};

// subordinate reads the ranges of this user. A file that cannot be read grants none.
static struct range subordinate(const char *file)
{
	char name[256], number[16], line[512], who[256];
	struct range all = {0};
	unsigned long start, count;
	user_name(geteuid(), name, sizeof name);
	snprintf(number, sizeof number, "%u", geteuid());
	FILE *f = fopen(file, "re");
	if (!f)
		return all;
	while (fgets(line, sizeof line, f))
		if (sscanf(line, "%255[^:]:%lu:%lu", who, &start, &count) == 3 && (!strcmp(who, name) || !strcmp(who, number)) && count > 0 &&
		    start + count < 0xffffffff)
			all.start = start, all.count = count, all.found++;
	fclose(f);
	return all;
}

// run_mapper starts newuidmap or newgidmap: the caller's id is 0 inside, and the subordinate ones follow from 1 on.
static pid_t run_mapper(const char *tool, pid_t pid, unsigned own, struct range granted)
{
	char target[16], outside[16], from[24], number[24];
	snprintf(target, sizeof target, "%d", pid);
	snprintf(outside, sizeof outside, "%u", own);
	snprintf(from, sizeof from, "%lu", granted.start);
	snprintf(number, sizeof number, "%lu", granted.count);
	pid_t helper = fork();
	if (helper == 0) {
		int null = open("/dev/null", O_RDWR);
		dup2(null, 1);
		dup2(null, 2);
		execlp(tool, tool, target, "0", outside, "1", "1", from, number, (char *)NULL);
		_exit(127);
	}
	return helper;
}

static int succeeded(pid_t pid)
{
	int status = 1;
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

// map_ids gives the child its ids: all of root's, or those of the user and their subordinate ones, or the user's alone where
// there are no others, or where nothing may raise the rights of a helper. The helpers run one after the other: beside them
// the child starts, and it is the one that is waited for. Several ranges are left to Enter, and so is a helper that fails:
// what it says is the reason why there is only one id.
static int map_ids(pid_t pid)
{
	if (geteuid() == 0)
		return write_identity(pid, "uid_map") || write_identity(pid, "gid_map");
	struct range uids = subordinate("/etc/subuid"), gids = subordinate("/etc/subgid");
	if (uids.found > 1 || gids.found > 1)
		return -1;
	if (!uids.found || !gids.found || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0))
		return write_single(pid);
	return !(succeeded(run_mapper("newuidmap", pid, geteuid(), uids)) && succeeded(run_mapper("newgidmap", pid, getegid(), gids)));
}

static pid_t child;

// forward hands on what a process sent, and the same signals as Go's HandedOn. A terminal has sent its own to the child already.
static void forward(int signal, siginfo_t *info, void *context)
{
	(void)context;
	if (info->si_code <= 0)
		kill(child, signal);
}

// stay_behind waits for the child, leaves the terminal as it was, and ends with the child's code. It takes in the orphans of
// commands that share their numbers of processes with this program, so that nothing of them is left when they are killed.
static void stay_behind(void)
{
	static const int handed_on[] = {SIGHUP, SIGINT, SIGQUIT, SIGTRAP, SIGABRT, SIGUSR1, SIGUSR2, SIGALRM, SIGTERM, SIGSTKFLT,
					SIGCONT, SIGXCPU, SIGXFSZ, SIGVTALRM, SIGWINCH, SIGIO, SIGPWR, SIGSYS};
	struct sigaction action = {.sa_sigaction = forward, .sa_flags = SA_SIGINFO | SA_RESTART};
	struct termios terminal;
	int status = 0, has_terminal = tcgetattr(0, &terminal) == 0;
	for (size_t i = 0; i < sizeof handed_on / sizeof *handed_on; i++)
		sigaction(handed_on[i], &action, NULL);
	for (int realtime = 35; realtime <= 64; realtime++)
		sigaction(realtime, &action, NULL);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (pid_t ended = 0; ended != child;)
		if ((ended = waitpid(-1, &status, 0)) < 0)
			_exit(1);
	if (has_terminal && tcgetpgrp(0) == getpgrp())
		tcsetattr(0, TCSANOW, &terminal);
	_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

// hide_arguments lets others see no more of the child's arguments than the command: a value of -e or --build-arg is nobody
// else's business. Go finds copies.
static void hide_arguments(int argc, char **argv, int shown)
{
	for (int i = shown; i < argc; i++) {
		char *copy = strdup(argv[i]);
		if (!copy)
			_exit(1);
		memset(argv[i], 0, strlen(argv[i]));
		argv[i] = copy;
	}
}

// go_inside is the child's part: it makes its namespaces, and goes on while the parent maps its ids. Mounts that it makes
// must not reach the host, while what the host mounts later (a USB disk, autofs) still arrives. A policy that lets a
// process make a user namespace, but do nothing in it, shows here. Where the limit of user namespaces is used up, or 0, root
// does without.
static void go_inside(int parent)
{
	gbuild_uncover_proc();
	int made = !unshare(CLONE_NEWUSER | CLONE_NEWNS);
	gbuild_bare = !made && errno == ENOSPC && geteuid() == 0 && !unshare(CLONE_NEWNS);
	char kind = gbuild_bare;
	if (!(made || gbuild_bare) || prctl(PR_SET_PDEATHSIG, SIGKILL) || mount("", "/", "", MS_REC | MS_SLAVE, NULL) || write(parent, &kind, 1) != 1)
		_exit(1);
	gbuild_gate = parent;
}

#ifdef __GLIBC__ // another C library hands no arguments to a constructor
__attribute__((constructor))
#else
__attribute__((unused))
#endif
static void enter_early(int argc, char **argv)
{
	int ends[2], shown;
	char bare = 0;
	if (getenv("_LIBCONTAINER_INITPIPE") || getenv("_GBUILD_ENTER_FD") || getenv("_GBUILD_CONTAINER") || getenv("GBUILD_ISOLATION") || !(shown = wants_namespace(argc, argv)) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return;
	signal(SIGCHLD, SIG_DFL); // where it is ignored, no exit code would come
	child = fork();
	if (child == 0) {
		close(ends[0]);
		hide_arguments(argc, argv, shown);
		go_inside(ends[1]);
		return;
	}
	close(ends[1]);
	int entered = child > 0 && read(ends[0], &bare, 1) == 1;
	if (entered && (bare || !map_ids(child)) && send(ends[0], &bare, 1, MSG_NOSIGNAL) == 1)
		stay_behind();
	close(ends[0]);
	if (child > 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
}
