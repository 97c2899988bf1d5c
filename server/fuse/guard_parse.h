/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guard_parse.h - a request in the course of being judged: what guard.c and guard_ext.c share.
 */
#ifndef HOLDFAST_FUSE_GUARD_PARSE_H
#define HOLDFAST_FUSE_GUARD_PARSE_H

#include <string.h>

#include "fuse/guard.h"

struct parse {
	const struct guard_terms *terms;
	struct fuse_in_header in; /* a copy */
	const uint8_t *args;	  /* behind the header */
	size_t args_len;	  /* without extensions */
	size_t outside;		  /* bytes of a WRITE's data that follow elsewhere */
	const uint8_t *ext;
	size_t ext_len;
	size_t fixed; /* bytes of the argument struct in this request */
	size_t at;    /* bytes of `args` that are accounted for */

	/* What has to change before it is handed on. */
	size_t cut_at, cut_len;
	bool patched;
	size_t patch_at;
	uint32_t patch;

	struct fuse_request *out;
};

/* Fields of the argument struct, whose length was checked before. */
static inline uint32_t parse_u32(const struct parse *p, size_t at)
{
	uint32_t v;

	memcpy(&v, p->args + at, sizeof(v));
	return v;
}
static inline uint64_t parse_u64(const struct parse *p, size_t at)
{
	uint64_t v;

	memcpy(&v, p->args + at, sizeof(v));
	return v;
}

/* The field at `at` is to have the value `v` in what is handed on; one field for each request. */
static inline void parse_patch(struct parse *p, size_t at, uint32_t v)
{
	p->patched = true;
	p->patch_at = at;
	p->patch = v;
}

/* Judges p->ext and reads it into p->out: 0 or -EINVAL. (guard_ext.c) */
int guard_extensions(struct parse *p);

#endif
