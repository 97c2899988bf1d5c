/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guestmem.c - tables of guest memory, their mappings, and what happens when the memory goes away
 * below us.
 *
 * A mapping is one mmap of a front-end's file; tables that have the region in common share it. A
 * table is sorted by guest address and never changes. Used by the connection's thread (which makes
 * tables) and all queues' threads (which translate).
 */
#include "transport/guestmem.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"

struct mapping {
	atomic_uint refs;
	uint8_t *base;
	size_t len;
	unsigned slot; /* in the registry */
	atomic_bool lost;
};

struct region {
	struct guestmem_region is;
	uint8_t *host; /* of is.guest */
	struct mapping *mapping;
};

struct guestmem {
	atomic_uint refs;
	unsigned count;
	struct region regions[];
};

/* --- the registry of mappings, for the signal handler --- */

/*
 * Tables that are just being replaced live beside the new ones, and inflight regions beside both.
 */
#define SLOTS (2 * GUESTMEM_REGIONS_MAX + 64)

struct slot {
	atomic_bool taken;	  /* by whoever set it; no lock, which a fork could leave locked */
	_Atomic(uintptr_t) start; /* 0: nothing to be found; written last, cleared first */
	atomic_size_t len;
	_Atomic(struct mapping *) mapping;
};

static struct slot registry[SLOTS];

/*
 * Async-signal-safe. The whole mapping is replaced: of huge pages no part can be. The mapping that
 * was met stays where it is meanwhile, since who met it holds it; other slots may change hands
 * under our eyes.
 */
static void on_sigbus(int number, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr;
	int saved = errno;

	(void)context;
	/* Sent by somebody: there is no address, and no access that would be repeated. */
	if (info->si_code <= 0) {
		(void)signal(number, SIG_DFL);
		(void)raise(number);
		errno = saved;
		return;
	}
	for (unsigned i = 0; i < SLOTS; i++) {
		uintptr_t start = atomic_load(&registry[i].start);
		size_t len = atomic_load(&registry[i].len);

		if (!start || at < start || at - start >= len)
			continue;
		/* Was that the length of this start, or of the slot's next mapping? */
		if (atomic_load(&registry[i].start) != start)
			continue;
		if (mmap((void *)start, len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
			 0) == MAP_FAILED)
			break;
		atomic_store(&atomic_load(&registry[i].mapping)->lost, true);
		errno = saved;
		return;
	}
	/* Not of a guest's doing: the access is repeated, and ends the process as it should. */
	(void)signal(number, SIG_DFL);
	errno = saved;
}

static void init_once(void)
{
	struct sigaction action = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };

	(void)sigaction(SIGBUS, &action, NULL); /* fails for bad arguments alone */
}

int guestmem_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	return -pthread_once(&once, init_once);
}

static int slot_take(struct mapping *m)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		if (atomic_exchange(&registry[i].taken, true))
			continue;
		m->slot = i;
		atomic_store(&registry[i].mapping, m);
		atomic_store(&registry[i].len, m->len);
		atomic_store(&registry[i].start, (uintptr_t)m->base);
		return 0;
	}
	return -ENOMEM;
}

static void slot_give(unsigned slot)
{
	atomic_store(&registry[slot].start, 0);
	atomic_store(&registry[slot].taken, false);
}

/* --- mappings --- */

static void mapping_unref(struct mapping *m)
{
	if (!m || atomic_fetch_sub(&m->refs, 1) != 1)
		return;
	slot_give(m->slot); /* first: another may be mapped here the moment this one is not */
	(void)munmap(m->base, m->len);
	free(m);
}

/* Maps [offset, offset + size) of the file, and what lies before it in its first page. */
static int mapping_new(int fd, uint64_t offset, uint64_t size, struct mapping **out, uint8_t **at)
{
	struct stat st;
	uint64_t page = (uint64_t)getpagesize();
	uint64_t skip;
	struct mapping *m;
	void *base;
	int ret;

	if (fstat(fd, &st) < 0)
		return errno_neg();
	if (!S_ISREG(st.st_mode) || offset > (uint64_t)st.st_size ||
	    size > (uint64_t)st.st_size - offset)
		return -EINVAL;
	/* The block size is that of the huge pages on a hugetlbfs, and does no harm elsewhere. */
	if (st.st_blksize > getpagesize() && !(st.st_blksize & (st.st_blksize - 1)))
		page = (uint64_t)st.st_blksize;
	skip = offset & (page - 1);
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->len = (size_t)((size + skip + page - 1) & ~(page - 1));
	base = mmap(NULL, m->len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
		    (off_t)(offset - skip));
	if (base == MAP_FAILED) {
		ret = errno_neg();
		free(m);
		return ret;
	}
	/* The guest's memory does not belong into our core dump. */
	(void)madvise(base, m->len, MADV_DONTDUMP);
	m->base = base;
	atomic_init(&m->refs, 1);
	ret = slot_take(m);
	if (ret) {
		(void)munmap(base, m->len);
		free(m);
		return ret;
	}
	*out = m;
	*at = m->base + skip;
	return 0;
}

int guestmem_map(int fd, uint64_t offset, uint64_t size, struct guestmem_mapping *out)
{
	struct mapping *m;
	uint8_t *at;
	int ret = size ? mapping_new(fd, offset, size, &m, &at) : -EINVAL;

	if (!ret)
		*out = (struct guestmem_mapping){ .mapping = m, .at = at };
	return ret;
}

void guestmem_unmap(struct guestmem_mapping *m)
{
	mapping_unref(m->mapping);
	*m = (struct guestmem_mapping){ 0 };
}

bool guestmem_mapping_lost(const struct guestmem_mapping *m)
{
	return atomic_load_explicit(&m->mapping->lost, memory_order_relaxed);
}

/* --- tables --- */

static struct guestmem *table_new(unsigned count)
{
	struct guestmem *m = calloc(1, sizeof(*m) + count * sizeof(m->regions[0]));

	if (m) {
		atomic_init(&m->refs, 1);
		m->count = count;
	}
	return m;
}

int guestmem_new(struct guestmem **out)
{
	*out = table_new(0);
	return *out ? 0 : -ENOMEM;
}

struct guestmem *guestmem_ref(struct guestmem *m)
{
	atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
	return m;
}

void guestmem_unref(struct guestmem *m)
{
	if (!m || atomic_fetch_sub(&m->refs, 1) != 1)
		return;
	for (unsigned i = 0; i < m->count; i++)
		mapping_unref(m->regions[i].mapping);
	free(m);
}

unsigned guestmem_count(const struct guestmem *m)
{
	return m->count;
}

static bool wraps(uint64_t start, uint64_t size)
{
	return start + (size - 1) < start;
}

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a <= b + (b_size - 1) && b <= a + (a_size - 1);
}

static int check_region(const struct guestmem *m, const struct guestmem_region *r)
{
	if (m->count >= GUESTMEM_REGIONS_MAX || r->size == 0 || wraps(r->guest.v, r->size) ||
	    wraps(r->frontend.v, r->size) || wraps(r->offset, r->size))
		return -EINVAL;
	for (unsigned i = 0; i < m->count; i++) {
		const struct guestmem_region *is = &m->regions[i].is;

		if (overlap(r->guest.v, r->size, is->guest.v, is->size) ||
		    overlap(r->frontend.v, r->size, is->frontend.v, is->size))
			return -EINVAL;
	}
	return 0;
}

/* A copy of a region, with a reference to its mapping. */
static struct region share(const struct region *r)
{
	atomic_fetch_add_explicit(&r->mapping->refs, 1, memory_order_relaxed);
	return *r;
}

int guestmem_add(const struct guestmem *old, const struct guestmem_region *region, int fd,
		 struct guestmem **out)
{
	struct region added = { .is = *region };
	struct guestmem *m;
	unsigned at = 0;
	int ret = check_region(old, region);

	if (ret)
		return ret;
	ret = mapping_new(fd, region->offset, region->size, &added.mapping, &added.host);
	if (ret)
		return ret;
	m = table_new(old->count + 1);
	if (!m) {
		mapping_unref(added.mapping);
		return -ENOMEM;
	}
	while (at < old->count && old->regions[at].is.guest.v < region->guest.v) {
		m->regions[at] = share(&old->regions[at]);
		at++;
	}
	m->regions[at] = added;
	for (; at < old->count; at++)
		m->regions[at + 1] = share(&old->regions[at]);
	*out = m;
	return 0;
}

int guestmem_remove(const struct guestmem *old, const struct guestmem_region *region,
		    struct guestmem **out)
{
	unsigned gone = 0;
	struct guestmem *m;

	while (gone < old->count) {
		const struct guestmem_region *is = &old->regions[gone].is;

		if (is->guest.v == region->guest.v && is->size == region->size &&
		    is->frontend.v == region->frontend.v)
			break;
		gone++;
	}
	if (gone == old->count)
		return -ENOENT;
	m = table_new(old->count - 1);
	if (!m)
		return -ENOMEM;
	for (unsigned i = 0; i < m->count; i++)
		m->regions[i] = share(&old->regions[i < gone ? i : i + 1]);
	*out = m;
	return 0;
}

bool guestmem_lost(const struct guestmem *m)
{
	for (unsigned i = 0; i < m->count; i++)
		if (atomic_load_explicit(&m->regions[i].mapping->lost, memory_order_relaxed))
			return true;
	return false;
}

/* --- addresses --- */

/* The region that holds a guest address, or NULL. */
static const struct region *region_of(const struct guestmem *m, uint64_t addr)
{
	unsigned low = 0;
	unsigned high = m->count;

	while (low < high) {
		unsigned mid = (low + high) / 2;
		const struct guestmem_region *is = &m->regions[mid].is;

		if (addr < is->guest.v)
			high = mid;
		else if (addr - is->guest.v >= is->size)
			low = mid + 1;
		else
			return &m->regions[mid];
	}
	return NULL;
}

int guestmem_translate(const struct guestmem *m, guest_addr_t addr, uint64_t len, struct iovec *iov,
		       unsigned max)
{
	unsigned n = 0;

	while (len > 0) {
		const struct region *r = region_of(m, addr.v);
		uint64_t at;
		uint64_t piece;

		if (!r)
			return -EFAULT;
		if (n == max)
			return -E2BIG;
		at = addr.v - r->is.guest.v;
		piece = r->is.size - at < len ? r->is.size - at : len;
		iov[n].iov_base = r->host + at;
		iov[n].iov_len = (size_t)piece;
		n++;
		len -= piece;
		/* At the top of the address space nothing follows. */
		if (len > 0 && addr.v + piece < addr.v)
			return -EFAULT;
		addr.v += piece;
	}
	return (int)n;
}

void *guestmem_ring(const struct guestmem *m, frontend_addr_t addr, uint64_t len, unsigned align)
{
	for (unsigned i = 0; i < m->count; i++) {
		const struct guestmem_region *is = &m->regions[i].is;
		uint64_t at = addr.v - is->frontend.v;
		uint8_t *host;

		if (addr.v < is->frontend.v || at >= is->size || len > is->size - at)
			continue;
		host = m->regions[i].host + at;
		return (uintptr_t)host % align ? NULL : host;
	}
	return NULL;
}
