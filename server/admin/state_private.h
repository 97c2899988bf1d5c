/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * state_private.h - between state.c and state_search.c.
 */
#ifndef HOLDFAST_ADMIN_STATE_PRIVATE_H
#define HOLDFAST_ADMIN_STATE_PRIVATE_H

#include "admin/state.h"

/* One search in hand: what is asked for, what was found out of the share. */
struct state_search {
	const struct state_request *request;
	struct state *state;
	char root[ROOT_IDENTITY_HEX]; /* of the share */
	int exit_code;		      /* set by state_fail */
};

/* One line in the log, the exit code; gives -1. */
__attribute__((format(printf, 3, 4))) int state_fail(struct state_search *q, int exit_code,
						     const char *fmt, ...);

/*
 * Does the path of a record show the record's root at this moment? STATE_SHOWS_HERE: on the file system (st_dev)
 * of the share in hand, so it is the same directory; STATE_SHOWS_ELSEWHERE: on another, so one of the two
 * is a clone.
 */
enum state_shows { STATE_SHOWS_NOT, STATE_SHOWS_HERE, STATE_SHOWS_ELSEWHERE };
enum state_shows state_record_shows(const struct state_search *q,
				    const struct state_record *record);

/* Opens the state directory below the base, or makes it: q->state->statedir and .created. 0 or -1. */
int state_search_base(struct state_search *q);

/* What state_record_read() has failed with, in words, and the exit code that is due. */
const char *state_record_error(int err);
int state_record_exit(int err);

/* A new record for the share in q->state->statedir. 0 or -1. */
int state_record_begin(struct state_search *q, const char id[STATE_ID_DIGITS + 1]);
int state_new_id(char id[STATE_ID_DIGITS + 1]); /* 0 or -errno */

/*
 * The file by which a directory is a state directory, whatever else it has lost: its name, or NULL: there is none. Only the
 * record says whose it is.
 */
const char *state_remains(int dirfd);

/* Does another process use the state? Asked before we do. */
bool state_in_use(const struct state *s);

/*
 * Opens the run directory: where the ring is (all daemons of an export must use one), else the first
 * place that will do. Sets *changed when the record has a new one. 0 or -1. (state_run.c)
 */
int state_run_open(struct state_search *q, bool in_use, bool *changed);

#endif
