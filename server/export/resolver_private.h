/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resolver_private.h - what resolver.c (up, down, the answer) and resolver_search.c (where else an object may be)
 * share. Nobody else includes this.
 */
#ifndef HOLDFAST_EXPORT_RESOLVER_PRIVATE_H
#define HOLDFAST_EXPORT_RESOLVER_PRIVATE_H

#include "export/core.h"

/* One component on the way down. */
struct step {
	nodeid_t nodeid;
	rowid_t rowid;
	nodeid_t parent;
	bool named; /* `parent` and `name` are known */
	bool row;   /* `identity` and what follows come from the map: there was no node */
	bool open;  /* it has a descriptor already */
	uint8_t type;
	uint64_t ino;
	unsigned tweak;
	generation_t generation;
	struct identity identity;
	char name[HOLDFAST_NAME_MAX + 1];
};

/* What one call of the resolver needs to know. */
struct way {
	nodeid_t target;
	struct looked *looked;
	bool *fresh;
	bool want_fd; /* who asks will need a descriptor of the target */
};

/* Does the error say that an object is not there? All others say that we could not look. */
bool says_elsewhere(int error);

/* Is what was looked at the object of the step? Then its node, checked and named. -ESTALE if not. */
int step_settle(struct worker *w, const struct step *s, const struct looked *looked,
		struct node *parent, const char *name, int fd, struct node **out);

/* Looks under a name. */
int step_by_name(struct worker *w, const struct step *s, struct node *parent, const char *name,
		 struct way *way, struct node **out);

/*
 * A component was not found under its name: all other ways in turn. -ESTALE: surely gone or outside;
 * another error: not found by any way.
 */
int step_search(struct worker *w, const struct step *s, struct way *way, struct node **out);

/* By a descriptor that its node has. -ENOENT: there is none. */
int step_by_cached_fd(struct worker *w, const struct step *s, struct node **out);

/* The whole way up from way->target and down again. */
int climb_and_descend(struct worker *w, struct way *way, struct node **out);

#endif
