/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * state_run.c - the run directory of an export: where its daemons have their ring and control sockets.
 *
 * The ring must be one for all daemons of an export, though one may have been started with
 * XDG_RUNTIME_DIR and another (by cron) without it, and it holds what a killed daemon had not yet written
 * to the map. So the record says which directory is in use; a new one is chosen only when no ring is left
 * behind. Called with the record locked. Main thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "admin/dirs.h"
#include "admin/state_private.h"
#include "base/log.h"
#include "base/util.h"
#include "holdfast/exit.h"

/* $XDG_RUNTIME_DIR/holdfast, /run/holdfast for root; NULL: there is none. */
static char *run_base(const struct state_request *request)
{
	const char *xdg = getenv("XDG_RUNTIME_DIR");
	char *path = NULL;

	if (request->runbase)
		return strdup(request->runbase);
	if (geteuid() == 0)
		return strdup("/run/holdfast");
	if (!xdg || xdg[0] != '/' || asprintf(&path, "%s/holdfast", xdg) < 0)
		return NULL;
	return path;
}

/* Opens `path` as run directory, with up to `make` components made; -1 if it will not do. */
static int open_run(const struct state *s, const char *path, unsigned make)
{
	int fd = -1;
	int err = dirs_open(path, make, s->share, &fd);

	if (!err)
		err = dirs_check_private(fd);
	if (!err)
		return fd;
	log_debug("state: run directory %s: %s", path, dirs_error(err));
	return fd_close(fd);
}

static bool has_ring(int fd)
{
	struct stat st;

	return fd >= 0 && fstatat(fd, STATE_RING_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The directory that the record names, if it is to be used; else -1. */
static int open_recorded(const struct state *s, bool in_use)
{
	int fd;

	/* No path: the state directory itself. */
	if (!s->record.run[0])
		return in_use || has_ring(s->statedir)
			       ? openat(s->statedir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
			       : -1;
	fd = open_run(s, s->record.run, 0);
	if (in_use || has_ring(fd))
		return fd;
	return fd_close(fd);
}

/* A run directory where there was none: below the base, else the state directory. */
static int choose(struct state_search *q, bool *changed)
{
	struct state *s = q->state;
	char *base = run_base(q->request);
	char run[PATH_MAX] = "";
	int fd = -1;

	if (base) {
		int n = snprintf(run, sizeof(run), "%s/%s", base, s->record.id);

		if (n > 0 && (size_t)n < sizeof(run))
			fd = open_run(s, run, 2);
		free(base);
	}
	if (fd < 0) {
		run[0] = '\0';
		fd = openat(s->statedir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (strcmp(run, s->record.run) != 0) {
		memcpy(s->record.run, run, sizeof(run));
		*changed = true;
	}
	return fd;
}

/* Of random(4). Where /proc has it not, all boots are one. */
static uint64_t boot_number(void)
{
	CLEANUP_FD int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	char text[36]; /* a UUID: eight digits first, twelve last */
	uint8_t bytes[8];

	if (fd < 0 || pread_full(fd, text, sizeof(text), 0) || hex_decode(text, 8, bytes, 4) < 0 ||
	    hex_decode(text + 28, 8, bytes + 4, 4) < 0)
		return 1;
	return get_le64(bytes) | 1;
}

int state_run_open(struct state_search *q, bool in_use, bool *changed)
{
	struct state *s = q->state;

	s->boot = boot_number();
	s->rundir = open_recorded(s, in_use);
	if (s->rundir < 0 && in_use && s->record.run[0])
		return state_fail(q, HOLDFAST_EXIT_STATE,
				  "state: %s is in use by a daemon whose run directory %s is gone; "
				  "stop that daemon "
				  "first",
				  s->statepath, s->record.run);
	if (s->rundir < 0)
		s->rundir = choose(q, changed);
	s->runpath = s->rundir >= 0 ? dirs_path(s->rundir) : NULL;
	if (!s->runpath)
		return state_fail(q, HOLDFAST_EXIT_STATE,
				  "state: cannot open a run directory for %s: %s", s->statepath,
				  strerror(errno));
	if (s->share >= 0 && dirs_inside(s->rundir, s->share) != 0)
		return state_fail(q, HOLDFAST_EXIT_USAGE,
				  "state: the run directory %s lies inside the shared directory "
				  "%s; share another "
				  "directory",
				  s->runpath, s->sharepath);
	return 0;
}
