/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scratch.h - what the tests of the core as a whole have in common: an export of a scratch directory, with its state beside it,
 * the hand of the host that changes what lies below, and that of a guest. They are made in the current directory: its
 * file system must have handles that persist.
 */
#ifndef HOLDFAST_EXPORT_TESTS_SCRATCH_H
#define HOLDFAST_EXPORT_TESTS_SCRATCH_H

#include "export/core.h"

#define SCRATCH_BOOT 1 /* of the host, as long as a test does not say otherwise */

struct scratch {
	char dir[64], share[80], state[80], outside[80];
	int statedir;
	struct export_config config;
	struct export *x;
	struct worker *w;
};

/* cmocka setup and teardown: *state is a struct scratch, its export is open; all files are removed. */
int scratch_setup(void **state);
int scratch_teardown(void **state);
#define SCRATCH_TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

/* The daemon: opens the export by f->config, with a worker. */
void start(struct scratch *f);
void stop(struct scratch *f);
void restart(struct scratch *f);

/* The host. The path of a name in the share is good for three calls more. */
const char *path_in(const struct scratch *f, const char *name);
void make_file(const struct scratch *f, const char *name); /* its content is its name */
ino_t host_ino(const struct scratch *f, const char *name);
void raise_key(struct scratch *f,
	       bool tell); /* as `revoke` does; `tell`: in the ring, as it does at last */

/* The guest. */
struct entry look_up(struct scratch *f, nodeid_t parent, const char *name);
struct entry look_up_path(struct scratch *f, const char *path);
/* What a decode does: 0 and the inode number, or the error. "Try again" is tried again. */
int decode(struct scratch *f, struct entry handle, ino_t *ino);
void opens(struct scratch *f, struct entry handle, ino_t ino);
void is_stale(struct scratch *f, struct entry handle);
struct node *hold(struct scratch *f, nodeid_t id);

#endif
