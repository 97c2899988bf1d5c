/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ops_lookup.c - LOOKUP, with "." and ".." by which a guest decodes file handles, and FORGET.
 *
 * Called by libfuse, and fuse_wire_lookup() by the session, in the thread of the request.
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

/* By far the most frequent requests are these: libfuse has no part in them. */
void fuse_wire_lookup(struct fuse_thread *t)
{
	const struct fuse_in_header *in = t->request.in;
	struct fuse_entry_out out;
	struct entry entry;
	int error = do_lookup(t, in->nodeid, (const char *)t->request.args, &entry);

	if (error) {
		(void)fuse_thread_reply(t, in->unique, error, NULL, 0);
		return;
	}
	reply_fill_entry(t, &entry, &out);
	if (fuse_thread_reply(t, in->unique, 0, &out, sizeof(out)) != 0)
		export_forget(t->worker, entry.nodeid, 1);
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
