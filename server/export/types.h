/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * types.h - the numbers that must never be mixed up, each its own type.
 */
#ifndef HOLDFAST_EXPORT_TYPES_H
#define HOLDFAST_EXPORT_TYPES_H

#include <stdbool.h>
#include <stdint.h>

#define HOLDFAST_UUID_LEN 16
#define HOLDFAST_NAME_MAX 255 /* bytes in one component of a path, without the NUL */

/* What the guest sees. 0 is never used, 1 is the share's root. */
typedef struct {
	uint64_t v;
} nodeid_t;

/* The key in the map: the nodeid with the permutation undone. */
typedef struct {
	uint64_t v;
} rowid_t;

/* The second lock beside the nodeid; the root's is 0. */
typedef struct {
	uint32_t v;
} generation_t;

#define NODEID_ROOT ((nodeid_t){ 1 })
#define ROWID_ROOT ((rowid_t){ 1 }) /* parent of what lies in the root; no row has it */
#define ROWID_NONE ((rowid_t){ 0 })

static inline bool nodeid_equal(nodeid_t a, nodeid_t b)
{
	return a.v == b.v;
}
static inline bool rowid_equal(rowid_t a, rowid_t b)
{
	return a.v == b.v;
}
static inline bool nodeid_is_root(nodeid_t id)
{
	return id.v == 1;
}

#endif
