/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scratch.c - see scratch.h. For tests only.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "export/tests/scratch.h"

void start(struct scratch *f)
{
	int code;

	assert_int_equal(export_open(&f->config, &f->x, &code), 0);
	assert_int_equal(worker_new(f->x, &f->w), 0);
}

void stop(struct scratch *f)
{
	worker_free(f->w);
	export_close(f->x);
	f->w = NULL;
	f->x = NULL;
}

void restart(struct scratch *f)
{
	stop(f);
	start(f);
}

int scratch_setup(void **state)
{
	struct scratch *f = calloc(1, sizeof(*f));

	log_init(getenv("LOUD") ? LOG_LEVEL_DEBUG : LOG_LEVEL_OFF, false);
	strcpy(f->dir, "test-export.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->share, sizeof(f->share), "%s/share", f->dir);
	snprintf(f->state, sizeof(f->state), "%s/state", f->dir);
	snprintf(f->outside, sizeof(f->outside), "%s/outside", f->dir);
	mkdir(f->share, 0755);
	mkdir(f->state, 0700);
	mkdir(f->outside, 0755);
	f->statedir = open(f->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	f->config = (struct export_config){
		.share = f->share,
		.statedir = f->statedir,
		.statepath = f->state,
		.rundir = f->statedir,
		.boot = SCRATCH_BOOT,
		.handles = HANDLES_PREFER,
		.max_nodes = 10000,
		.max_fds = 100,
	};
	start(f);
	*state = f;
	return 0;
}

static int rm_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

int scratch_teardown(void **state)
{
	struct scratch *f = *state;

	if (f->x)
		stop(f);
	close(f->statedir);
	nftw(f->dir, rm_one, 16, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

/* --- the host's hand --------------------------------------------------------------------------------------------- */

const char *path_in(const struct scratch *f, const char *name)
{
	static char path[4][512];
	static unsigned next;
	char *p = path[next++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", f->share, name);
	return p;
}

void make_file(const struct scratch *f, const char *name)
{
	int fd = open(path_in(f, name), O_WRONLY | O_CREAT | O_EXCL, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, name, strlen(name)), (ssize_t)strlen(name));
	close(fd);
}

ino_t host_ino(const struct scratch *f, const char *name)
{
	struct stat st;

	assert_int_equal(lstat(path_in(f, name), &st), 0);
	return st.st_ino;
}

/* --- the guest's hand ----------------------------------------------------------------------------------------------- */

struct entry look_up(struct scratch *f, nodeid_t parent, const char *name)
{
	struct entry e;
	struct node *n;

	assert_int_equal(node_get(f->w, parent, &n), 0);
	assert_int_equal(export_lookup(f->w, n, name, &e), 0);
	node_put(f->w, n);
	return e;
}

struct entry look_up_path(struct scratch *f, const char *path)
{
	struct entry e = { .nodeid = NODEID_ROOT };
	char copy[256], *rest = copy, *name;

	snprintf(copy, sizeof(copy), "%s", path);
	while ((name = strsep(&rest, "/")))
		e = look_up(f, e.nodeid, name);
	return e;
}

int decode(struct scratch *f, struct entry handle, ino_t *ino)
{
	struct entry e;
	int ret;

	for (int i = 0; i < 100; i++) {
		ret = export_lookup_self(f->w, handle.nodeid, &e);
		if (ret != -ENOMEM)
			break;
		usleep(50000);
	}
	if (ret < 0)
		return ret;
	if (e.generation.v != handle.generation.v)
		return -ESTALE; /* as the guest's kernel does */
	*ino = e.stx.stx_ino;
	return 0;
}

void opens(struct scratch *f, struct entry handle, ino_t ino)
{
	ino_t got = 0;

	assert_int_equal(decode(f, handle, &got), 0);
	assert_int_equal(got, ino);
}

void is_stale(struct scratch *f, struct entry handle)
{
	ino_t got = 0;

	assert_int_equal(decode(f, handle, &got), -ESTALE);
}

struct node *hold(struct scratch *f, nodeid_t id)
{
	struct node *n;

	assert_int_equal(node_get(f->w, id, &n), 0);
	return n;
}

void raise_key(struct scratch *f, bool tell)
{
	struct keyring *k, *raised;

	assert_int_equal(keyring_load(f->statedir, KEY_FILE, &k), 0);
	assert_int_equal(keyring_copy(k, &raised), 0);
	assert_int_equal(keyring_raise(raised), 0);
	assert_int_equal(keyring_store(raised, f->statedir, KEY_FILE, false), 0);
	if (tell)
		ring_shared_set(f->x->ring, RING_ROOT_GENERATION, keyring_root_generation(raised));
	keyring_free(k);
	keyring_free(raised);
}
