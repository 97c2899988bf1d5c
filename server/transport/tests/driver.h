/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * driver.h - the other end of a ring, for tests: a guest's memory in a memfd and a driver that does
 * as it is told.
 *
 * Three regions of one file. A and B follow each other for the guest, but not in the file nor for
 * us; C stands alone.
 */
#ifndef HOLDFAST_TRANSPORT_TESTS_DRIVER_H
#define HOLDFAST_TRANSPORT_TESTS_DRIVER_H

#include "transport/vring_private.h"

#define MIB (1024ULL * 1024)

#define A_GUEST 0x10000000ULL
#define A_SIZE (4 * MIB)
#define B_GUEST (A_GUEST + A_SIZE)
#define B_SIZE (2 * MIB)
#define C_GUEST 0x20000000ULL
#define C_SIZE (2 * MIB)
#define FRONTEND 0x7f0000000000ULL /* + where it is in the file */

/* Where they are in the file. */
#define A_FILE 0ULL
#define C_FILE A_SIZE
#define B_FILE (A_SIZE + C_SIZE)
#define FILE_SIZE (A_SIZE + B_SIZE + C_SIZE)

/* The ring, in region A, has room for the largest; then come data and indirect tables. */
#define DESC_AT 0ULL
#define AVAIL_AT 0x90000ULL
#define USED_AT 0xb0000ULL
#define DATA_AT 0x200000ULL
#define DATA (A_GUEST + DATA_AT) /* guest-physical */

struct driver {
	int fd;
	uint8_t *at; /* all of the file, our own mapping */
	struct guestmem *memory;
	struct vring_setup setup;
	struct vring *ring; /* NULL until driver_start() */
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t *used_event, *avail_event;
	uint16_t next; /* of the available ring */
};

/*
 * guestmem_init(), at the beginning of a test: cmocka puts a handler of its own in the place of the
 * one for SIGBUS.
 */
void driver_guard(void);

/*
 * A ring of `size` in zeroed memory, with EVENT_IDX and INDIRECT_DESC; d->setup may be changed
 * before the start.
 */
void driver_open(struct driver *d, unsigned size);
void driver_start(struct driver *d);
void driver_close(struct driver *d);

/* Indices of both rings begin at `base`: before driver_start(). */
void driver_base(struct driver *d, uint16_t base);

void desc_set(struct vring_desc *at, uint64_t addr, uint32_t len, unsigned flags, unsigned next);
/* Where an address of the guest is in d->at. It must be in the memory. */
uint8_t *driver_at(const struct driver *d, uint64_t guest);
/* An indirect table at this address. */
struct vring_desc *driver_table(const struct driver *d, uint64_t guest);
/* Makes a head available. */
void driver_add(struct driver *d, unsigned head);
uint16_t driver_used_idx(const struct driver *d);

#endif
