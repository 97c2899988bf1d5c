/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rig.c - starts daemons and devices for the tests of the native front-end.
 */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"

#define START_MS 30000 /* ASan's and a loaded machine's start are slow */

void rig_fail(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	(void)fprintf(stderr, "FAIL: %s:%d: ", file, line);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	exit(1);
}

/* --- the daemon --------------------------------------------------------------------------------------------- */

static pid_t child_of(pid_t pid)
{
	char path[64];
	char text[32] = "";
	FILE *file;
	pid_t child = pid;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	file = fopen(path, "re");
	if (file) {
		if (fgets(text, sizeof(text), file) && strtol(text, NULL, 10) > 0)
			child = (pid_t)strtol(text, NULL, 10);
		(void)fclose(file);
	}
	return child;
}

static void exec_daemon(const struct rig *rig, const char *option, const char *option2)
{
	char share[4096];
	char state[4096];
	char path[4096];
	const char *argv[] = { rig->daemon, share, state, path, option, option2, NULL };

	(void)snprintf(share, sizeof(share), "--shared-dir=%s", rig->share);
	(void)snprintf(state, sizeof(state), "--state-dir=%s", rig->state);
	(void)snprintf(path, sizeof(path), "--socket-path=%s", rig->socket);
	/* It ends with the test, however that ends. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)execv(rig->daemon, (char **)(uintptr_t)argv);
	_exit(127);
}

/* Does a file of /proc/net/unix say that somebody listens? A connection would be the daemon's first. */
static bool listens(const char *socket)
{
	char line[512];
	bool found = false;
	FILE *file = fopen("/proc/net/unix", "re");

	if (!file)
		return false;
	while (!found && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		/* Flags: __SO_ACCEPTCON. */
		found = strstr(line, " 00010000 ") && strlen(line) > strlen(socket) &&
			strcmp(line + strlen(line) - strlen(socket), socket) == 0;
	}
	(void)fclose(file);
	return found;
}

void rig_start(struct rig *rig, const char *option, const char *option2)
{
	const uint64_t end = clock_ns() + (uint64_t)START_MS * 1000000U;

	CHECK(rig->pid == 0);
	rig->pid = fork();
	CHECK(rig->pid >= 0);
	if (rig->pid == 0)
		exec_daemon(rig, option, option2);
	while (!listens(rig->socket)) {
		CHECK_EQ(waitpid(rig->pid, NULL, WNOHANG), 0);
		CHECK(clock_ns() < end);
		(void)poll(NULL, 0, 5);
	}
	rig->inside = rig->pid;
}

void rig_kill(struct rig *rig)
{
	rig->inside = child_of(rig->pid);
	if (rig->inside != rig->pid)
		CHECK_OK(kill(rig->inside, SIGKILL));
	(void)kill(rig->pid, SIGKILL);
	CHECK_EQ(waitpid(rig->pid, NULL, 0), rig->pid);
	rig->pid = 0;
	/* What served is not our child, and may be on its way yet. */
	while (listens(rig->socket))
		(void)poll(NULL, 0, 2);
}

int rig_wait(struct rig *rig)
{
	int status;

	CHECK_EQ(waitpid(rig->pid, &status, 0), rig->pid);
	rig->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void rig_stop(struct rig *rig)
{
	CHECK_OK(kill(rig->pid, SIGTERM));
	CHECK_EQ(rig_wait(rig), 0);
}

/* --- the device --------------------------------------------------------------------------------------------- */

void rig_connect_memory(struct rig *rig, uint64_t slots_region)
{
	CHECK_OK(fedevice_open(&rig->dev, rig->socket));
	CHECK_OK(fefuse_open(&rig->f, &rig->dev, slots_region, RIG_SLOTS));
	CHECK_OK(fecall_init(&rig->f, RIG_FLAGS));
	rig->inside = child_of(rig->pid);
}

void rig_connect(struct rig *rig, const struct fedevice_options *options)
{
	const struct fedevice_options none = { 0 };

	fedevice_init(&rig->dev, options ? options : &none);
	rig_connect_memory(rig, 0);
}

void rig_disconnect(struct rig *rig)
{
	fedevice_close(&rig->dev);
}

uint64_t rig_lookup(struct rig *rig, const char *name)
{
	struct fuse_entry_out entry;

	CHECK_OK(fecall_lookup(&rig->f, ROOT, name, &entry));
	return entry.nodeid;
}

/* --- the share ---------------------------------------------------------------------------------------------- */

static int open_below(const struct rig *rig, const char *path, int flags)
{
	char whole[4096];
	int fd;

	(void)snprintf(whole, sizeof(whole), "%s/%s", rig->share, path);
	fd = open(whole, flags | O_CLOEXEC, 0644);
	CHECK(fd >= 0);
	return fd;
}

void rig_put(const struct rig *rig, const char *path, const void *bytes, size_t len)
{
	int fd = open_below(rig, path, O_WRONLY | O_CREAT | O_TRUNC);

	CHECK_OK(pwrite_full(fd, bytes, len, 0));
	(void)fd_close(fd);
}

void rig_tree(const struct rig *rig, unsigned dirs, unsigned files)
{
	char path[4096];

	CHECK(dirs > 0);
	for (unsigned i = 0; i < dirs; i++) {
		(void)snprintf(path, sizeof(path), "%s/d%u", rig->share, i);
		CHECK_OK(mkdir(path, 0755));
	}
	for (unsigned i = 0; i < files; i++) {
		(void)snprintf(path, sizeof(path), "d%u/f%u", i % dirs, i);
		rig_put(rig, path, path, strlen(path));
	}
}

size_t rig_get(const struct rig *rig, const char *path, void *bytes, size_t max)
{
	int fd = open_below(rig, path, O_RDONLY);
	size_t done = 0;

	for (;;) {
		ssize_t n = read(fd, (uint8_t *)bytes + done, max - done);

		CHECK(n >= 0);
		if (n == 0)
			break;
		done += (size_t)n;
	}
	(void)fd_close(fd);
	return done;
}

void rig_pattern(uint8_t *bytes, size_t len, uint32_t seed)
{
	for (size_t i = 0; i < len; i++) {
		seed = seed * 1664525U + 1013904223U;
		bytes[i] = (uint8_t)(seed >> 24);
	}
}

/* --- programs ------------------------------------------------------------------------------------------------ */

int rig_main(int argc, char **argv, const struct rig_test *tests, size_t count)
{
	static struct rig rig;

	if (argc != 6) {
		(void)fprintf(stderr, "usage: %s DAEMON SHARE STATE SOCKET TEST\n", argv[0]);
		return 2;
	}
	rig.daemon = argv[1];
	rig.share = argv[2];
	rig.state = argv[3];
	rig.socket = argv[4];
	rig.dev.fe.sock = -1;
	for (size_t i = 0; i < count; i++) {
		if (strcmp(tests[i].name, argv[5]) != 0)
			continue;
		tests[i].run(&rig);
		if (rig.pid)
			rig_kill(&rig);
		return 0;
	}
	(void)fprintf(stderr, "there is no test %s\n", argv[5]);
	return 2;
}
