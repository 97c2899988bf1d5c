/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * secret_heap.c - a heap of locked pages behind OpenSSL's allocation functions.
 *
 * OpenSSL's own secure heap takes private keys only, not the keys of ciphers, and is of one size. This one has blocks of
 * powers of two, taken from regions that are never given back and kept in a list for each size; a block is wiped
 * when it is freed. What is larger than the largest block has pages of its own. A head of 16 bytes before each
 * block says which list it belongs to. One lock; held for some instructions.
 */
#include "base/secret_heap.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"
#include "base/secret.h"

#define REGION ((size_t)256 << 10)
#define SMALLEST_BITS 6 /* with its head */
#define LARGEST_BITS 16
#define SIZES (LARGEST_BITS - SMALLEST_BITS + 1)
#define OWN_PAGES SIZES
#define REGIONS_MAX 1024

union block {
	struct {
		alignas(16) uint32_t list; /* index in heap.free, or OWN_PAGES */
		size_t size;		   /* that was asked for */
	} head;
	union block *next; /* while it is free */
};
#define HEAD sizeof(union block)

_Static_assert(HEAD == 16, "what is behind the head is aligned for anything");

static struct {
	pthread_mutex_t lock;
	union block *free[SIZES];
	uint8_t *region; /* the present one */
	size_t used;	 /* of it */
	uint8_t *regions[REGIONS_MAX];
	size_t count;
	bool leave_out; /* of children */
} heap = { .lock = PTHREAD_MUTEX_INITIALIZER };

static uint8_t *region_new(void)
{
	uint8_t *p = heap.count == REGIONS_MAX ? NULL : secret_alloc(REGION);

	if (!p)
		return NULL;
	/* Children of before go on with what was made for them. */
	if (!heap.leave_out && madvise(p, REGION, MADV_KEEPONFORK)) {
		secret_free(p, REGION);
		return NULL;
	}
	heap.regions[heap.count++] = p;
	return p;
}

/* A block of list `list`; with the lock. */
static union block *block_take(unsigned list)
{
	size_t size = (size_t)1 << (list + SMALLEST_BITS);
	union block *b = heap.free[list];

	if (b) {
		heap.free[list] = b->next;
		return b;
	}
	if (!heap.region || heap.used + size > REGION) {
		uint8_t *p = region_new();

		if (!p)
			return NULL;
		heap.region = p;
		heap.used = 0;
	}
	b = (union block *)(void *)(heap.region + heap.used);
	heap.used += size;
	return b;
}

static void *heap_malloc(size_t size, const char *file, int line)
{
	unsigned list = 0;
	union block *b;

	(void)file;
	(void)line;
	if (size == 0 || size > SIZE_MAX / 2)
		return NULL;
	while (list < SIZES && ((size_t)1 << (list + SMALLEST_BITS)) < size + HEAD)
		list++;
	if (list == OWN_PAGES) {
		b = secret_alloc(size + HEAD);
	} else {
		(void)pthread_mutex_lock(&heap.lock);
		b = block_take(list);
		(void)pthread_mutex_unlock(&heap.lock);
	}
	if (!b)
		return NULL;
	b->head.list = list;
	b->head.size = size;
	return (uint8_t *)b + HEAD;
}

static void heap_free(void *p, const char *file, int line)
{
	union block *b = p ? (union block *)(void *)((uint8_t *)p - HEAD) : NULL;
	unsigned list;

	(void)file;
	(void)line;
	if (!b)
		return;
	list = b->head.list;
	if (list == OWN_PAGES) {
		secret_free(b, b->head.size + HEAD);
		return;
	}
	secret_wipe(p, b->head.size);
	(void)pthread_mutex_lock(&heap.lock);
	b->next = heap.free[list];
	heap.free[list] = b;
	(void)pthread_mutex_unlock(&heap.lock);
}

static void *heap_realloc(void *p, size_t size, const char *file, int line)
{
	const union block *b = p ? (union block *)(void *)((uint8_t *)p - HEAD) : NULL;
	void *fresh;

	if (size == 0) {
		heap_free(p, file, line);
		return NULL;
	}
	fresh = heap_malloc(size, file, line);
	if (fresh && b) {
		memcpy(fresh, p, b->head.size < size ? b->head.size : size);
		heap_free(p, file, line);
	}
	return fresh;
}

int secret_heap_init(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	(void)heap_malloc;
	(void)heap_realloc;
	return 0;
#else
	return CRYPTO_set_mem_functions(heap_malloc, heap_realloc, heap_free) == 1 ? 0 : -EBUSY;
#endif
}

void secret_heap_leave_children_out(void)
{
	(void)pthread_mutex_lock(&heap.lock);
	heap.leave_out = true;
	for (size_t i = 0; i < heap.count; i++)
		if (madvise(heap.regions[i], REGION, MADV_WIPEONFORK) ||
		    mlock(heap.regions[i], REGION))
			log_debug("secret: cannot lock memory of OpenSSL: %s", strerror(errno));
	(void)pthread_mutex_unlock(&heap.lock);
}
