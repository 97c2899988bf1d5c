/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * serve_process.c - what a daemon sets for its own process, and the thread that waits for its end.
 *
 * A process that is made to end does so: who stops a device does not wait for a request that hangs in the
 * kernel for longer than PATIENCE.
 */
#include "admin/serve_private.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/secret.h"
#include "base/util.h"
#include "holdfast/exit.h"

#define SIGNAL_END SIGHUP /* wakes our own signal thread at the end */
#define PATIENCE_SECONDS 2

void serve_close_inherited(const struct config *c)
{
	unsigned socket = c->fd == CONFIG_FD_NONE ? STDERR_FILENO : (unsigned)c->fd;
	unsigned key = c->key_fd ? (unsigned)atoi(c->key_fd) : STDERR_FILENO;
	unsigned kept[2] = { socket < key ? socket : key, socket < key ? key : socket };
	unsigned next = STDERR_FILENO + 1;

	for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
		if (kept[i] > next)
			(void)close_range(next, kept[i] - 1, 0);
		if (kept[i] >= next)
			next = kept[i] + 1;
	}
	(void)close_range(next, UINT_MAX, 0);
}

void serve_divide(uint64_t nofile, uint64_t max_nodes, struct serve_limits *out)
{
	uint64_t rest = nofile > 2 * SERVE_RESERVED ? nofile - SERVE_RESERVED : nofile / 2;

	out->files = rest / 2;
	out->locks = rest / 8;
	out->nodes = rest - out->files - out->locks;
	if (out->nodes > max_nodes)
		out->nodes = max_nodes;
	if (out->files > SERVE_OPEN_MAX)
		out->files = SERVE_OPEN_MAX;
	if (out->locks > SERVE_OPEN_MAX)
		out->locks = SERVE_OPEN_MAX;
}

/* Sets RLIMIT_NOFILE as near to what is wanted as may be; what it is then. */
static uint64_t raise_nofile(uint64_t wanted)
{
	struct rlimit limit;
	rlim_t before;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return CONFIG_NOFILE_MIN;
	before = limit.rlim_cur;
	if (!wanted)
		return before;
	limit.rlim_cur = wanted == CONFIG_NOFILE_DEFAULT ? limit.rlim_max : wanted;
	if (limit.rlim_cur > limit.rlim_max) {
		struct rlimit both = { .rlim_cur = wanted, .rlim_max = wanted };

		if (setrlimit(RLIMIT_NOFILE, &both) == 0)
			return wanted;
		log_warn("--rlimit-nofile=%llu cannot be had (%s); going on with %llu descriptors",
			 (unsigned long long)wanted, strerror(errno),
			 (unsigned long long)limit.rlim_max);
		limit.rlim_cur = limit.rlim_max;
	}
	if (setrlimit(RLIMIT_NOFILE, &limit)) {
		log_warn("the limit of open files cannot be set (%s); going on with %llu "
			 "descriptors",
			 strerror(errno), (unsigned long long)before);
		return before;
	}
	return limit.rlim_cur;
}

void serve_stop_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
}

/*
 * Neither keys nor a guest's data in a core dump. RLIMIT_FSIZE stays: it is the administrator's bound for a guest's files.
 * RLIMIT_NPROC stays: it counts all processes of the user; our threads have bounds of their own.
 */
int serve_prepare_process(struct serving *v)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	/* Who starts us may ignore it, and that survives exec: nobody could wait for a child then. */
	const struct sigaction usual = { .sa_handler = SIG_DFL };
	sigset_t set;

	serve_divide(raise_nofile(v->c->nofile), v->c->max_nodes, &v->limits);
	serve_stop_signals(&set);
	if (secret_forbid_cores() || sigaction(SIGPIPE, &ignore, NULL) ||
	    sigaction(SIGCHLD, &usual, NULL) || pthread_sigmask(SIG_BLOCK, &set, NULL) ||
	    (v->c->mount && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))) {
		log_error("the process cannot be prepared: %s", strerror(errno));
		return HOLDFAST_EXIT_FAILURE;
	}
	(void)umask(0); /* what a guest makes has the mode that it says */
	return 0;
}

int serve_free_process(void)
{
	if (chdir("/")) {
		log_error("cannot change to /: %s", strerror(errno));
		return HOLDFAST_EXIT_FAILURE;
	}
	return 0;
}

/* Threads that are still in the kernel when the time is over are left to it. */
static void see_to_the_end(struct serving *v)
{
	uint64_t end = clock_ns() + PATIENCE_SECONDS * 1000000000ULL;
	const struct timespec moment = { .tv_nsec = 20000000 };
	uint8_t exit_code;

	while (!atomic_load(&v->served)) {
		(void)nanosleep(&moment, NULL);
		if (clock_ns() < end)
			continue;
		log_warn("a request does not end; leaving all the same");
		exit_code = atomic_load(&v->helper_lost) ? HOLDFAST_EXIT_KEY : HOLDFAST_EXIT_OK;
		sandbox_leave(v->sandbox, exit_code);
		_exit(exit_code);
	}
}

static void *wait_for_signal(void *arg)
{
	struct serving *v = arg;
	sigset_t set;
	int number = 0;

	serve_stop_signals(&set);
	if (sigwait(&set, &number))
		return NULL;
	if (v->dev) {
		fusedev_stop(v->dev);
	} else {
		vhostuser_stop(v->vhost);
		see_to_the_end(v);
	}
	return NULL;
}

int serve_start_signals(struct serving *v)
{
	int err = pthread_create(&v->signals, NULL, wait_for_signal, v);

	if (err) {
		log_error("cannot start a thread: %s", strerror(err));
		return HOLDFAST_EXIT_FAILURE;
	}
	v->signals_started = true;
	return 0;
}

void serve_end_signals(struct serving *v)
{
	atomic_store(&v->served, true);
	if (!v->signals_started)
		return;
	/* It waits for one of them, and a second stop does no harm. */
	(void)pthread_kill(v->signals, SIGNAL_END);
	(void)pthread_join(v->signals, NULL);
	v->signals_started = false;
}
