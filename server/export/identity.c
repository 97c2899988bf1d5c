/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * identity.c - the canonical bytes of an identity, and comparison.
 *
 * Pure functions, called by the mint, the envelope and the map from any thread. What is encoded
 * here enters the PRF behind every nodeid and is stored: these bytes may never change for an
 * object, so a new layout needs a new form number, and the old one must still be what the mint
 * uses.
 *
 * Full form:                                   Local form (the place is known from elsewhere):
 *     1  form (high nibble, 1) | flags             1  form (high nibble, 2) | flags
 *    16  file system UUID
 *    16  subvolume UUID         if HAS_SUBVOL
 *     8  attachment             if HAS_ATTACHMENT
 *     8  birth time             if HAS_BTIME       8  birth time             if HAS_BTIME
 *   1/4  handle type            4 if WIDE_TYPE   1/4  handle type            4 if WIDE_TYPE
 *     1  handle length, 1..128                     1  handle length, 1..128
 *     n  handle                                    n  handle
 *
 * Numbers are little-endian; birth time is two's complement, ns since 1970. A flag is set exactly
 * if its field is not the empty value, WIDE_TYPE exactly if the type is not in 0..255: so there is
 * one encoding for each identity, and one identity for each encoding. Both forms tell their own
 * length.
 */
#include "export/identity.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/util.h"

#define FORM_MASK 0xf0
#define FORM_FULL 0x10
#define FORM_LOCAL 0x20

#define HAS_SUBVOL 0x01
#define HAS_ATTACHMENT 0x02
#define HAS_BTIME 0x04
#define WIDE_TYPE 0x08

static const uint8_t no_subvol[HOLDFAST_UUID_LEN];

/* What is left of the bytes to decode. */
struct input {
	const uint8_t *at;
	size_t left;
};

/* The next `n` bytes, or NULL when there are fewer. */
static const uint8_t *input_take(struct input *in, size_t n)
{
	const uint8_t *p = in->at;

	if (in->left < n)
		return NULL;
	in->at += n;
	in->left -= n;
	return p;
}

/* Flags of the fields that both forms have. */
static uint8_t object_flags(const struct identity *id)
{
	uint8_t flags = 0;

	if (id->btime_ns != IDENTITY_BTIME_NONE)
		flags |= HAS_BTIME;
	if (id->handle_type < 0 || id->handle_type > UINT8_MAX)
		flags |= WIDE_TYPE;
	return flags;
}

/* Birth time, type and handle; gives the end. */
static uint8_t *encode_object(const struct identity *id, uint8_t flags, uint8_t *p)
{
	assert(id->handle_len >= 1 && id->handle_len <= IDENTITY_HANDLE_MAX);

	if (flags & HAS_BTIME) {
		put_le64(p, (uint64_t)id->btime_ns);
		p += 8;
	}
	if (flags & WIDE_TYPE) {
		put_le32(p, (uint32_t)id->handle_type);
		p += 4;
	} else {
		*p++ = (uint8_t)id->handle_type;
	}
	*p++ = id->handle_len;
	memcpy(p, id->handle, id->handle_len);
	return p + id->handle_len;
}

size_t identity_encode(const struct identity *id, uint8_t out[IDENTITY_MAX])
{
	const struct place *place = &id->place;
	uint8_t flags = object_flags(id);
	uint8_t *p = out + 1;

	memcpy(p, place->fsid, sizeof(place->fsid));
	p += sizeof(place->fsid);
	if (memcmp(place->subvol, no_subvol, sizeof(no_subvol)) != 0) {
		flags |= HAS_SUBVOL;
		memcpy(p, place->subvol, sizeof(place->subvol));
		p += sizeof(place->subvol);
	}
	if (place->attachment) {
		flags |= HAS_ATTACHMENT;
		put_le64(p, place->attachment);
		p += 8;
	}
	out[0] = FORM_FULL | flags;
	return (size_t)(encode_object(id, flags, p) - out);
}

size_t identity_encode_local(const struct identity *id, uint8_t out[IDENTITY_LOCAL_MAX])
{
	uint8_t flags = object_flags(id);

	out[0] = FORM_LOCAL | flags;
	return (size_t)(encode_object(id, flags, out + 1) - out);
}

static int decode_place(struct input *in, uint8_t flags, struct place *out)
{
	const uint8_t *p;

	memset(out, 0, sizeof(*out));
	p = input_take(in, sizeof(out->fsid));
	if (!p)
		return -EBADMSG;
	memcpy(out->fsid, p, sizeof(out->fsid));

	if (flags & HAS_SUBVOL) {
		p = input_take(in, sizeof(out->subvol));
		if (!p || !memcmp(p, no_subvol, sizeof(no_subvol)))
			return -EBADMSG;
		memcpy(out->subvol, p, sizeof(out->subvol));
	}
	if (flags & HAS_ATTACHMENT) {
		p = input_take(in, 8);
		if (!p || !get_le64(p))
			return -EBADMSG;
		out->attachment = get_le64(p);
	}
	return 0;
}

/* Two's complement, without the conversions that C leaves to the implementation. */
static int64_t signed_of(uint64_t v)
{
	int64_t s;

	memcpy(&s, &v, sizeof(s));
	return s;
}

static int decode_type(struct input *in, uint8_t flags, int32_t *out)
{
	const uint8_t *p = input_take(in, flags & WIDE_TYPE ? 4 : 1);
	uint32_t wide;

	if (!p)
		return -EBADMSG;
	if (!(flags & WIDE_TYPE)) {
		*out = *p;
		return 0;
	}
	wide = get_le32(p);
	if (wide <= UINT8_MAX)
		return -EBADMSG;
	memcpy(out, &wide, sizeof(*out));
	return 0;
}

static int decode_object(struct input *in, uint8_t flags, struct identity *out)
{
	const uint8_t *p;

	out->btime_ns = IDENTITY_BTIME_NONE;
	if (flags & HAS_BTIME) {
		p = input_take(in, 8);
		if (!p || signed_of(get_le64(p)) == IDENTITY_BTIME_NONE)
			return -EBADMSG;
		out->btime_ns = signed_of(get_le64(p));
	}
	if (decode_type(in, flags, &out->handle_type))
		return -EBADMSG;

	p = input_take(in, 1);
	if (!p || *p < 1 || *p > IDENTITY_HANDLE_MAX)
		return -EBADMSG;
	out->handle_len = *p;
	p = input_take(in, out->handle_len);
	if (!p)
		return -EBADMSG;
	memset(out->handle, 0, sizeof(out->handle));
	memcpy(out->handle, p, out->handle_len);
	return 0;
}

ssize_t identity_decode(const uint8_t *in, size_t len, struct identity *out)
{
	struct input input = { in, len };
	const uint8_t *form = input_take(&input, 1);

	if (!form || (*form & FORM_MASK) != FORM_FULL)
		return -EBADMSG;
	if (decode_place(&input, *form, &out->place) || decode_object(&input, *form, out))
		return -EBADMSG;
	return input.left == 0 ? (ssize_t)len : -EBADMSG;
}

ssize_t identity_decode_local(const uint8_t *in, size_t len, struct identity *out)
{
	struct input input = { in, len };
	const uint8_t *form = input_take(&input, 1);

	if (!form || (*form & FORM_MASK) != FORM_LOCAL)
		return -EBADMSG;
	if (*form & (HAS_SUBVOL | HAS_ATTACHMENT))
		return -EBADMSG;
	if (decode_object(&input, *form, out))
		return -EBADMSG;
	return (ssize_t)(len - input.left);
}

bool place_equal(const struct place *a, const struct place *b)
{
	return !memcmp(a->fsid, b->fsid, sizeof(a->fsid)) &&
	       !memcmp(a->subvol, b->subvol, sizeof(a->subvol)) && a->attachment == b->attachment;
}

bool identity_equal(const struct identity *a, const struct identity *b)
{
	return place_equal(&a->place, &b->place) && a->btime_ns == b->btime_ns &&
	       a->handle_type == b->handle_type && a->handle_len == b->handle_len &&
	       !memcmp(a->handle, b->handle, a->handle_len);
}
