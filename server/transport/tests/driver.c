/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * driver.c - the other end of a ring, for tests.
 */
#include "driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <endian.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void driver_guard(void)
{
	static struct sigaction ours;
	static bool known;

	assert_int_equal(guestmem_init(), 0);
	assert_int_equal(sigaction(SIGBUS, known ? &ours : NULL, known ? NULL : &ours), 0);
	known = true;
}

static void add_region(struct driver *d, uint64_t guest, uint64_t file, uint64_t size)
{
	struct guestmem_region region = {
		.guest.v = guest, .size = size, .frontend.v = FRONTEND + file, .offset = file
	};
	struct guestmem *more;

	assert_int_equal(guestmem_add(d->memory, &region, d->fd, &more), 0);
	guestmem_unref(d->memory);
	d->memory = more;
}

void driver_open(struct driver *d, unsigned size)
{
	memset(d, 0, sizeof(*d));
	driver_guard();
	d->fd = memfd_create("guest", MFD_CLOEXEC);
	assert_true(d->fd >= 0);
	assert_int_equal(ftruncate(d->fd, (off_t)FILE_SIZE), 0);
	d->at = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, d->fd, 0);
	assert_ptr_not_equal(d->at, MAP_FAILED);
	assert_int_equal(guestmem_new(&d->memory), 0);
	add_region(d, C_GUEST, C_FILE, C_SIZE);
	add_region(d, A_GUEST, A_FILE, A_SIZE);
	add_region(d, B_GUEST, B_FILE, B_SIZE);
	d->setup = (struct vring_setup){
		.size = size,
		.desc.v = FRONTEND + DESC_AT,
		.avail.v = FRONTEND + AVAIL_AT,
		.used.v = FRONTEND + USED_AT,
		.event_idx = true,
		.indirect = true,
	};
	d->desc = (struct vring_desc *)(void *)(d->at + DESC_AT);
	d->avail = (struct vring_avail *)(void *)(d->at + AVAIL_AT);
	d->used = (struct vring_used *)(void *)(d->at + USED_AT);
	d->used_event = &d->avail->ring[size];
	d->avail_event = (uint16_t *)(void *)&d->used->ring[size];
}

void driver_base(struct driver *d, uint16_t base)
{
	d->setup.base = base;
	d->next = base;
	d->avail->idx = htole16(base);
	d->used->idx = htole16(base);
}

void driver_start(struct driver *d)
{
	assert_int_equal(vring_new(&d->setup, d->memory, &d->ring), 0);
}

void driver_close(struct driver *d)
{
	vring_free(d->ring);
	guestmem_unref(d->memory);
	assert_int_equal(munmap(d->at, FILE_SIZE), 0);
	assert_int_equal(close(d->fd), 0);
}

void desc_set(struct vring_desc *at, uint64_t addr, uint32_t len, unsigned flags, unsigned next)
{
	at->addr = htole64(addr);
	at->len = htole32(len);
	at->flags = htole16((uint16_t)flags);
	at->next = htole16((uint16_t)next);
}

uint8_t *driver_at(const struct driver *d, uint64_t guest)
{
	if (guest >= A_GUEST && guest < A_GUEST + A_SIZE)
		return d->at + A_FILE + (guest - A_GUEST);
	if (guest >= B_GUEST && guest < B_GUEST + B_SIZE)
		return d->at + B_FILE + (guest - B_GUEST);
	assert_true(guest >= C_GUEST && guest < C_GUEST + C_SIZE);
	return d->at + C_FILE + (guest - C_GUEST);
}

struct vring_desc *driver_table(const struct driver *d, uint64_t guest)
{
	return (struct vring_desc *)(void *)driver_at(d, guest);
}

void driver_add(struct driver *d, unsigned head)
{
	d->avail->ring[d->next % d->setup.size] = htole16((uint16_t)head);
	d->next++;
	__atomic_store_n(&d->avail->idx, htole16(d->next), __ATOMIC_RELEASE);
}

uint16_t driver_used_idx(const struct driver *d)
{
	return le16toh(__atomic_load_n(&d->used->idx, __ATOMIC_ACQUIRE));
}
