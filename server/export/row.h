/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * row.h - what the map knows of an object.
 */
#ifndef HOLDFAST_EXPORT_ROW_H
#define HOLDFAST_EXPORT_ROW_H

#include "export/identity.h"

/* One place where an object was seen. */
struct name {
	rowid_t parent; /* ROWID_ROOT for the root's entries; ROWID_NONE: no name is known */
	uint8_t len;	/* bytes in use of `text` */
	char text[HOLDFAST_NAME_MAX + 1]; /* with a NUL behind; never "", ".", "..", never a '/' */
};

struct row {
	struct identity identity;
	uint64_t ino;  /* host inode number, as the mint was given it */
	uint8_t type;  /* DT_REG, DT_DIR, ... of <dirent.h> */
	uint8_t tweak; /* as in struct minted */
	bool multi;    /* had more than one link when last seen: further names are aliases */
	struct name name;
};

/*
 * The plain text of a row in the map: flags, ino, `place` (number of the place in the map's table),
 * local identity, name; documented byte by byte in row.c. Numbers are unsigned LEB128.
 */
#define ROW_MAX (2 + 10 + 5 + IDENTITY_LOCAL_MAX + 9 + 1 + HOLDFAST_NAME_MAX)
size_t row_encode(const struct row *row, uint32_t place, uint8_t out[ROW_MAX]);
/* 0 or -EBADMSG. `row->identity.place` is left to the caller, who looks up `*place`. */
int row_decode(const uint8_t *in, size_t len, struct row *row, uint32_t *place);

/* A name alone, for aliases and ring slots; parent ROWID_NONE goes with length 0, and only with it. */
#define NAME_ENCODED_MAX (8 + 1 + HOLDFAST_NAME_MAX)
size_t name_encode(const struct name *name, uint8_t out[NAME_ENCODED_MAX]);
ssize_t name_decode(const uint8_t *in, size_t len, struct name *out); /* consumed, or -EBADMSG */

bool name_equal(const struct name *a, const struct name *b);

/* Sets `out` from a NUL-terminated string; -EINVAL ("", ".", "..", '/', no parent), -ENAMETOOLONG. */
int name_set(struct name *out, rowid_t parent, const char *text);

#endif
