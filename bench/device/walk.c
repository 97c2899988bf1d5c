// SPDX-License-Identifier: BSD-3-Clause
/*
 * walk.c - a walk over a tree: directories are read by READDIRPLUS, files are asked for their attributes, opened, read and
 * closed. All slots take what is next from one list, to which directories add what they hold.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "ops.h"

#define PAGE 4096U
#define ITEMS_MAX 65536

struct item {
	uint64_t nodeid, size;
	bool directory;
};

struct walk {
	uint64_t root;
	unsigned taken, count; /* of `items`: from `taken` on they wait */
	struct item items[ITEMS_MAX];
};

enum { TAKE, OPENDIR, READDIR, CLOSEDIR, GETATTR, OPEN, READ, RELEASE };

struct walk *walk_new(uint64_t root)
{
	struct walk *w = calloc(1, sizeof(*w));

	if (w)
		w->root = root;
	return w;
}

void walk_free(struct walk *w)
{
	free(w);
}

void walk_begin(struct walk *w)
{
	w->taken = 0;
	w->count = 1;
	w->items[0] = (struct item){ .nodeid = w->root, .directory = true };
}

static void put(struct load_slot *s, uint32_t opcode, const void *args, size_t len, size_t room)
{
	memcpy(load_request(s, opcode, s->nodeid, len, 0, room), args, len);
}

static bool take(struct load *l, struct load_slot *s)
{
	struct walk *w = l->context;
	const struct item *item;

	if (w->taken == w->count)
		return false;
	item = &w->items[w->taken++];
	s->nodeid = item->nodeid;
	s->item = &w->items[w->taken - 1];
	s->offset = 0;
	s->step = item->directory ? OPENDIR : GETATTR;
	return true;
}

static bool walk_next(struct load *l, struct load_slot *s)
{
	const struct fuse_open_in open = { .flags = O_RDONLY };
	const struct fuse_getattr_in getattr = { 0 };
	struct fuse_release_in release = { .fh = s->fh };
	struct fuse_read_in in = { .fh = s->fh, .offset = s->offset };

	if (s->step == TAKE && !take(l, s))
		return false;
	switch (s->step) {
	case GETATTR:
		put(s, FUSE_GETATTR, &getattr, sizeof(getattr), sizeof(struct fuse_attr_out));
		break;
	case OPENDIR:
	case OPEN:
		put(s, s->step == OPEN ? FUSE_OPEN : FUSE_OPENDIR, &open, sizeof(open),
		    sizeof(struct fuse_open_out));
		break;
	case READDIR:
	case READ:
		in.size = s->step == READ ? LOAD_IO : PAGE;
		put(s, s->step == READ ? FUSE_READ : FUSE_READDIRPLUS, &in, sizeof(in), in.size);
		break;
	default:
		put(s, s->step == RELEASE ? FUSE_RELEASE : FUSE_RELEASEDIR, &release,
		    sizeof(release), 0);
	}
	return true;
}

/* The entries of an answer; how many bytes are none. */
static int add_entries(struct walk *w, struct load_slot *s, const uint8_t *reply, size_t len)
{
	for (size_t at = 0; at + FUSE_NAME_OFFSET_DIRENTPLUS <= len;) {
		const struct fuse_direntplus *plus = (const void *)(reply + at);
		const struct fuse_attr *attr = &plus->entry_out.attr;

		s->offset = plus->dirent.off;
		at += FUSE_DIRENTPLUS_SIZE(plus);
		if (!plus->entry_out.nodeid || plus->dirent.name[0] == '.')
			continue;
		if (w->count == ITEMS_MAX)
			return -ENOSPC;
		if (S_ISDIR(attr->mode) || S_ISREG(attr->mode))
			w->items[w->count++] = (struct item){ .nodeid = plus->entry_out.nodeid,
							      .size = attr->size,
							      .directory = S_ISDIR(attr->mode) };
	}
	return 0;
}

static int walk_done(struct load *l, struct load_slot *s, int error, size_t len)
{
	const struct fuse_open_out *out = (const void *)load_reply(s);
	const struct item *item = s->item;

	if (error)
		return error;
	l->count++;
	switch (s->step) {
	case OPENDIR:
	case OPEN:
		s->fh = out->fh;
		s->step++;
		return 0;
	case READDIR:
		if (len)
			return add_entries(l->context, s, load_reply(s), len);
		s->step++;
		return 0;
	case READ:
		s->offset += len;
		if (!len && s->offset < item->size)
			return -EBADMSG;
		s->step = s->offset < item->size ? READ : RELEASE;
		return 0;
	case CLOSEDIR:
	case RELEASE:
		s->step = TAKE;
		return 0;
	default:
		s->step++;
		return 0;
	}
}

const struct op op_walk = { "walk over a source tree", "requests", walk_next, walk_done };
