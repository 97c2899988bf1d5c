/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * foreign.c - the cases tried on another device, which is started anew for each, to see how many it survives.
 *
 * A device without --persist ends when its front-end hangs up: it has survived when it was there until then.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"
#include "run.h"
#include "watch.h"

#define END_MS 5000

static int start(const struct hostile *h)
{
	int pid;

	(void)unlink(h->socket);
	pid = fork();
	if (pid == 0) {
		(void)setpgid(0, 0);
		(void)execl("/bin/sh", "sh", "-c", h->spawn, (char *)NULL);
		_exit(127);
	}
	return pid;
}

/* Waits for its end; true when it came by itself. */
static bool stop(int pid)
{
	const uint64_t end = clock_ns() + END_MS * 1000000ULL;
	int status = 0;
	bool by_itself = true;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (clock_ns() > end) {
			by_itself = false;
			(void)kill(-pid, SIGKILL);
			(void)waitpid(pid, &status, 0);
			break;
		}
		(void)poll(NULL, 0, 5);
	}
	return by_itself && !WIFSIGNALED(status);
}

static bool answers(struct hostile *h, const struct hostile_case *c)
{
	uint64_t features;

	/* After what breaks a ring, messages at least. */
	if (c->want != SERVED || c->stage != RUNNING)
		return frontend_ask_u64(&h->dev.fe, VHOST_GET_FEATURES, &features) == 0;
	h->f.timeout_ms = 3000;
	return session_innocent(h) == 0;
}

void run_foreign(struct hostile *h, const struct hostile_case *c, struct foreign_result *out)
{
	int pid;
	bool there;
	int ret;

	*out = (struct foreign_result){ 0 };
	session_close(h);
	pid = start(h);
	if (pid < 0)
		return;
	h->said[0] = '\0';
	ret = session_open(h, c->stage, c->options);
	if (!ret) {
		out->started = true;
		h->f.timeout_ms = 3000;
		out->right = c->run(h, c) == 0;
		(void)poll(NULL, 0, 200);
		there = watch_alive(pid);
		out->served = there && answers(h, c);
		there = there && watch_alive(pid);
		session_close(h);
		out->lived = stop(pid) && there;
		out->served = out->served && out->lived;
		out->right = out->right && out->served;
		return;
	}
	session_close(h);
	(void)stop(pid);
}
