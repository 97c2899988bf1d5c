/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * femem.c - regions of memory, mapped here and shared with the back-end.
 */
#include "femem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/util.h"

void femem_init(struct femem *m)
{
	memset(m, 0, sizeof(*m));
}

static void region_free(struct femem_region *r)
{
	(void)munmap(r->at, r->size);
	r->fd = fd_close(r->fd);
}

void femem_free(struct femem *m)
{
	for (unsigned i = 0; i < m->count; i++)
		region_free(&m->regions[i]);
	m->count = 0;
}

int femem_add_file(struct femem *m, uint64_t guest, uint64_t size, int fd, uint64_t offset)
{
	struct femem_region r = { .guest = guest, .size = size, .offset = offset };
	void *at;

	for (unsigned i = 0; i < m->count; i++)
		if (guest < m->regions[i].guest + m->regions[i].size &&
		    m->regions[i].guest < guest + size)
			return -EEXIST;
	if (m->count == FEMEM_REGIONS_MAX)
		return -ENOSPC;
	at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
	if (at == MAP_FAILED)
		return errno_neg();
	r.at = at;
	r.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (r.fd < 0) {
		int ret = errno_neg();

		(void)munmap(at, size);
		return ret;
	}
	m->regions[m->count++] = r;
	return 0;
}

int femem_add(struct femem *m, uint64_t guest, uint64_t size)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);
	int ret = 0;

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		ret = errno_neg();
	if (!ret)
		ret = femem_add_file(m, guest, size, fd, 0);
	(void)fd_close(fd);
	return ret;
}

int femem_remove(struct femem *m, uint64_t guest)
{
	for (unsigned i = 0; i < m->count; i++) {
		if (m->regions[i].guest != guest)
			continue;
		region_free(&m->regions[i]);
		m->regions[i] = m->regions[--m->count];
		return 0;
	}
	return -ENOENT;
}

struct femem_region *femem_region(struct femem *m, uint64_t guest)
{
	for (unsigned i = 0; i < m->count; i++)
		if (guest - m->regions[i].guest < m->regions[i].size)
			return &m->regions[i];
	return NULL;
}

struct vhost_region femem_wire(const struct femem_region *r)
{
	return (struct vhost_region){ .guest = r->guest,
				      .size = r->size,
				      .frontend = (uintptr_t)r->at,
				      .offset = r->offset };
}

void *femem_at(struct femem *m, uint64_t guest, size_t len)
{
	const struct femem_region *r = femem_region(m, guest);

	if (!r || len > r->size - (guest - r->guest))
		return NULL;
	return r->at + (guest - r->guest);
}

/* Where `guest` is, and how many of `len` bytes follow it in its region; NULL. */
static uint8_t *run_at(struct femem *m, uint64_t guest, size_t len, size_t *run)
{
	const struct femem_region *r = femem_region(m, guest);

	if (!r)
		return NULL;
	*run = r->size - (guest - r->guest);
	if (*run > len)
		*run = len;
	return r->at + (guest - r->guest);
}

int femem_write(struct femem *m, uint64_t guest, const void *bytes, size_t len)
{
	const uint8_t *from = bytes;

	while (len > 0) {
		size_t run = 0;
		uint8_t *at = run_at(m, guest, len, &run);

		if (!at)
			return -EFAULT;
		memcpy(at, from, run);
		from += run;
		guest += run;
		len -= run;
	}
	return 0;
}

int femem_read(struct femem *m, uint64_t guest, void *bytes, size_t len)
{
	uint8_t *to = bytes;

	while (len > 0) {
		size_t run = 0;
		const uint8_t *at = run_at(m, guest, len, &run);

		if (!at)
			return -EFAULT;
		memcpy(to, at, run);
		to += run;
		guest += run;
		len -= run;
	}
	return 0;
}

uint64_t femem_alloc(struct femem *m, uint64_t guest, size_t size, size_t align)
{
	struct femem_region *r = femem_region(m, guest);
	uint64_t at;

	if (!r)
		return 0;
	at = (r->guest + r->taken + align - 1) / align * align;
	if (at - r->guest > r->size || size > r->size - (at - r->guest))
		return 0;
	r->taken = at + size - r->guest;
	return at;
}
