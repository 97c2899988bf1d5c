/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * femem.h - a guest's memory: regions of memfds, anywhere in the guest's address space.
 *
 * A guest address is a plain number; the front-end's address of a region (which SET_VRING_ADDR speaks in) is where it is
 * mapped here. Who tells the back-end of the regions is fedevice.h, or the caller.
 */
#ifndef HOLDFAST_NATIVE_FEMEM_H
#define HOLDFAST_NATIVE_FEMEM_H

#include <stddef.h>
#include <stdint.h>

#include "transport/vhostmsg.h"

#define FEMEM_REGIONS_MAX 520

struct femem_region {
	uint64_t guest, size;
	uint64_t offset; /* in the file */
	int fd;		 /* owned */
	uint8_t *at;	 /* mapped here */
	uint64_t taken;	 /* bytes given out by femem_alloc() */
};

struct femem {
	struct femem_region regions[FEMEM_REGIONS_MAX];
	unsigned count;
};

void femem_init(struct femem *m);
void femem_free(struct femem *m); /* all regions */

/* A region of a memfd of its own. -EEXIST: overlaps another. */
int femem_add(struct femem *m, uint64_t guest, uint64_t size);
/* A region of this file (the descriptor is duplicated) from `offset` on. */
int femem_add_file(struct femem *m, uint64_t guest, uint64_t size, int fd, uint64_t offset);
/* Takes the region at `guest` out. -ENOENT. */
int femem_remove(struct femem *m, uint64_t guest);

/* The region that holds an address, or NULL. */
struct femem_region *femem_region(struct femem *m, uint64_t guest);
/* As messages have it. */
struct vhost_region femem_wire(const struct femem_region *r);

/* Where [guest, guest + len) is mapped, or NULL when it is not within one region. */
void *femem_at(struct femem *m, uint64_t guest, size_t len);
/* Copies, also over regions that follow each other. -EFAULT. */
int femem_write(struct femem *m, uint64_t guest, const void *bytes, size_t len);
int femem_read(struct femem *m, uint64_t guest, void *bytes, size_t len);

/* `size` bytes that nobody has, in the region at `guest`; never given back. The address, or 0. */
uint64_t femem_alloc(struct femem *m, uint64_t guest, size_t size, size_t align);

#endif
