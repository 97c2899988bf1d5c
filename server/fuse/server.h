/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * server.h - the inside of struct fuse_server, for session.c, init.c and server.c alone.
 */
#ifndef HOLDFAST_FUSE_SERVER_H
#define HOLDFAST_FUSE_SERVER_H

#include "fuse/guard.h"
#include "fuse/init.h"

enum server_state {
	SERVER_WAITING, /* for INIT */
	SERVER_LIVE,
	SERVER_ENDED, /* DESTROY came: as waiting */
};

struct fuse_server {
	/* Fixed from the start: */
	struct export *export;
	struct fuse_config config;
	struct file_table *files;
	struct lock_table *locks;
	struct reopened *reopened;

	/*
	 * Written by INIT, DESTROY and reset under `lock`; read by every request without it.
	 * `state` is written last and read first.
	 */
	_Atomic int state; /* enum server_state */
	_Atomic uint64_t flags;
	_Atomic uint32_t minor;
	_Atomic bool is_refused;
	_Atomic bool resumed; /* another daemon has had the session before us */

	_Atomic uint64_t requests, refused;

	pthread_mutex_t lock;
	fuse_keep_fn *keep; /* guarded by lock, as what follows */
	void *keep_arg;
	struct fuse_agreement agreement; /* of the session that is live */
	struct worker *worker;		 /* guarded by lock: gives the nodes of closed files back */
	char refusal[INIT_REFUSAL_MAX];	 /* written once, before is_refused */
};

/* What a request is to be judged by now. */
struct guard_terms server_terms(const struct fuse_server *s);
bool server_live(const struct fuse_server *s);

/*
 * INIT is answered thus: what was open in a session before is closed, the new one is live (or
 * waits).
 */
void server_begin(struct fuse_server *s, const struct fuse_request *init,
		  const struct init_answer *answer);
/* DESTROY: what is open is closed. */
void server_end(struct fuse_server *s);

#endif
