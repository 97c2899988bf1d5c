/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * secret.c - memory for keys, on pages of its own.
 *
 * Whole pages, because mlock and madvise work on pages and would else speak for a neighbour. What
 * cannot be kept out of core dumps and of children is an error; what cannot be locked is not, as
 * ordinary users have little to lock. A child after fork() finds zeros: load keys after the last
 * fork.
 */
#include "base/secret.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"

/* `size` rounded up to whole pages; 0 when it cannot be. */
static size_t whole_pages(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (size == 0 || size > SIZE_MAX - page)
		return 0;
	return (size + page - 1) / page * page;
}

void *secret_alloc(size_t size)
{
	size_t length = whole_pages(size);
	void *p;

	if (length == 0) {
		errno = EINVAL;
		return NULL;
	}
	p = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return NULL;

	if (madvise(p, length, MADV_DONTDUMP) || madvise(p, length, MADV_WIPEONFORK)) {
		int saved = errno;

		(void)munmap(p, length);
		errno = saved;
		return NULL;
	}
	if (mlock(p, length))
		log_debug("secret: cannot lock %zu bytes in memory: %s", length, strerror(errno));
	return p;
}

void secret_free(void *p, size_t size)
{
	if (!p)
		return;
	secret_wipe(p, size);
	(void)munmap(p, whole_pages(size));
}

void secret_wipe(void *p, size_t size)
{
	explicit_bzero(p, size);
}

int secret_forbid_cores(void)
{
	/* Where a program takes the cores, the kernel does not look at a limit of 0, but makes none at 1: core(5). */
	const struct rlimit one = { 1, 1 }, none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &one) == 0)
		return 0;
	/* A bound of 0 that somebody set may not be raised by everyone. */
	return setrlimit(RLIMIT_CORE, &none) ? -errno : 0;
}
