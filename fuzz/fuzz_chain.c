/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_chain.c - descriptor tables, indirect tables and an available ring as a hostile guest writes them. What
 * vring_pop() gives lies in the memory, adds up, and can be given back; the rest is refused, and it ends.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"
#include "base/util.h"
#include "fuzz.h"
#include "transport/vring_private.h"

#define GUEST 0x40000000ULL
#define FRONT 0x7f0000000000ULL
#define REGION ((size_t)64 << 10) /* two of them, which follow each other for the guest alone */
#define AVAIL ((size_t)8 << 10)
#define USED ((size_t)12 << 10)
#define FREE ((size_t)16 << 10) /* tables and data */

static uint8_t *at;
static int fd = -1;
static struct guestmem *memory;

static void prepare(void)
{
	struct guestmem *none, *one;
	const struct guestmem_region first = { { GUEST }, REGION, { FRONT }, 0 };
	const struct guestmem_region second = {
		{ GUEST + REGION }, REGION, { FRONT + 4 * REGION }, 2 * REGION
	};

	if (memory)
		return;
	log_init(LOG_LEVEL_OFF, false);
	fd = memfd_create("guest", MFD_CLOEXEC);
	MUST(fd >= 0 && ftruncate(fd, (off_t)(3 * REGION)) == 0);
	at = mmap(NULL, 3 * REGION, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	MUST(at != MAP_FAILED);
	MUST(guestmem_new(&none) == 0 && guestmem_add(none, &first, fd, &one) == 0 &&
	     guestmem_add(one, &second, fd, &memory) == 0);
	guestmem_unref(none);
	guestmem_unref(one);
}

static void touch(const struct vring_chain *chain)
{
	size_t readable = 0, writable = 0;
	volatile uint8_t sum = 0;

	MUST(chain->readable + chain->writable <= VRING_CHAIN_MAX);
	for (unsigned i = 0; i < chain->readable + chain->writable; i++) {
		const struct iovec *v = &chain->iov[i];

		*(i < chain->readable ? &readable : &writable) += v->iov_len;
		if (!v->iov_len)
			continue;
		sum = (uint8_t)(sum + ((uint8_t *)v->iov_base)[0]);
		sum = (uint8_t)(sum + ((uint8_t *)v->iov_base)[v->iov_len - 1]);
	}
	MUST(readable == chain->readable_len && writable == chain->writable_len);
}

/* The guest's writes: [where, len, bytes] over all of its memory but what would only make it slow. */
static void write_memory(struct fuzz_input *in)
{
	while (in->left > 3) {
		uint16_t where = fuzz_take16(in);
		uint8_t len = fuzz_take8(in);
		size_t to = (size_t)where * 8 % (3 * REGION);

		if (to + len > 3 * REGION)
			len = (uint8_t)(3 * REGION - to);
		fuzz_take(in, at + to, len < in->left ? len : in->left);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct vring_chain chain;
	struct fuzz_input in = { .at = data, .left = size };
	uint8_t how = fuzz_take8(&in);
	const struct vring_setup setup = { .size = 1U << (how & 7),
					   .desc.v = FRONT,
					   .avail.v = FRONT + AVAIL,
					   .used.v = FRONT + USED,
					   .base = fuzz_take8(&in),
					   .event_idx = how & 8,
					   .indirect = how & 16 };
	struct vring *r;
	int ret = 0;

	prepare();
	memset(at, 0, 3 * REGION);
	MUST(vring_new(&setup, memory, &r) == 0);
	write_memory(&in);
	for (unsigned i = 0; i <= 2 * setup.size; i++) {
		(void)vring_has_work(r);
		ret = vring_pop(r, &chain);
		if (ret != 1)
			break;
		touch(&chain);
		MUST(vring_in_flight(r) >= 1);
		if (how & 32)
			vring_push(r, chain.head, (uint32_t)chain.writable_len);
		(void)vring_should_notify(r);
	}
	/* More chains than there are heads cannot be in flight at a time. */
	MUST(ret <= 0 || how & 32);
	MUST(ret == 1 || ret == 0 || ret == -EPROTO);
	(void)vring_enable_kicks(r);
	vring_free(r);
	return 0;
}
