/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * filter_private.h - what a line of the list of system calls consists of. Between filter.c and filter_table.c.
 */
#ifndef HOLDFAST_SANDBOX_FILTER_PRIVATE_H
#define HOLDFAST_SANDBOX_FILTER_PRIVATE_H

#include <seccomp.h>
#include <stddef.h>

/* When a group belongs to the list. */
enum filter_when {
	FILTER_ALWAYS,
	FILTER_WRITABLE, /* not with --readonly */
	FILTER_PLAIN,	 /* --moved-out=allow */
	FILTER_SYSLOG,	 /* --syslog */
	FILTER_KEYRING,	 /* --key-keyring, without --key-helper */
};

#define FILTER_TERMS 3

/*
 * A call, allowed if all the terms hold; more lines for one call are alternatives. A term: (argument & mask) == value.
 * Where `own_pid` is set, argument 0 must be the process's own number besides.
 */
struct filter_call {
	int call; /* SCMP_SYS() */
	unsigned terms;
	struct {
		unsigned arg;
		uint64_t mask, value;
	} term[FILTER_TERMS];
	bool own_pid;
};

struct filter_group {
	enum filter_when when;
	const struct filter_call *calls;
	size_t count;
};

extern const struct filter_group filter_groups[];
extern const size_t filter_groups_count;

/* What a library tries first and has another way for: it is told that the kernel does not know them (ENOSYS). */
extern const int filter_unknown[];
extern const size_t filter_unknown_count;

#endif
