// SPDX-License-Identifier: BSD-3-Clause
/*
 * side.c - a daemon as a child process, with the native front-end at its socket.
 *
 * Both daemons may fork on their way into a sandbox; who serves is found at the end of the line of children, and its CPU
 * clock counts all threads, those that have ended too.
 */
#include "side.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"
#include "load.h"

#define PATH_ROOM 4160
#define RING_SIZE 1024
#define CHILDREN_MAX 8
#define END_MS 10000

extern char **environ;

void side_init(struct side *s, const char *name, const char *program, const char *dir)
{
	const char *base = strrchr(program, '/');

	memset(s, 0, sizeof(*s));
	s->name = name;
	s->program = program;
	s->dir = dir;
	s->holdfast = strstr(base ? base + 1 : program, "holdfast") != NULL;
}

/* All processors but the front-end's, if there are any. */
static void give_processors(pid_t pid)
{
	const long count = sysconf(_SC_NPROCESSORS_CONF);
	cpu_set_t set;

	CPU_ZERO(&set);
	for (size_t i = 1; i < (size_t)count && i < CPU_SETSIZE; i++)
		CPU_SET(i, &set);
	if (count > 1)
		(void)sched_setaffinity(pid, sizeof(set), &set);
}

static int spawn(struct side *s, const char *const *argv)
{
	char log[PATH_ROOM];
	posix_spawn_file_actions_t actions;
	int error;

	snprintf(log, sizeof(log), "%s/log", s->dir);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log,
					 O_WRONLY | O_CREAT | O_APPEND, 0644);
	posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
	error = posix_spawn(&s->started, s->program, &actions, NULL, (char *const *)(uintptr_t)argv,
			    environ);
	posix_spawn_file_actions_destroy(&actions);
	/* Before it makes threads or children. */
	if (!error)
		give_processors(s->started);
	return -error;
}

static int launch(struct side *s, const char *share, const char *state, const char *socket)
{
	char a[PATH_ROOM + 32], b[PATH_ROOM + 32], c[PATH_ROOM + 32];

	snprintf(a, sizeof(a), "--socket-path=%s", socket);
	if (s->holdfast) {
		const char *argv[] = { s->program, a, b, c, "--xattr", "--log-level=warn", NULL };

		snprintf(b, sizeof(b), "--shared-dir=%s", share);
		snprintf(c, sizeof(c), "--state-dir=%s/%s", s->dir, state);
		(void)mkdir(c + strlen("--state-dir="), 0700);
		return spawn(s, argv);
	}
	const char *argv[] = { s->program, a, "-o", b, NULL };

	snprintf(b, sizeof(b), "source=%s,cache=auto,xattr,sandbox=chroot", share);
	return spawn(s, argv);
}

/* The only child of a process, or 0. */
static pid_t child_of(pid_t pid)
{
	char path[64];
	FILE *f;
	int child = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	f = fopen(path, "re");
	if (f && fscanf(f, "%d", &child) != 1)
		child = 0;
	if (f)
		(void)fclose(f);
	return child;
}

static int connect_to(struct side *s, const char *socket)
{
	const struct fedevice_options options = { .size = RING_SIZE };
	int ret;

	fedevice_init(&s->dev, &options);
	ret = fedevice_open(&s->dev, socket);
	if (!ret)
		ret = fefuse_open(&s->fuse, &s->dev, 0, 4);
	if (!ret)
		ret = fecall_init(&s->fuse, FECALL_FLAGS_ALL);
	s->fuse.spin_us = LOAD_SPIN_US;
	s->pid = s->started;
	for (int i = 0; i < CHILDREN_MAX; i++) {
		pid_t child = child_of(s->pid);

		if (!child)
			break;
		s->pid = child;
	}
	if (!ret && clock_getcpuclockid(s->pid, &s->clock))
		ret = -ESRCH;
	return ret;
}

int side_start(struct side *s, const char *share, const char *state)
{
	char socket[PATH_ROOM];
	int ret;

	snprintf(socket, sizeof(socket), "%s/socket", s->dir);
	(void)unlink(socket);
	ret = launch(s, share, state, socket);
	if (!ret)
		ret = connect_to(s, socket);
	if (ret)
		fprintf(stderr, "device: %s does not start: %s (see %s/log)\n", s->program,
			strerror(-ret), s->dir);
	return ret;
}

void side_stop(struct side *s)
{
	const uint64_t end = clock_ns() + END_MS * 1000000ULL;

	if (!s->started)
		return;
	fedevice_close(&s->dev);
	while (waitpid(s->started, NULL, WNOHANG) == 0) {
		if (clock_ns() > end)
			(void)kill(s->started, SIGKILL);
		(void)usleep(5000);
	}
	s->started = 0;
}

uint64_t side_cpu_ns(const struct side *s)
{
	struct timespec t = { 0 };

	(void)clock_gettime(s->clock, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static unsigned count_fds(pid_t pid)
{
	char path[64];
	struct stat st;

	/* Since Linux 6.2 the size of this directory is the number of its entries. */
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	return stat(path, &st) < 0 ? 0 : (unsigned)st.st_size;
}

int side_memory(const struct side *s, struct side_memory *out)
{
	char path[64], line[256];
	FILE *f;

	memset(out, 0, sizeof(*out));
	snprintf(path, sizeof(path), "/proc/%d/status", (int)s->pid);
	f = fopen(path, "re");
	if (!f)
		return errno_neg();
	while (fgets(line, sizeof(line), f)) {
		(void)sscanf(line, "VmRSS: %lu", &out->rss_kb);
		(void)sscanf(line, "RssAnon: %lu", &out->anon_kb);
		(void)sscanf(line, "RssFile: %lu", &out->file_kb);
		(void)sscanf(line, "RssShmem: %lu", &out->shmem_kb);
	}
	(void)fclose(f);
	out->fds = count_fds(s->pid);
	return 0;
}
