/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * world.h - the real thing beside the model: a share, a daemon that is started and killed, a guest that is a native
 * front-end. Each act is done to both, and whatever differs is a failure.
 */
#ifndef HOLDFAST_MODEL_WORLD_H
#define HOLDFAST_MODEL_WORLD_H

#include "fecalls.h"
#include "tree.h"

struct world {
	const char *holdfast; /* the binary */
	char dir[64];	      /* share, out, state, socket are in it */
	int share, out;	      /* directories of the host */
	pid_t daemon;	      /* 0: none runs */
	struct fedevice dev;
	struct fefuse fuse;
	bool connected; /* rings and memory have been made */
	/* The sequence in hand: */
	struct tree tree;
	uint64_t top; /* nodeid of its root, a directory in the share */
	char top_name[32];
	unsigned sequence;
	uint64_t random;
	uint64_t until; /* clock_ns(): a request that is tried again is given up */
	/* Counted: */
	uint64_t acts, checks, restarts, retries, stale;
};

/* One line of what was done, to be printed when something fails. */
__attribute__((format(printf, 2, 3))) void world_note(struct world *w, const char *fmt, ...);
/* Prints what was done in this sequence, and what `inspect` says of the object's handle (may be NULL); ends the process. */
__attribute__((format(printf, 3, 4))) _Noreturn void world_fail(struct world *w,
								const struct object *o,
								const char *fmt, ...);

/* --- daemon.c --- */

/* Starts it and connects, as a new guest; or with the same rings, and a new session. */
void world_start(struct world *w);
enum world_end { WORLD_TERM, WORLD_KILL };
void world_end(struct world *w, enum world_end how);
/* While none runs: the map is lost. */
void world_lose_map(struct world *w);

/* --- guest.c: all but world_guest_check() give 0 or -errno of the reply --- */

int world_guest_make(struct world *w, struct object *dir, const char *text, enum tree_type type,
		     unsigned id, struct fuse_entry_out *out);
int world_guest_link(struct world *w, struct object *o, struct object *dir, const char *text);
int world_guest_remove(struct world *w, struct object *dir, const char *text, bool is_dir);
int world_guest_rename(struct world *w, struct object *dir, const char *text, struct object *to_dir,
		       const char *to_text, enum tree_rename how);
int world_guest_lookup(struct world *w, struct object *dir, const char *text,
		       struct fuse_entry_out *out);
/* The nodeid of an object that is alive: known, or found by names from the top. Fails the run if it cannot be had. */
uint64_t world_guest_nodeid(struct world *w, struct object *o);
/* What a reply that names `o` must say; the guest knows it then. */
void world_guest_learn(struct world *w, struct object *o, const struct fuse_entry_out *e);
/* Uses its handle as a guest's kernel does, and compares all that comes of it with the model. */
void world_guest_check(struct world *w, struct object *o);
/* Opens a file and keeps it open; reads by an open fh; lets it go. */
void world_guest_open(struct world *w, struct object *o);
void world_guest_read_open(struct world *w, struct object *o);
void world_guest_release(struct world *w, struct object *o);
void world_guest_forget(struct world *w, struct object *o);
/* The names of a directory, by READDIRPLUS. */
void world_guest_list(struct world *w, struct object *dir);

/* --- host.c: 0 or -errno --- */

int world_host_make(struct world *w, struct object *dir, const char *text, enum tree_type type,
		    unsigned id);
int world_host_link(struct world *w, struct object *o, struct object *dir, const char *text);
int world_host_remove(struct world *w, struct object *dir, const char *text, bool is_dir);
int world_host_rename(struct world *w, struct object *dir, const char *text, struct object *to_dir,
		      const char *to_text, enum tree_rename how);
/* Renames it to a name in w->out, or back. */
int world_host_move(struct world *w, struct object *o, bool out);
uint64_t world_host_ino(struct world *w, struct object *o);
void world_host_clear(struct world *w); /* removes all of the sequence */

/* What a file of the sequence holds. */
void world_content(const struct world *w, unsigned id, char out[64]);

#endif
