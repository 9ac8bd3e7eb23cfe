// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's first process: mounts the host's files, loads modules, runs one
 * command, and tells the host how it went.
 *
 * Static and alone in its initramfs, since an exec costs 60 ms under emulation.
 * What to do comes from the folder that ./run names in the last argument, on
 * the host's file system: "args" holds NUL-terminated strings,
 *
 *	cwd, time limit in seconds (0: none), flags, "module path parameters"...,
 *	"--", command, arguments...
 *
 * Flags: t, the command gets a terminal; k, modules stay loaded.
 *
 * Channels to the host: port 1 takes the command's output (with flag t the
 * command runs on the terminal hvc0 instead), port 2 the whole kernel log and
 * then one line, "vm: exit STATUS taint TAINT".  A guest that cannot send that
 * line has died, and the host falls back to what the serial console got.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <net/if.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "hang.h"

/* The host's statuses, as in ./run. */
enum { ST_SPLAT = 123, ST_TIME_LIMIT = 124, ST_VM = 125, ST_NO_EXEC = 126, ST_NO_COMMAND = 127 };

/* -device isa-debug-exit,iobase=0xf4 */
#define EXIT_PORT	0xf4

#define OUT_PORT	"/dev/vport0p1"
#define LOG_PORT	"/dev/vport0p2"
#define TTY		"/dev/hvc0"

static int out = -1;

static void leave(void)
{
	if (!ioperm(EXIT_PORT, 1, 1))
		outb(0, EXIT_PORT);
	reboot(LINUX_REBOOT_CMD_RESTART);
	for (;;)
		pause();
}

/* A trouble of the runner itself goes to the console: the host looks there if we die. */
__attribute__((format(printf, 1, 2), noreturn))
static void die(const char *fmt, ...)
{
	const char *why = strerror(errno);
	va_list ap;

	/* The kernel opened its console for us. */
	dprintf(2, "vm: ");
	va_start(ap, fmt);
	vdprintf(2, fmt, ap);
	va_end(ap);
	dprintf(2, ": %s\n", why);
	/* The end of init is a panic, and that flushes the console. */
	exit(1);
}

__attribute__((format(printf, 1, 2)))
static void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vdprintf(out, fmt, ap);
	va_end(ap);
}

static void do_mount(const char *what, const char *where, const char *type,
		     unsigned long flags, const char *data)
{
	mkdir(where, 0755);
	if (mount(what, where, type, flags, data))
		die("mount %s on %s", type, where);
}

static void sleep_ms(int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&ts, NULL);
}

/* Device nodes appear some time after their driver. */
static int open_late(const char *path, int flags)
{
	int fd, i;

	for (i = 0; i < 2000; i++) {
		fd = open(path, flags | O_CLOEXEC);
		if (fd >= 0 || (errno != ENOENT && errno != ENXIO && errno != ENODEV))
			break;
		sleep_ms(5);
	}
	return fd;
}

static char *slurp(const char *path, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *buf = NULL;
	ssize_t n;

	*len = 0;
	if (fd < 0)
		return NULL;
	do {
		buf = realloc(buf, *len + 65536 + 1);
		if (!buf)
			die("memory");
		n = read(fd, buf + *len, 65536);
		*len += n > 0 ? n : 0;
	} while (n > 0);
	close(fd);
	buf[*len] = 0;
	return buf;
}

static int load_module(const char *path, const char *params)
{
	int fd, ret;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ret = syscall(SYS_finit_module, fd, params, 0);
	close(fd);
	return ret;
}

/* What the guest needs to reach the host's files, in order: packed by ./run. */
static void load_boot_modules(void)
{
	char *list, *path, *save = NULL;
	size_t len;

	list = slurp("/modules", &len);
	for (path = strtok_r(list, "\n", &save); path; path = strtok_r(NULL, "\n", &save))
		if (load_module(path, "") && errno != EEXIST)
			die("load %s", path);
}

static void mount_root(void)
{
	const char *opts = "trans=virtio,version=9p2000.L,msize=512000,cache=loose";
	int i;

	mkdir("/lower", 0755);
	for (i = 0; mount("root", "/lower", "9p", MS_RDONLY, opts); i++) {
		if (i == 2000 || errno != ENOENT)
			die("mount the host's files");
		sleep_ms(5);
	}
	do_mount("tmpfs", "/rw", "tmpfs", 0, "mode=755,size=75%");
	mkdir("/rw/upper", 0755);
	mkdir("/rw/work", 0755);
	do_mount("overlay", "/new", "overlay", 0,
		 "lowerdir=/lower,upperdir=/rw/upper,workdir=/rw/work");

	do_mount("proc", "/new/proc", "proc", 0, NULL);
	do_mount("sysfs", "/new/sys", "sysfs", 0, NULL);
	do_mount("run", "/new/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755");
	if (mount("/dev", "/new/dev", NULL, MS_MOVE, NULL))
		die("move /dev");
	/* Not every kernel has these. */
	mount("debugfs", "/new/sys/kernel/debug", "debugfs", 0, NULL);
	mount("tracefs", "/new/sys/kernel/tracing", "tracefs", 0, NULL);
	mount("cgroup2", "/new/sys/fs/cgroup", "cgroup2", 0, NULL);

	/* Moved over / and not only entered: in a chroot unshare(CLONE_NEWUSER) fails. */
	if (chdir("/new") || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/"))
		die("enter the new root");
	do_mount("devpts", "/dev/pts", "devpts", 0, "ptmxmode=666,mode=620,gid=5");
	do_mount("shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
	/* devtmpfs does not have them: udev's work. */
	symlink("/proc/self/fd", "/dev/fd");
	symlink("/proc/self/fd/0", "/dev/stdin");
	symlink("/proc/self/fd/1", "/dev/stdout");
	symlink("/proc/self/fd/2", "/dev/stderr");
}

static void loopback_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	ioctl(fd, SIOCSIFFLAGS, &ifr);
	close(fd);
}

static void start_command(char **argv, const char *cwd, bool tty)
{
	char *term = getenv("TERM");
	struct rlimit core = { 0, 0 };
	sigset_t none;
	int in;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	if (tty) {
		in = out;
		ioctl(in, TIOCSCTTY, 0);
	} else {
		in = open("/dev/null", O_RDONLY | O_CLOEXEC);
	}
	dup2(in, 0);
	dup2(out, 1);
	dup2(out, 2);
	setrlimit(RLIMIT_CORE, &core);
	if (!term)
		setenv("TERM", "dumb", 1);
	if (chdir(cwd)) {
		say("vm: chdir %s: %m\n", cwd);
		_exit(ST_NO_EXEC);
	}
	execvp(argv[0], argv);
	say("vm: %s: %m\n", argv[0]);
	_exit(errno == ENOENT ? ST_NO_COMMAND : ST_NO_EXEC);
}

/* Reaps everything until @pid ends or the time is up. */
static int wait_command(pid_t pid, int limit)
{
	struct timespec now, left = { .tv_sec = 1000000 }, end;
	sigset_t chld;
	int st;
	pid_t p;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += limit;
	for (;;) {
		while ((p = waitpid(-1, &st, WNOHANG)) > 0)
			if (p == pid)
				return WIFSIGNALED(st) ? 128 + WTERMSIG(st) : WEXITSTATUS(st);
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (limit)
			left.tv_sec = end.tv_sec - now.tv_sec;
		if (left.tv_sec <= 0) {
			say("vm: time limit of %d s reached\n", limit);
			tell_hang(out);
			return ST_TIME_LIMIT;
		}
		sigtimedwait(&chld, NULL, &left);
	}
}

/* What dead processes held is let go of some time after they died. */
static int unload_module(const char *path)
{
	char name[64], *c;
	int i;

	c = strrchr(path, '/');
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(c ? c + 1 : path, "."), c ? c + 1 : path);
	for (c = name; *c; c++)
		if (*c == '-')
			*c = '_';
	for (i = 0; i < 1000; i++) {
		if (!syscall(SYS_delete_module, name, O_NONBLOCK))
			return 0;
		/* The command may have unloaded it itself. */
		if (errno == ENOENT)
			return 0;
		if (errno != EAGAIN && errno != EBUSY)
			break;
		sleep_ms(10);
	}
	say("vm: cannot unload module %s: %m\n", name);
	return -1;
}

#define KMEMLEAK	"/sys/kernel/debug/kmemleak"

static void write_to(const char *path, const char *what)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, what, strlen(what)) < 0)
		say("vm: %s > %s: %m\n", what, path);
	close(fd);
}

/*
 * Once, while the modules can still be named in the traces: kmemleak, where the kernel
 * has it, passes over what is younger than 5 s.  What it finds goes to the output.
 * What was leaked in booting is cleared before the command starts.
 */
static int look_for_leaks(void)
{
	size_t len;
	char *report;

	if (access(KMEMLEAK, W_OK))
		return 0;
	sleep_ms(6000);
	write_to(KMEMLEAK, "scan");
	report = slurp(KMEMLEAK, &len);
	if (!len)
		return 0;
	say("vm: kmemleak:\n%s", report);
	return -1;
}

/* The records of /dev/kmsg ("level,sequence,microseconds,flags;text") as dmesg prints them. */
static void send_log(int port)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	unsigned long long us;
	char rec[8192], *text;
	FILE *f;
	ssize_t n;

	f = fdopen(port, "w");
	if (!f)
		return;
	while (fd >= 0) {
		n = read(fd, rec, sizeof(rec) - 1);
		if (n < 0 && errno == EPIPE)
			continue;
		if (n <= 0)
			break;
		rec[n] = 0;
		text = strchr(rec, ';');
		if (!text || sscanf(rec, "%*u,%*u,%llu", &us) != 1)
			continue;
		text++;
		text[strcspn(text, "\n")] = 0;
		fprintf(f, "[%5llu.%06llu] %s\n", us / 1000000, us % 1000000, text);
	}
	fflush(f);
}

int main(int argc, char **argv)
{
	char *args, *a, *cwd, *flags, *mods[32], **cmd = NULL, path[512];
	int limit, status, log, nmods = 0, i, n;
	char *taint;
	sigset_t chld;
	size_t len;
	pid_t pid;

	if (argc < 2)
		die("no folder named");
	do_mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	load_boot_modules();
	mount_root();
	loopback_up();
	sethostname("aop", 3);

	/* The last one: words that only the early kernel knows come before it. */
	snprintf(path, sizeof(path), "%s/args", argv[argc - 1]);
	args = slurp(path, &len);
	if (!args)
		die("read %s", path);
	for (n = 0, a = args; a < args + len; a += strlen(a) + 1)
		n++;
	cmd = calloc(n + 1, sizeof(*cmd));
	for (n = 0, a = args; a < args + len; a += strlen(a) + 1)
		cmd[n++] = a;
	cwd = cmd[0];
	limit = atoi(cmd[1]);
	flags = cmd[2];
	for (i = 3; strcmp(cmd[i], "--") && nmods < 32; i++)
		mods[nmods++] = cmd[i];
	cmd += i + 1;

	out = open_late(strchr(flags, 't') ? TTY : OUT_PORT, O_RDWR | O_NOCTTY);
	if (out < 0)
		die("open the output");
	log = open_late(LOG_PORT, O_WRONLY);
	if (log < 0)
		die("open the log");
	if (strchr(flags, 't')) {
		struct winsize ws = {
			.ws_row = atoi(getenv("LINES") ?: "24"),
			.ws_col = atoi(getenv("COLUMNS") ?: "80"),
		};
		ioctl(out, TIOCSWINSZ, &ws);
	}
	/* The same environment for all: the host's would make a run depend on who starts it. */
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	setenv("HOME", "/root", 1);
	setenv("USER", "root", 1);
	setenv("LANG", "C.UTF-8", 1);

	for (i = 0; i < nmods; i++) {
		char *params = strchr(mods[i], ' ');

		if (params)
			*params++ = 0;
		if (load_module(mods[i], params ?: "")) {
			say("vm: cannot load module %s: %m\n", mods[i]);
			status = ST_VM;
			nmods = i;
			goto end;
		}
	}

	if (!access(KMEMLEAK, W_OK)) {
		write_to(KMEMLEAK, "scan");
		write_to(KMEMLEAK, "clear");
	}
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid)
		start_command(cmd, cwd, strchr(flags, 't'));
	status = wait_command(pid, limit);
	if (status == ST_TIME_LIMIT)
		goto end;
	kill(-1, SIGKILL);
	while (wait(NULL) > 0 || errno == EINTR)
		;
end:
	if (status != ST_TIME_LIMIT && look_for_leaks())
		status = ST_SPLAT;
	if (status != ST_TIME_LIMIT && !strchr(flags, 'k'))
		while (nmods--)
			if (unload_module(mods[nmods]))
				status = status ?: ST_VM;
	if (strchr(flags, 't'))
		tcdrain(out);
	taint = slurp("/proc/sys/kernel/tainted", &len);
	send_log(log);
	dprintf(log, "vm: exit %d taint %d\n", status, taint ? atoi(taint) : 0);
	leave();
}
