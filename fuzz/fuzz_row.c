/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_row.c - rows, names and identities as they are behind an envelope: whatever decodes can be encoded, and decodes
 * to the same again.
 */
#include <string.h>

#include "export/row.h"
#include "fuzz.h"

static void try_row(const uint8_t *data, size_t size)
{
	uint8_t again[ROW_MAX];
	uint32_t place = 0, place2 = 0;
	struct row row = { 0 }, row2 = { 0 };
	size_t len;

	if (row_decode(data, size, &row, &place))
		return;
	MUST(row.name.len == strlen(row.name.text));
	len = row_encode(&row, place, again);
	MUST(len <= sizeof(again));
	MUST(row_decode(again, len, &row2, &place2) == 0);
	MUST(place == place2 && row.ino == row2.ino && row.type == row2.type &&
	     row.tweak == row2.tweak && row.multi == row2.multi);
	MUST(name_equal(&row.name, &row2.name));
}

static void try_name(const uint8_t *data, size_t size)
{
	uint8_t again[NAME_ENCODED_MAX];
	struct name name, name2;
	ssize_t used = name_decode(data, size, &name);
	size_t len;

	if (used < 0)
		return;
	MUST((size_t)used <= size);
	len = name_encode(&name, again);
	MUST(name_decode(again, len, &name2) == (ssize_t)len);
	MUST(name_equal(&name, &name2));
}

static void try_identity(const uint8_t *data, size_t size)
{
	uint8_t again[IDENTITY_MAX];
	struct identity id, id2;
	ssize_t used = identity_decode(data, size, &id);
	size_t len;

	if (used < 0)
		return;
	MUST((size_t)used <= size);
	len = identity_encode(&id, again);
	MUST(identity_decode(again, len, &id2) == (ssize_t)len);
	MUST(identity_equal(&id, &id2));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	switch (data[0] % 3) {
	case 0:
		try_row(data + 1, size - 1);
		break;
	case 1:
		try_name(data + 1, size - 1);
		break;
	default:
		try_identity(data + 1, size - 1);
		break;
	}
	return 0;
}
