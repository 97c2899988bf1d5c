/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * row.c - the stored bytes of a row and of a name.
 *
 * Pure functions, called by the map (whose rows are sealed: what is decoded there is our own
 * writing) and by the ring (whose bytes another process may have written). Both are decoded
 * strictly: nothing that the encoders do not produce gets through, so what is behind may trust
 * names and types.
 *
 * Row (a typical ext4 row: 34 bytes and the name):
 *      1  format version (high nibble, 1) | MULTI
 *      1  tweak (high nibble) | type (low nibble: DT_* of dirent.h)
 *  1..10  inode number, unsigned LEB128
 *   1..5  number of the place, unsigned LEB128
 *      n  identity, local form (identity.c)
 *      n  name
 *
 * Name:
 *      8  rowid of the parent, little-endian
 *      1  length
 *      n  bytes of the name
 * An object of which no name is known has parent 0 and length 0.
 *
 * LEB128 numbers are in their shortest form.
 */
#include "export/row.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "export/nodeid.h"

#define VERSION_1 0x10
#define MULTI 0x01

#define TYPE_MASK 0x0f
#define TWEAK_SHIFT 4
#define TWEAK_FIELD_MAX 15

#define NAME_HEAD (8 + 1)

_Static_assert(MINT_TWEAK_MAX <= TWEAK_FIELD_MAX, "a tweak fits its half byte");
_Static_assert(HOLDFAST_NAME_MAX <= UINT8_MAX, "the length of a name fits its byte");

static uint8_t *leb128_put(uint8_t *p, uint64_t v)
{
	while (v >= 0x80) {
		*p++ = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	*p++ = (uint8_t)v;
	return p;
}

/* Advances *at. -EBADMSG: unfinished, not the shortest form, or over `max`. */
static int leb128_get(const uint8_t **at, const uint8_t *end, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;
	unsigned shift = 0;
	uint8_t byte;

	do {
		if (*at == end || shift > 63)
			return -EBADMSG;
		byte = *(*at)++;
		if (shift == 63 && byte > 1)
			return -EBADMSG;
		v |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);

	if (byte == 0 && shift > 7)
		return -EBADMSG;
	if (v > max)
		return -EBADMSG;
	*out = v;
	return 0;
}

static bool type_is_known(uint8_t type)
{
	switch (type) {
	case DT_FIFO:
	case DT_CHR:
	case DT_DIR:
	case DT_BLK:
	case DT_REG:
	case DT_LNK:
	case DT_SOCK:
		return true;
	default:
		return false;
	}
}

/* Could `len` bytes at `text` be one component of a path, and lead neither nowhere nor up? */
static bool text_is_name(const char *text, size_t len)
{
	if (len < 1 || len > HOLDFAST_NAME_MAX)
		return false;
	if (memchr(text, '/', len) || memchr(text, '\0', len))
		return false;
	return !(text[0] == '.' && (len == 1 || (len == 2 && text[1] == '.')));
}

size_t name_encode(const struct name *name, uint8_t out[NAME_ENCODED_MAX])
{
	assert(name->parent.v ? text_is_name(name->text, name->len) : name->len == 0);

	put_le64(out, name->parent.v);
	out[8] = name->len;
	memcpy(out + NAME_HEAD, name->text, name->len);
	return NAME_HEAD + (size_t)name->len;
}

ssize_t name_decode(const uint8_t *in, size_t len, struct name *out)
{
	size_t text_len;

	if (len < NAME_HEAD)
		return -EBADMSG;
	text_len = in[8];
	if (text_len > len - NAME_HEAD)
		return -EBADMSG;

	memset(out, 0, sizeof(*out));
	out->parent.v = get_le64(in);
	out->len = (uint8_t)text_len;
	memcpy(out->text, in + NAME_HEAD, text_len);
	if (rowid_equal(out->parent, ROWID_NONE) ? text_len != 0
						 : !text_is_name(out->text, text_len))
		return -EBADMSG;
	return (ssize_t)(NAME_HEAD + text_len);
}

bool name_equal(const struct name *a, const struct name *b)
{
	return rowid_equal(a->parent, b->parent) && a->len == b->len &&
	       !memcmp(a->text, b->text, a->len);
}

int name_set(struct name *out, rowid_t parent, const char *text)
{
	size_t len = strnlen(text, HOLDFAST_NAME_MAX + 1);

	if (len > HOLDFAST_NAME_MAX)
		return -ENAMETOOLONG;
	if (rowid_equal(parent, ROWID_NONE) || !text_is_name(text, len))
		return -EINVAL;

	memset(out, 0, sizeof(*out));
	out->parent = parent;
	out->len = (uint8_t)len;
	memcpy(out->text, text, len);
	return 0;
}

size_t row_encode(const struct row *row, uint32_t place, uint8_t out[ROW_MAX])
{
	uint8_t *p = out;

	assert(type_is_known(row->type) && row->tweak <= MINT_TWEAK_MAX);

	*p++ = VERSION_1 | (row->multi ? MULTI : 0);
	*p++ = (uint8_t)(row->tweak << TWEAK_SHIFT | row->type);
	p = leb128_put(p, row->ino);
	p = leb128_put(p, place);
	p += identity_encode_local(&row->identity, p);
	p += name_encode(&row->name, p);
	return (size_t)(p - out);
}

int row_decode(const uint8_t *in, size_t len, struct row *row, uint32_t *place)
{
	const uint8_t *p = in;
	const uint8_t *end = in + len;
	uint64_t number;
	ssize_t n;

	if (len < 2 || (p[0] & ~MULTI) != VERSION_1)
		return -EBADMSG;
	row->multi = p[0] & MULTI;
	row->type = p[1] & TYPE_MASK;
	row->tweak = p[1] >> TWEAK_SHIFT;
	if (!type_is_known(row->type) || row->tweak > MINT_TWEAK_MAX)
		return -EBADMSG;
	p += 2;

	if (leb128_get(&p, end, UINT64_MAX, &row->ino) || leb128_get(&p, end, UINT32_MAX, &number))
		return -EBADMSG;
	*place = (uint32_t)number;

	n = identity_decode_local(p, (size_t)(end - p), &row->identity);
	if (n < 0)
		return -EBADMSG;
	p += n;
	n = name_decode(p, (size_t)(end - p), &row->name);
	if (n < 0 || p + n != end)
		return -EBADMSG;
	return 0;
}
