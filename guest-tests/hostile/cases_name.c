/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_name.c - names that are none, or lead elsewhere, in every request that has one.
 *
 * After each the root of the share has as many entries as before, and the file beside the share is as it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "hostile.h"

static struct wire w;

static const uint32_t named[] = {
	FUSE_LOOKUP, FUSE_MKNOD, FUSE_MKDIR,  FUSE_UNLINK,  FUSE_RMDIR,
	FUSE_RENAME, FUSE_LINK,	 FUSE_CREATE, FUSE_SYMLINK, FUSE_RENAME2
};

struct name {
	const char *bytes;
	size_t len; /* with its NUL, if it has one */
	int want;
};

/* Argument structs that would be right with a right name. */
static void begin(struct hostile *h, uint32_t opcode)
{
	static const struct {
		uint32_t opcode;
		size_t args;
	} sizes[] = { { FUSE_MKNOD, sizeof(struct fuse_mknod_in) },
		      { FUSE_MKDIR, sizeof(struct fuse_mkdir_in) },
		      { FUSE_RENAME, sizeof(struct fuse_rename_in) },
		      { FUSE_RENAME2, sizeof(struct fuse_rename2_in) },
		      { FUSE_LINK, sizeof(struct fuse_link_in) },
		      { FUSE_CREATE, sizeof(struct fuse_create_in) } };
	uint64_t node = FUSE_ROOT_ID;

	wire_begin(&w, opcode, FUSE_ROOT_ID);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		if (sizes[i].opcode == opcode)
			wire_add(&w, (uint8_t[64]){ 0 }, sizes[i].args);
	if (opcode == FUSE_RENAME || opcode == FUSE_RENAME2)
		memcpy(w.args, &node, sizeof(node));
	if (opcode == FUSE_LINK)
		memcpy(w.args, &h->known, sizeof(h->known));
}

/* The names of a request: the bad one first, or (RENAME) second too. */
static void add_names(uint32_t opcode, const struct name *name, bool second)
{
	const bool two = opcode == FUSE_RENAME || opcode == FUSE_RENAME2;

	if (two && second)
		wire_string(&w, KNOWN);
	wire_add(&w, name->bytes, name->len);
	if ((two && !second) || opcode == FUSE_SYMLINK)
		wire_string(&w, "made-link");
}

static int bad_name(struct hostile *h, const struct hostile_case *c)
{
	const struct name *name = c->data;
	const int entries = host_entries(h);

	for (size_t i = 0; i < 2 * ARRAY_LEN(named); i++) {
		const uint32_t opcode = named[i / 2];
		const bool dots = opcode == FUSE_LOOKUP && c->arg;

		begin(h, opcode);
		add_names(opcode, name, i % 2);
		if (expect(h, opcode_name(opcode), wire_send(h, &w, 4096), dots ? 0 : name->want))
			return -1;
		/* Both dots of the root are the root. */
		if (dots && memcmp(wire_reply, (uint64_t[1]){ FUSE_ROOT_ID }, 8) != 0)
			return wrong(h, "LOOKUP left the root");
	}
	if (host_entries(h) != entries)
		return wrong(h, "the share has another number of entries");
	return 0;
}

/* Bytes that are odd and legal: made, looked up, and gone again. */
static int legal_name(struct hostile *h, const struct hostile_case *c)
{
	const char *name = c->data;
	struct fuse_entry_out entry;
	int ret = fecall_mkdir(&h->f, FUSE_ROOT_ID, name, 0700, &entry);

	if (expect(h, "MKDIR", ret, 0))
		return -1;
	ret = host_has(h, name) ? 0 : wrong(h, "the host has it not");
	if (!ret)
		ret = expect(h, "LOOKUP", fecall_lookup(&h->f, FUSE_ROOT_ID, name, &entry), 0);
	if (expect(h, "RMDIR", fecall_rmdir(&h->f, FUSE_ROOT_ID, name), 0))
		return -1;
	return ret;
}

static int two_names(struct hostile *h, const struct hostile_case *c)
{
	const uint32_t opcodes[] = { FUSE_RENAME, FUSE_RENAME2, FUSE_SYMLINK };

	for (size_t i = 0; i < ARRAY_LEN(opcodes); i++) {
		begin(h, opcodes[i]);
		for (unsigned n = 0; n < c->arg; n++)
			wire_string(&w, n ? "made-link" : KNOWN);
		if (expect(h, opcode_name(opcodes[i]), wire_send(h, &w, 4096), -EINVAL))
			return -1;
	}
	return 0;
}

struct target {
	size_t len;
	int want;
};

static int symlink_target(struct hostile *h, const struct hostile_case *c)
{
	const struct target *t = c->data;
	static char text[70000];
	int ret;

	memset(text, 't', t->len);
	text[t->len] = '\0';
	wire_begin(&w, FUSE_SYMLINK, FUSE_ROOT_ID);
	wire_string(&w, "made-link");
	wire_add(&w, text, t->len + 1);
	ret = expect(h, "SYMLINK", wire_send(h, &w, 4096), t->want);
	(void)fecall_unlink(&h->f, FUSE_ROOT_ID, "made-link");
	return ret;
}

/* Symlinks of the guest that lead out of the share are names and nothing else. */
static int symlink_leads_out(struct hostile *h, const struct hostile_case *c)
{
	struct fuse_entry_out link;
	struct fuse_entry_out entry;
	char text[512];
	uint64_t fh;
	int ret = -1;

	if (fecall_symlink(&h->f, FUSE_ROOT_ID, "made-link", c->data, &link))
		return wrong(h, "SYMLINK failed");
	if (expect(h, "OPEN", fecall_open(&h->f, link.nodeid, O_RDONLY, &fh), -ELOOP) ||
	    expect(h, "OPENDIR", fecall_opendir(&h->f, link.nodeid, &fh), -ENOTDIR) ||
	    expect(h, "LOOKUP in it", fecall_lookup(&h->f, link.nodeid, "secret", &entry),
		   -ENOTDIR) ||
	    expect(h, "CREATE over it",
		   fecall_create(&h->f, FUSE_ROOT_ID, "made-link", O_RDWR, 0644, &entry, &fh),
		   -ELOOP) ||
	    expect_either(h, "SETATTR of its size",
			  fecall_setattr(&h->f, link.nodeid,
					 &(struct fuse_setattr_in){ .valid = FATTR_SIZE,
								    .size = 0 },
					 NULL),
			  -ELOOP, -EINVAL))
		goto out;
	ret = fecall_readlink(&h->f, link.nodeid, text, sizeof(text));
	ret = ret < 0 && ret != -EINVAL ? wrong(h, "READLINK: %s", result_name(ret)) : 0;
out:
	(void)fecall_unlink(&h->f, FUSE_ROOT_ID, "made-link");
	return ret;
}

static int xattr_name(struct hostile *h, const struct hostile_case *c)
{
	const struct name *name = c->data;
	const struct fuse_setxattr_in in = { .size = 1 };

	wire_begin(&w, FUSE_SETXATTR, h->known);
	wire_add(&w, &in, sizeof(in));
	wire_add(&w, name->bytes, name->len);
	wire_add(&w, "v", 1);
	if (expect_either(h, "SETXATTR", wire_send(h, &w, 4096), name->want, -EOPNOTSUPP))
		return -1;
	wire_begin(&w, FUSE_REMOVEXATTR, h->known);
	wire_add(&w, name->bytes, name->len);
	return expect_either(h, "REMOVEXATTR", wire_send(h, &w, 4096), name->want, -EOPNOTSUPP);
}

#define N8 "nnnnnnnn"
#define N32 N8 N8 N8 N8
#define N128 N32 N32 N32 N32
#define N512 N128 N128 N128 N128
#define N255 N128 N32 N32 N32 N8 N8 N8 "nnnnnnn"
#define N4095 N512 N512 N512 N512 N512 N512 N512 N128 N128 N128 N32 N32 N32 N8 N8 N8 "nnnnnnn"

#define NAME(text, b, n, e)                                                                        \
	{                                                                                          \
		.name = (text), .run = bad_name, .data = &(const struct name)                      \
		{                                                                                  \
			(b), (n), (e)                                                              \
		}                                                                                  \
	}
#define DOTS(text, b)                                                                              \
	{                                                                                          \
		.name = (text), .run = bad_name, .arg = 1, .data = &(const struct name)            \
		{                                                                                  \
			(b), sizeof(b), -EINVAL                                                    \
		}                                                                                  \
	}
#define LEGAL(text, b)                                                                             \
	{                                                                                          \
		.name = (text), .run = legal_name, .data = (b)                                     \
	}
#define TARGET(text, n, e)                                                                         \
	{                                                                                          \
		.name = (text), .run = symlink_target, .data = &(const struct target)              \
		{                                                                                  \
			(n), (e)                                                                   \
		}                                                                                  \
	}
#define XATTR(text, b, n, e)                                                                       \
	{                                                                                          \
		.name = (text), .run = xattr_name, .data = &(const struct name)                    \
		{                                                                                  \
			(b), (n), (e)                                                              \
		}                                                                                  \
	}

static const struct hostile_case cases[] = {
	NAME("the name /", "/", 2, -EINVAL),
	NAME("the name a/b", "a/b", 4, -EINVAL),
	NAME("the name dir/inside, which is there", "dir/inside", 11, -EINVAL),
	NAME("the name ../secret", "../secret", 10, -EINVAL),
	NAME("the name known/", "known/", 7, -EINVAL),
	NAME("the name /etc/passwd", "/etc/passwd", 12, -EINVAL),
	NAME("the name //", "//", 3, -EINVAL),
	DOTS("the name ..", ".."),
	DOTS("the name .", "."),
	NAME("an empty name", "", 1, -EINVAL),
	NAME("a name without a NUL", "known", 5, -EINVAL),
	NAME("no name at all", "", 0, -EINVAL),
	NAME("a NUL in the name", "kno\0wn", 7, -EINVAL),
	NAME("a NUL in front of the name", "\0known", 7, -EINVAL),
	NAME("two NULs behind the name", "nothing\0", 9, -EINVAL),
	NAME("a name of 256 bytes", N255 "n", 257, -ENAMETOOLONG),
	NAME("a name of 4095 bytes", N4095, 4096, -ENAMETOOLONG),
	{ .name = "one name where two are due", .run = two_names, .arg = 1 },
	{ .name = "three names where two are due", .run = two_names, .arg = 3 },
	{ .name = "no name where two are due", .run = two_names, .arg = 0 },
	LEGAL("a name of 255 bytes is legal", N255),
	LEGAL("control bytes are legal", "\x01\x1b[31m\x7f\r\n"),
	LEGAL("invalid UTF-8 is legal", "\xff\xfe\xc0\x80\xed\xa0\x80"),
	LEGAL("three dots are legal", "..."),
	LEGAL("a name of spaces is legal", "   "),
	LEGAL("backslashes and wildcards are legal", "..\\..\\*?%s%n"),
	TARGET("a symlink to nothing", 0, -EINVAL),
	TARGET("a symlink of 4095 bytes", 4095, 0),
	TARGET("a symlink of 4096 bytes", 4096, -ENAMETOOLONG),
	TARGET("a symlink of 65000 bytes", 65000, -ENAMETOOLONG),
	{ .name = "a symlink to ../secret is not followed",
	  .run = symlink_leads_out,
	  .data = "../secret" },
	{ .name = "a symlink to .. is not followed", .run = symlink_leads_out, .data = ".." },
	{ .name = "a symlink to / is not followed", .run = symlink_leads_out, .data = "/" },
	{ .name = "a symlink to /proc/self/root is not followed",
	  .run = symlink_leads_out,
	  .data = "/proc/self/root" },
	XATTR("an attribute without a name", "", 1, -EINVAL),
	XATTR("an attribute's name without a NUL", "user.a", 6, -EINVAL),
	XATTR("an attribute's name of 256 bytes", N255 "n", 257, -ENAMETOOLONG),
};

const struct hostile_area area_name = { "name", cases, ARRAY_LEN(cases) };
