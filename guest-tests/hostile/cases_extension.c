/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_extension.c - extensions behind MKDIR whose lengths, sizes and counts lie: EINVAL, and no directory is made.
 */
#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "hostile.h"

#define MADE "made-dir"

static struct wire w;

struct ext {
	uint32_t size, type; /* 0 for the size: what is true */
	uint32_t label_size; /* of the context */
	const char *name;    /* of the context; NULL: a list of groups */
	uint32_t label_bytes;
	uint32_t groups, group_bytes;
	uint16_t total; /* 0: what is true, in units of 8 bytes */
	uint8_t copies; /* 0: 1 */
	int want;
};

static void add_padding(size_t from)
{
	while ((w.len - from) % 8)
		wire_add(&w, "", 1);
}

static void add_extension(const struct ext *e)
{
	const size_t at = w.len;
	struct fuse_ext_header head = { .type = e->type };
	const struct fuse_secctx context = { .size = e->label_size };
	static const uint8_t bytes[4096];

	wire_add(&w, &head, sizeof(head));
	if (e->name) {
		wire_add(&w, &context, sizeof(context));
		wire_string(&w, e->name);
		wire_add(&w, bytes, e->label_bytes);
	} else if (e->group_bytes) {
		wire_add(&w, &e->groups, sizeof(e->groups));
		wire_add(&w, bytes, e->group_bytes);
	}
	add_padding(at);
	head.size = e->size ? e->size : (uint32_t)(w.len - at);
	memcpy(w.args + at, &head, sizeof(head));
}

static int extension(struct hostile *h, const struct hostile_case *c)
{
	const struct ext *e = c->data;
	size_t at;
	int ret;

	wire_valid(h, &w, FUSE_MKDIR);
	at = w.len;
	for (unsigned i = 0; i < (e->copies ? e->copies : 1U); i++)
		add_extension(e);
	w.head.total_extlen = e->total ? e->total : (uint16_t)((w.len - at) / 8);
	ret = expect(h, "MKDIR", wire_send(h, &w, 4096), e->want);
	if (!ret && host_has(h, MADE) != (e->want == 0))
		ret = wrong(h, "the directory is %s", e->want ? "there" : "not there");
	(void)fecall_rmdir(&h->f, FUSE_ROOT_ID, MADE);
	return ret;
}

/* Where no extension may be. */
static int on_lookup(struct hostile *h, const struct hostile_case *c)
{
	const struct fuse_ext_header head = { .size = 8, .type = 0 };

	wire_valid(h, &w, (uint32_t)c->arg);
	wire_add(&w, &head, sizeof(head));
	w.head.total_extlen = 1;
	return expect(h, "the reply", wire_send(h, &w, 4096), -EINVAL);
}

#define EXT(text, ...)                                                                             \
	{                                                                                          \
		.name = (text), .run = extension, .data = &(const struct ext)                      \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}
#define LIES(text, ...) EXT(text, __VA_ARGS__, .want = -EINVAL)
#define GROUPS .type = FUSE_EXT_GROUPS

static const struct hostile_case cases[] = {
	EXT("a list of one group is taken", GROUPS, .groups = 1, .group_bytes = 4),
	LIES("total_extlen is more than the request", GROUPS, .groups = 1, .group_bytes = 4,
	     .total = 65535),
	LIES("total_extlen is less than the extensions", GROUPS, .groups = 1, .group_bytes = 4,
	     .total = 1),
	LIES("total_extlen reaches into the name", GROUPS, .groups = 1, .group_bytes = 4,
	     .total = 3),
	LIES("an extension of no bytes", GROUPS, .groups = 1, .group_bytes = 4, .size = 7),
	LIES("an extension of 4 bytes", GROUPS, .groups = 1, .group_bytes = 4, .size = 4),
	LIES("an extension of 12 bytes", GROUPS, .groups = 1, .group_bytes = 4, .size = 12),
	LIES("an extension longer than all of them", GROUPS, .groups = 1, .group_bytes = 4,
	     .size = 4096),
	LIES("an extension of 2^32-8 bytes", GROUPS, .groups = 1, .group_bytes = 4,
	     .size = UINT32_MAX - 7),
	LIES("an extension of an unknown kind", .type = 99, .group_bytes = 4),
	LIES("an extension of kind 2^32-1", .type = UINT32_MAX, .group_bytes = 4),
	LIES("a list of no groups", GROUPS, .groups = 0, .group_bytes = 4),
	LIES("a list that counts 2 groups and has 1", GROUPS, .groups = 2, .group_bytes = 4),
	LIES("a list that counts 2^32-1 groups", GROUPS, .groups = UINT32_MAX, .group_bytes = 4),
	LIES("a list of 1000 groups", GROUPS, .groups = 1000, .group_bytes = 4000),
	LIES("a list of groups without its count", GROUPS),
	LIES("two lists of groups", GROUPS, .groups = 1, .group_bytes = 4, .copies = 2),
	LIES("a context without a name", .type = 1, .name = "", .label_size = 4, .label_bytes = 4),
	LIES("a context that is called user.x", .type = 1, .name = "user.x", .label_size = 4,
	     .label_bytes = 4),
	LIES("a context that is called security.", .type = 1, .name = "security.", .label_size = 4,
	     .label_bytes = 4),
	LIES("a context that is called trusted.holdfast.handle", .type = 1,
	     .name = "trusted.holdfast.handle", .label_size = 4, .label_bytes = 4),
	LIES("a context whose label is longer than it", .type = 1, .name = "security.a",
	     .label_size = 4096, .label_bytes = 4),
	LIES("a context whose label has 2^32-1 bytes", .type = 1, .name = "security.a",
	     .label_size = UINT32_MAX, .label_bytes = 4),
	LIES("31 contexts are counted and one is there", .type = 31, .name = "security.a",
	     .label_size = 4, .label_bytes = 4),
	LIES("no context is counted and one is there", .type = 0, .name = "security.a",
	     .label_size = 4, .label_bytes = 4),
	LIES("two lists of contexts", .type = 1, .name = "security.a", .label_size = 4,
	     .label_bytes = 4, .copies = 2),
	{ .name = "LOOKUP has extensions", .run = on_lookup, .arg = FUSE_LOOKUP },
	{ .name = "GETATTR has extensions", .run = on_lookup, .arg = FUSE_GETATTR },
	{ .name = "WRITE has extensions", .run = on_lookup, .arg = FUSE_WRITE },
	{ .name = "RENAME has extensions", .run = on_lookup, .arg = FUSE_RENAME },
};

const struct hostile_area area_extension = { "extension", cases, ARRAY_LEN(cases) };
