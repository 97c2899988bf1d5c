/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fixture.h - what the tests of ring, map and drain have in common: a directory, objects, records.
 */
#ifndef HOLDFAST_EXPORT_TESTS_FIXTURE_H
#define HOLDFAST_EXPORT_TESTS_FIXTURE_H

#include "export/ring.h"

struct fixture {
	char dir[64]; /* a new directory */
	int dirfd;
};

/* cmocka setup and teardown: *state is a struct fixture; all files in the directory are removed. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* The n-th object: another n, another identity. Every third place is another one. */
struct identity fixture_identity(uint64_t n);

/* A record of the object `n` under rowid `rowid`; `name` NULL: without a name. */
struct record fixture_record(enum record_kind kind, uint64_t rowid, uint64_t n, const char *name,
			     bool multi);

/* A small generator for repeatable randomness. */
uint64_t fixture_random(uint64_t *seed);

#endif
