/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guestmem.h - the guest's memory as the front-end shares it: a table of mapped regions.
 *
 * Immutable once made, with references: a change of the table makes a new one, in which the regions
 * that stay are shared, and what still works on the old one keeps it. Guest-physical addresses
 * (descriptors), front-end virtual addresses (SET_VRING_ADDR) and ours are three different things;
 * the first two have types here.
 *
 * A file behind a region may shrink at any time (unless it is sealed): the access is SIGBUS then. A
 * handler that guestmem_init() installs puts zeros in the region's place and marks it as lost; the
 * queue that notices ends the connection. The registry that the handler reads is the one global of
 * this module: signal handlers have no argument.
 */
#ifndef HOLDFAST_TRANSPORT_GUESTMEM_H
#define HOLDFAST_TRANSPORT_GUESTMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct mapping;

#define GUESTMEM_REGIONS_MAX 509 /* memory slots, as GET_MAX_MEM_SLOTS answers */

typedef struct {
	uint64_t v;
} guest_addr_t; /* guest-physical */
typedef struct {
	uint64_t v;
} frontend_addr_t; /* in the front-end's address space */

struct guestmem;

/* A region as a message describes it. */
struct guestmem_region {
	guest_addr_t guest;
	uint64_t size;
	frontend_addr_t frontend;
	uint64_t offset; /* in the file */
};

/* Installs the SIGBUS handler (once for the process; later calls do nothing). 0 or -errno. */
int guestmem_init(void);

/* An empty table, with one reference. 0 or -ENOMEM. */
int guestmem_new(struct guestmem **out);

/*
 * A new table: that of `old` and one region more, mapped from `fd` (not taken over). -EINVAL:
 * empty, wraps around, longer than its file, overlaps another in guest's or front-end's addresses,
 * no regular file, or too many; -ENOMEM and mmap's.
 */
int guestmem_add(const struct guestmem *old, const struct guestmem_region *region, int fd,
		 struct guestmem **out);

/*
 * A new table without this region (guest address, front-end address and size must match): -ENOENT.
 */
int guestmem_remove(const struct guestmem *old, const struct guestmem_region *region,
		    struct guestmem **out);

struct guestmem *guestmem_ref(struct guestmem *m);
void guestmem_unref(
	struct guestmem *m); /* takes NULL; with the last reference to a region it is unmapped */

unsigned guestmem_count(const struct guestmem *m);

/*
 * Our addresses of [addr, addr + len), which may lie in several regions that follow each other:
 * appended to iov (room for `max`). The number of pieces, at least 1 for len > 0; -EFAULT when a
 * byte is outside; -E2BIG when there is no room. len 0: 0 pieces.
 */
int guestmem_translate(const struct guestmem *m, guest_addr_t addr, uint64_t len, struct iovec *iov,
		       unsigned max);

/* A ring part: contiguous, aligned to `align`; NULL if it is not. By the front-end's address. */
void *guestmem_ring(const struct guestmem *m, frontend_addr_t addr, uint64_t len, unsigned align);

/* Has an access met memory that is no more? */
bool guestmem_lost(const struct guestmem *m);

/*
 * Other memory of the front-end's, guarded in the same way: `size` bytes of a file. As
 * guestmem_add().
 */
struct guestmem_mapping {
	struct mapping *mapping;
	uint8_t *at;
};
int guestmem_map(int fd, uint64_t offset, uint64_t size, struct guestmem_mapping *out);
void guestmem_unmap(struct guestmem_mapping *m); /* takes one that is empty */
bool guestmem_mapping_lost(const struct guestmem_mapping *m);

#endif
