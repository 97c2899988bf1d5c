/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * reopen.h - files that a guest has open since an earlier daemon, in a session that goes on without INIT.
 *
 * The guest goes on using the fhs of then. What such an fh is of comes with each request (the nodeid), so it is opened
 * anew when it is first used, and remembered until RELEASE. What was deleted meanwhile is ESTALE; locks are gone; a file is
 * opened for reading and writing where it can be, as the guest's kernel lets nothing through that its own open was not for.
 */
#ifndef HOLDFAST_FUSE_REOPEN_H
#define HOLDFAST_FUSE_REOPEN_H

#include "fuse/files.h"
#include "fuse/fuse.h"

struct reopened;

int reopened_new(struct reopened **out); /* 0 or -ENOMEM */
void reopened_free(struct reopened *r);	 /* takes NULL */
/* The session ends. What was opened is the table of files' to close. */
void reopened_clear(struct reopened *r);
/* How many are remembered: those that are open, and at most as many again and a few that are not. */
unsigned reopened_count(struct reopened *r);

/*
 * As file_get(), for an fh that the table of files never gave out itself. Those are as many as the table has room for. -EBADF: it
 * gave it, or it was reopened as something else; and what opening gives.
 */
int reopen_get(struct fuse_thread *t, struct reopened *r, uint64_t fh, nodeid_t nodeid,
	       enum file_kind kind, struct open_file **out);

/* As file_release(). One that was not used since is none of ours, and released all the same. */
int reopen_release(struct fuse_thread *t, struct reopened *r, uint64_t fh, nodeid_t nodeid,
		   enum file_kind kind);

#endif
