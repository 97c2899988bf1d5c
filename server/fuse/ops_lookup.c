/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ops_lookup.c - LOOKUP, with "." and ".." by which a guest decodes file handles, and FORGET.
 *
 * Called by libfuse in the thread of the request.
 */
#include <string.h>

#include "fuse/ops.h"
#include "fuse/reply.h"

static int do_lookup(struct fuse_thread *t, uint64_t parent, const char *name, struct entry *out)
{
	CLEANUP_HELD struct held dir = { .t = t };
	int error;

	if (strcmp(name, ".") == 0)
		return export_lookup_self(t->worker, (nodeid_t){ parent }, out);
	if (strcmp(name, "..") == 0)
		return export_lookup_parent(t->worker, (nodeid_t){ parent }, out);
	error = held_get(t, parent, &dir);
	return error ? error : export_lookup(t->worker, dir.node, name, out);
}

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct entry entry;

	reply_entry(req, do_lookup(fuse_thread_of(req), parent, name, &entry), &entry);
}

void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	export_forget(fuse_thread_of(req)->worker, (nodeid_t){ ino }, count);
	fuse_reply_none(req);
}

void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *list)
{
	struct worker *w = fuse_thread_of(req)->worker;

	for (size_t i = 0; i < count; i++)
		export_forget(w, (nodeid_t){ list[i].ino }, list[i].nlookup);
	fuse_reply_none(req);
}
