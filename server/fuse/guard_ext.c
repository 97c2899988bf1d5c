/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guard_ext.c - extensions behind the arguments of requests that create something (protocol 7.38).
 *
 * Each is a struct fuse_ext_header (size with the header, a multiple of 8; type) and its body.
 * Types up to FUSE_MAX_NR_SECCTX are the number of security contexts that follow; FUSE_EXT_GROUPS
 * is a list of supplementary groups. What INIT did not agree on is refused. Part of the guard:
 * pure, no state.
 */
#include <errno.h>

#include "fuse/guard_parse.h"

#define ALIGNED(n) (((n) + sizeof(uint64_t) - 1) & ~(sizeof(uint64_t) - 1))

/* Labels are attributes of this kind; any other name here would be a way around the xattr rules. */
static const char secctx_prefix[] = "security.";

static uint32_t u32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/*
 * One struct fuse_secctx | name, NUL | label at *at of `body`; moves *at behind it and its padding.
 */
static int one_context(struct fuse_request *out, const uint8_t *body, size_t len, size_t *at)
{
	const uint8_t *name;
	const uint8_t *nul;
	size_t left = len - *at;
	size_t name_len;
	uint32_t size;

	if (left < sizeof(struct fuse_secctx))
		return -EINVAL;
	size = u32(body + *at);
	name = body + *at + sizeof(struct fuse_secctx);
	left -= sizeof(struct fuse_secctx);
	nul = memchr(name, 0, left);
	if (!nul)
		return -EINVAL;
	name_len = (size_t)(nul - name);
	left -= name_len + 1;
	if (name_len > GUARD_NAME_MAX || name_len < sizeof(secctx_prefix) ||
	    memcmp(name, secctx_prefix, sizeof(secctx_prefix) - 1) != 0)
		return -EINVAL;
	if (size > left || size > GUARD_XATTR_MAX)
		return -EINVAL;

	if (!out->secctx_name) {
		out->secctx_name = (const char *)name;
		out->secctx = nul + 1;
		out->secctx_len = size;
	}
	*at += ALIGNED(sizeof(struct fuse_secctx) + name_len + 1 + size);
	if (*at > len)
		*at = len;
	return 0;
}

static int contexts(struct fuse_request *out, uint32_t count, const uint8_t *body, size_t len)
{
	size_t at = 0;
	int error;

	for (uint32_t i = 0; i < count; i++) {
		error = one_context(out, body, len, &at);
		if (error)
			return error;
	}
	return at == len ? 0 : -EINVAL;
}

/*
 * struct fuse_supp_groups. Linux sends one group, that of the directory, when the caller is in it.
 */
static int groups(struct fuse_request *out, const uint8_t *body, size_t len)
{
	struct holdfast_supp_groups head;

	if (len != ALIGNED(sizeof(head) + sizeof(uint32_t)))
		return -EINVAL;
	memcpy(&head, body, sizeof(head));
	if (head.nr_groups != 1)
		return -EINVAL;
	out->group = u32(body + sizeof(head));
	if (out->group == UINT32_MAX)
		return -EINVAL;
	out->has_group = true;
	return 0;
}

int guard_extensions(struct parse *p)
{
	bool seen_contexts = false;
	size_t at = 0;

	while (at < p->ext_len) {
		struct fuse_ext_header head;
		const uint8_t *body;
		int error = -EINVAL;

		if (p->ext_len - at < sizeof(head))
			return -EINVAL;
		memcpy(&head, p->ext + at, sizeof(head));
		if (head.size < sizeof(head) || head.size % sizeof(uint64_t) ||
		    head.size > p->ext_len - at)
			return -EINVAL;
		body = p->ext + at + sizeof(head);

		if (head.type <= FUSE_MAX_NR_SECCTX && p->terms->flags & FUSE_SECURITY_CTX &&
		    !seen_contexts) {
			seen_contexts = true;
			error = contexts(p->out, head.type, body, head.size - sizeof(head));
		} else if (head.type == FUSE_EXT_GROUPS &&
			   p->terms->flags & FUSE_CREATE_SUPP_GROUP && !p->out->has_group) {
			error = groups(p->out, body, head.size - sizeof(head));
		}
		if (error)
			return error;
		at += head.size;
	}
	return 0;
}
