// SPDX-License-Identifier: BSD-3-Clause
/*
 * ops.c - LOOKUP, GETATTR, OPEN, READDIRPLUS, READ, WRITE, CREATE as loads.
 *
 * Each checks what it gets: a daemon that answers fast and wrong is no measure.
 */
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"

#define PAGE 4096U /* of answers to READDIRPLUS, as Linux asks for them */

static uint8_t *ask_name(struct load_slot *s, uint32_t opcode, uint64_t parent, size_t head,
			 const char *name, size_t room)
{
	const size_t len = strlen(name) + 1;
	uint8_t *args = load_request(s, opcode, parent, head + len, 0, room);

	memcpy(args + head, name, len);
	return args;
}

/* The next of all files that are hot. */
static unsigned next_file(struct load *l, unsigned *dir)
{
	struct ops_context *c = l->context;
	const unsigned i = c->cursor++ % (TREE_DIRS * TREE_FILES);

	*dir = i / TREE_FILES;
	return i % TREE_FILES;
}

static const char *file_name(char name[16], char letter, unsigned i)
{
	snprintf(name, 16, "%c%u", letter, i);
	return name;
}

static int counted(struct load *l, int error, bool right)
{
	if (error || !right)
		return error ? error : -EBADMSG;
	l->count++;
	return 0;
}

/* --- LOOKUP, GETATTR ----------------------------------------------------------------------------------------- */

static bool hot_next(struct load *l, struct load_slot *s)
{
	const struct ops_context *c = l->context;
	unsigned dir;
	unsigned file;
	char name[16];

	if (l->ending)
		return false;
	file = next_file(l, &dir);
	ask_name(s, FUSE_LOOKUP, c->known->dirs[dir], 0, file_name(name, 'f', file),
		 sizeof(struct fuse_entry_out));
	s->nodeid = c->known->files[dir][file];
	return true;
}

static int hot_done(struct load *l, struct load_slot *s, int error, size_t len)
{
	const struct fuse_entry_out *out = (const void *)load_reply(s);

	return counted(l, error, len == sizeof(*out) && out->nodeid == s->nodeid);
}

static bool miss_next(struct load *l, struct load_slot *s)
{
	const struct ops_context *c = l->context;
	unsigned dir;
	unsigned file;
	char name[16];

	if (l->ending)
		return false;
	file = next_file(l, &dir);
	ask_name(s, FUSE_LOOKUP, c->known->dirs[dir], 0, file_name(name, 'm', file),
		 sizeof(struct fuse_entry_out));
	return true;
}

static int miss_done(struct load *l, struct load_slot *s, int error, size_t len)
{
	(void)s;
	return counted(l, error == -ENOENT ? 0 : error, error && !len);
}

static bool cold_next(struct load *l, struct load_slot *s)
{
	struct ops_context *c = l->context;
	char name[16];

	if (c->at == c->last || c->failed)
		return false;
	ask_name(s, FUSE_LOOKUP, c->cold[c->at / TREE_COLD_FILES], 0,
		 file_name(name, 'f', c->at % TREE_COLD_FILES), sizeof(struct fuse_entry_out));
	c->at++;
	return true;
}

static int cold_done(struct load *l, struct load_slot *s, int error, size_t len)
{
	const struct fuse_entry_out *out = (const void *)load_reply(s);
	struct ops_context *c = l->context;

	if (error && error == c->tolerated) {
		c->failed++;
		return 0;
	}
	if (!error && c->found)
		c->found[c->found_count++] = out->nodeid;
	return counted(l, error, len == sizeof(*out) && out->nodeid);
}

static bool decode_next(struct load *l, struct load_slot *s)
{
	struct ops_context *c = l->context;

	if (l->ending)
		return false;
	s->nodeid = c->handles[c->cursor++ % c->handle_count];
	ask_name(s, FUSE_LOOKUP, s->nodeid, 0, ".", sizeof(struct fuse_entry_out));
	return true;
}

static bool getattr_next(struct load *l, struct load_slot *s)
{
	const struct ops_context *c = l->context;
	unsigned dir;
	unsigned file;

	if (l->ending)
		return false;
	file = next_file(l, &dir);
	memset(load_request(s, FUSE_GETATTR, c->known->files[dir][file],
			    sizeof(struct fuse_getattr_in), 0, sizeof(struct fuse_attr_out)),
	       0, sizeof(struct fuse_getattr_in));
	return true;
}

static int getattr_done(struct load *l, struct load_slot *s, int error, size_t len)
{
	const struct fuse_attr_out *out = (const void *)load_reply(s);

	return counted(l, error, len == sizeof(*out) && out->attr.size == 4096);
}

/* --- OPEN and RELEASE ---------------------------------------------------------------------------------------- */

static void ask_open(struct load_slot *s, uint32_t opcode, uint64_t nodeid)
{
	const struct fuse_open_in in = { .flags = O_RDONLY };

	memcpy(load_request(s, opcode, nodeid, sizeof(in), 0, sizeof(struct fuse_open_out)), &in,
	       sizeof(in));
}

static void ask_release(struct load_slot *s, uint32_t opcode, uint64_t nodeid, uint64_t fh)
{
	const struct fuse_release_in in = { .fh = fh };

	memcpy(load_request(s, opcode, nodeid, sizeof(in), 0, 0), &in, sizeof(in));
}

static bool open_next(struct load *l, struct load_slot *s)
{
	const struct ops_context *c = l->context;
	unsigned dir;
	unsigned file;

	if (s->step == 1) {
		ask_release(s, FUSE_RELEASE, s->nodeid, s->fh);
		return true;
	}
	if (l->ending)
		return false;
	file = next_file(l, &dir);
	s->nodeid = c->known->files[dir][file];
	ask_open(s, FUSE_OPEN, s->nodeid);
	return true;
}

static int open_done(struct load *l, struct load_slot *s, int error, size_t len)
{
	const struct fuse_open_out *out = (const void *)load_reply(s);

	if (s->step == 1) {
		s->step = 0;
		return counted(l, error, !len);
	}
	s->fh = out->fh;
	s->step = 1;
	return counted(l, error, len == sizeof(*out));
}

/* --- READDIRPLUS ------------------------------------------------------------------------------------------------ */

enum { LIST_OPEN, LIST_READ, LIST_CLOSE };

static bool list_next(struct load *l, struct load_slot *s)
{
	const struct ops_context *c = l->context;
	struct fuse_read_in in = { .fh = s->fh, .offset = s->offset, .size = PAGE };

	switch (s->step) {
	case LIST_OPEN:
		if (l->ending)
			return false;
		s->nodeid = c->known->dirs[s->index % TREE_DIRS];
		s->offset = 0;
		ask_open(s, FUSE_OPENDIR, s->nodeid);
		return true;
	case LIST_READ:
		memcpy(load_request(s, FUSE_READDIRPLUS, s->nodeid, sizeof(in), 0, PAGE), &in,
		       sizeof(in));
		return true;
	default:
		ask_release(s, FUSE_RELEASEDIR, s->nodeid, s->fh);
		return true;
	}
}

static int list_done(struct load *l, struct load_slot *s, int error, size_t len)
{
	const uint8_t *reply = load_reply(s);
	const struct fuse_open_out *out = (const void *)reply;

	if (error)
		return error;
	if (s->step == LIST_OPEN)
		s->fh = out->fh;
	if (s->step == LIST_READ && len) {
		for (size_t at = 0; at + FUSE_NAME_OFFSET_DIRENTPLUS <= len;) {
			const struct fuse_direntplus *plus = (const void *)(reply + at);

			s->offset = plus->dirent.off;
			at += FUSE_DIRENTPLUS_SIZE(plus);
			l->count++;
		}
		return 0;
	}
	s->step = s->step == LIST_CLOSE ? LIST_OPEN : s->step + 1;
	return 0;
}

/* --- READ and WRITE ---------------------------------------------------------------------------------------------- */

static uint64_t next_offset(struct load_slot *s, uint32_t size)
{
	const uint64_t at = s->offset % TREE_DATA_BYTES;

	s->offset += size;
	return at / size * size;
}

static bool read_next(struct load *l, struct load_slot *s, uint32_t size)
{
	const struct ops_context *c = l->context;
	const unsigned file = s->index % TREE_DATA;
	struct fuse_read_in in = { .fh = c->known->data_fh[file], .size = size };

	if (l->ending)
		return false;
	in.offset = next_offset(s, size);
	memcpy(load_request(s, FUSE_READ, c->known->data[file], sizeof(in), 0, size), &in,
	       sizeof(in));
	return true;
}

static bool read_4k_next(struct load *l, struct load_slot *s)
{
	return read_next(l, s, PAGE);
}

static bool read_128k_next(struct load *l, struct load_slot *s)
{
	return read_next(l, s, LOAD_IO);
}

static int read_4k_done(struct load *l, struct load_slot *s, int error, size_t len)
{
	(void)s;
	return counted(l, error, len == PAGE);
}

static int read_128k_done(struct load *l, struct load_slot *s, int error, size_t len)
{
	(void)s;
	return counted(l, error, len == LOAD_IO);
}

static bool write_next(struct load *l, struct load_slot *s, uint32_t size)
{
	const struct ops_context *c = l->context;
	const unsigned file = s->index % TREE_DATA;
	struct fuse_write_in in = { .fh = c->known->data_fh[file], .size = size };

	if (l->ending)
		return false;
	in.offset = next_offset(s, size);
	memcpy(load_request(s, FUSE_WRITE, c->known->data[file], sizeof(in), size,
			    sizeof(struct fuse_write_out)),
	       &in, sizeof(in));
	return true;
}

static bool write_4k_next(struct load *l, struct load_slot *s)
{
	return write_next(l, s, PAGE);
}

static bool write_128k_next(struct load *l, struct load_slot *s)
{
	return write_next(l, s, LOAD_IO);
}

static int write_done(struct load *l, struct load_slot *s, int error, size_t len, uint32_t size)
{
	const struct fuse_write_out *out = (const void *)load_reply(s);

	return counted(l, error, len == sizeof(*out) && out->size == size);
}

static int write_4k_done(struct load *l, struct load_slot *s, int error, size_t len)
{
	return write_done(l, s, error, len, PAGE);
}

static int write_128k_done(struct load *l, struct load_slot *s, int error, size_t len)
{
	return write_done(l, s, error, len, LOAD_IO);
}

/* --- CREATE, RELEASE, UNLINK, FORGET -------------------------------------------------------------------------------- */

enum { CREATE_NEW, CREATE_RELEASE, CREATE_UNLINK };

/* The name of a slot's file; `serial` was counted when it was made. */
static const char *new_name(char name[32], const struct load_slot *s)
{
	snprintf(name, 32, "n%u-%lu", s->index, (unsigned long)s->offset);
	return name;
}

static bool create_next(struct load *l, struct load_slot *s)
{
	struct ops_context *c = l->context;
	const struct fuse_create_in in = { .flags = O_WRONLY | O_CREAT | O_EXCL,
					   .mode = S_IFREG | 0644 };
	char name[32];

	switch (s->step) {
	case CREATE_NEW:
		if (l->ending)
			return false;
		s->offset = c->serial++;
		memcpy(ask_name(s, FUSE_CREATE, c->known->fresh, sizeof(in), new_name(name, s),
				sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out)),
		       &in, sizeof(in));
		return true;
	case CREATE_RELEASE:
		ask_release(s, FUSE_RELEASE, s->nodeid, s->fh);
		return true;
	default:
		ask_name(s, FUSE_UNLINK, c->known->fresh, 0, new_name(name, s), 0);
		return true;
	}
}

static int create_done(struct load *l, struct load_slot *s, int error, size_t len)
{
	const struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} *out = (const void *)load_reply(s);
	const bool last = s->step == CREATE_UNLINK;

	if (s->step == CREATE_NEW) {
		s->nodeid = out->entry.nodeid;
		s->fh = out->open.fh;
	}
	error = counted(l, error, len == (s->step == CREATE_NEW ? sizeof(*out) : 0));
	s->step = last ? CREATE_NEW : s->step + 1;
	return !error && last ? load_forget(l, s->nodeid, false) : error;
}

const struct op op_lookup_hot = { "lookup, hot", "requests", hot_next, hot_done };
const struct op op_lookup_cold = { "lookup, first", "requests", cold_next, cold_done };
const struct op op_lookup_miss = { "lookup, no such name", "requests", miss_next, miss_done };
/* As a hot one: the nodeid is known beforehand. */
const struct op op_decode = { "lookup \".\"", "requests", decode_next, hot_done };
const struct op op_getattr = { "getattr", "requests", getattr_next, getattr_done };
const struct op op_open = { "open, release", "requests", open_next, open_done };
const struct op op_readdirplus = { "readdirplus", "entries", list_next, list_done };
const struct op op_read_4k = { "read 4 KiB", "requests", read_4k_next, read_4k_done };
const struct op op_read_128k = { "read 128 KiB", "requests", read_128k_next, read_128k_done };
const struct op op_write_4k = { "write 4 KiB", "requests", write_4k_next, write_4k_done };
const struct op op_write_128k = { "write 128 KiB", "requests", write_128k_next, write_128k_done };
const struct op op_create = { "create, release, unlink", "requests", create_next, create_done };
