/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_message.c - vhost-user messages of the right form that say what cannot be, come in the wrong order, or not to an end.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/util.h"
#include "hostile.h"

static int send_state(struct hostile *h, const struct hostile_case *c)
{
	const uint32_t state[2] = { (uint32_t)(c->arg2 >> 32), (uint32_t)c->arg2 };

	(void)frontend_send(&h->dev.fe, (uint32_t)c->arg, state, sizeof(state), NULL, 0, false);
	return 0;
}
#define INDEX_AND(index, num) ((uint64_t)(index) << 32 | (uint32_t)(num))

static int send_u64(struct hostile *h, const struct hostile_case *c)
{
	(void)frontend_send(&h->dev.fe, (uint32_t)c->arg, &c->arg2, sizeof(c->arg2), NULL, 0,
			    false);
	return 0;
}

static int kick_past_last(struct hostile *h, const struct hostile_case *c)
{
	const uint64_t index = 200;

	(void)frontend_send(&h->dev.fe, (uint32_t)c->arg, &index, sizeof(index),
			    &h->dev.rings[1].kick, 1, false);
	return 0;
}

/* --- addresses of rings ------------------------------------------------------------------------------------------- */

enum part { PART_DESC, PART_AVAIL, PART_USED, PART_FLAGS, PART_INDEX };

/* SET_VRING_ADDR with one part of it changed, of a ring that is otherwise ready to run. */
static int bad_address(struct hostile *h, const struct hostile_case *c)
{
	const struct fering *r = &h->dev.rings[1];
	union vhost_payload payload = { .addr = { .index = 1,
						  .desc = (uintptr_t)r->desc,
						  .avail = (uintptr_t)r->avail,
						  .used = (uintptr_t)r->used } };
	const uint64_t end = (uintptr_t)h->dev.mem.regions[0].at + FEDEVICE_MEMORY;
	const uint64_t at = c->arg2 == 1   ? end - 8
			    : c->arg2 == 2 ? (uintptr_t)r->desc + 1
					   : c->arg2;

	switch ((enum part)c->arg) {
	case PART_DESC:
		payload.addr.desc = at;
		break;
	case PART_AVAIL:
		payload.addr.avail = at;
		break;
	case PART_USED:
		payload.addr.used = at;
		break;
	case PART_FLAGS:
		payload.addr.flags = (uint32_t)c->arg2;
		break;
	case PART_INDEX:
		payload.addr.index = (uint32_t)c->arg2;
		break;
	}
	if (c->stage == WITH_MEMORY &&
	    (fedevice_ring_num(&h->dev, 1) || fedevice_ring_kick(&h->dev, 1) ||
	     fedevice_ring_enable(&h->dev, 1, true)))
		return wrong(h, "the ring was not taken");
	(void)frontend_send(&h->dev.fe, VHOST_SET_VRING_ADDR, &payload, sizeof(payload.addr), NULL,
			    0, false);
	return 0;
}

/* --- memory --------------------------------------------------------------------------------------------------------- */

/* SET_MEM_TABLE with two regions, of which the second is c->data. */
static int bad_region(struct hostile *h, const struct hostile_case *c)
{
	const struct vhost_region *second = c->data;
	union vhost_payload payload = { .memory = { .count = 2 } };
	const int fds[2] = { h->dev.mem.regions[0].fd, h->dev.mem.regions[1].fd };

	payload.memory.regions[0] = femem_wire(&h->dev.mem.regions[0]);
	payload.memory.regions[1] = *second;
	if (second->frontend == 1)
		payload.memory.regions[1].frontend = payload.memory.regions[0].frontend + 4096;
	(void)frontend_send(&h->dev.fe, VHOST_SET_MEM_TABLE, &payload,
			    8 + 2 * sizeof(struct vhost_region), fds, 2, false);
	return 0;
}

static int count_lies(struct hostile *h, const struct hostile_case *c)
{
	union vhost_payload payload = { .memory = { .count = (uint32_t)c->arg } };

	payload.memory.regions[0] = femem_wire(&h->dev.mem.regions[0]);
	(void)frontend_send(&h->dev.fe, VHOST_SET_MEM_TABLE, &payload,
			    8 + sizeof(struct vhost_region), &h->dev.mem.regions[0].fd, 1, false);
	return 0;
}

/* One slot after the other, until there is one too many. */
static int too_many_slots(struct hostile *h, const struct hostile_case *c)
{
	union vhost_payload payload = { 0 };

	(void)c;
	for (uint64_t i = 0; i < 520; i++) {
		payload.slot.region = (struct vhost_region){ .guest = (i + 1) << 32,
							     .size = 4096,
							     .frontend = (i + 1) << 24 };
		if (frontend_send(&h->dev.fe, VHOST_ADD_MEM_REG, &payload, sizeof(payload.slot),
				  &h->dev.mem.regions[1].fd, 1, false))
			break;
	}
	return 0;
}

/* REM_MEM_REG: arg 0 of a region that is not there, 1 of that in which the rings lie. */
static int bad_removal(struct hostile *h, const struct hostile_case *c)
{
	union vhost_payload payload = { .slot = { .region = femem_wire(&h->dev.mem.regions[0]) } };

	if (!c->arg)
		payload.slot.region.size /= 2;
	(void)frontend_send(&h->dev.fe, VHOST_REM_MEM_REG, &payload, sizeof(payload.slot), NULL, 0,
			    false);
	return 0;
}

/* A memfd that may only be read. */
static int sealed_memory(struct hostile *h, const struct hostile_case *c)
{
	union vhost_payload payload = {
		.slot = { .region = { .guest = 1ULL << 40, .size = 4096, .frontend = 1 << 20 } }
	};
	CLEANUP_FD int fd = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	(void)c;
	if (fd < 0 || ftruncate(fd, 4096) || fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE))
		return wrong(h, "no sealed memory");
	(void)frontend_send(&h->dev.fe, VHOST_ADD_MEM_REG, &payload, sizeof(payload.slot), &fd, 1,
			    false);
	return 0;
}

/* --- order ------------------------------------------------------------------------------------------------------------ */

/* Right messages in any order, from a fixed seed; answers are thrown away. */
static int any_order(struct hostile *h, const struct hostile_case *c)
{
	static const uint32_t kinds[] = { VHOST_GET_FEATURES,	VHOST_SET_OWNER,
					  VHOST_SET_VRING_NUM,	VHOST_SET_VRING_BASE,
					  VHOST_SET_VRING_ADDR, VHOST_SET_VRING_KICK,
					  VHOST_SET_VRING_CALL, VHOST_SET_VRING_ENABLE,
					  VHOST_SET_MEM_TABLE,	VHOST_GET_VRING_BASE,
					  VHOST_RESET_DEVICE };
	unsigned seed = (unsigned)c->arg;
	unsigned sent = 0;

	for (; sent < 400 && !session_ended(h, 0); sent++) {
		const unsigned ring = (unsigned)rand_r(&seed) % h->dev.ring_count;
		const uint32_t kind = kinds[(unsigned)rand_r(&seed) % ARRAY_LEN(kinds)];
		struct frontend_answer answer;
		uint16_t base;

		switch (kind) {
		case VHOST_SET_VRING_NUM:
			(void)fedevice_ring_num(&h->dev, ring);
			break;
		case VHOST_SET_VRING_BASE:
			(void)fedevice_ring_base(&h->dev, ring, 0);
			break;
		case VHOST_SET_VRING_ADDR:
			(void)fedevice_ring_addr(&h->dev, ring);
			break;
		case VHOST_SET_VRING_KICK:
			(void)fedevice_ring_kick(&h->dev, ring);
			break;
		case VHOST_SET_VRING_CALL:
			(void)fedevice_ring_call(&h->dev, ring);
			break;
		case VHOST_SET_VRING_ENABLE:
			(void)fedevice_ring_enable(&h->dev, ring, rand_r(&seed) % 2);
			break;
		case VHOST_SET_MEM_TABLE:
			(void)fedevice_share_memory(&h->dev);
			break;
		case VHOST_GET_VRING_BASE:
			(void)fedevice_ring_stop(&h->dev, ring, &base);
			break;
		case VHOST_GET_FEATURES:
			(void)frontend_ask(&h->dev.fe, kind, NULL, 0, &answer);
			break;
		default:
			(void)frontend_tell(&h->dev.fe, kind, NULL, 0, NULL, 0);
			break;
		}
	}
	say(h, "%u messages", sent);
	return 0;
}

/* A kick that makes no sense of reading: an epoll descriptor has no file type either. */
static int kick_is_an_epoll(struct hostile *h, const struct hostile_case *c)
{
	CLEANUP_FD int fd = epoll_create1(EPOLL_CLOEXEC);
	const uint64_t index = 1;
	struct epoll_event event = { .events = EPOLLIN };

	(void)c;
	(void)epoll_ctl(fd, EPOLL_CTL_ADD, h->dev.rings[1].kick, &event);
	if (frontend_tell(&h->dev.fe, VHOST_SET_VRING_KICK, &index, sizeof(index), &fd, 1))
		return wrong(h, "the kick was not taken");
	(void)eventfd_write(h->dev.rings[1].kick, 1);
	return 0;
}

/* Asks, and never reads an answer. */
static int never_reads(struct hostile *h, const struct hostile_case *c)
{
	int flags = fcntl(h->dev.fe.sock, F_GETFL);
	unsigned sent = 0;

	(void)c;
	(void)fcntl(h->dev.fe.sock, F_SETFL, flags | O_NONBLOCK);
	while (sent < 200000 &&
	       frontend_send(&h->dev.fe, VHOST_GET_FEATURES, NULL, 0, NULL, 0, false) == 0)
		sent++;
	(void)fcntl(h->dev.fe.sock, F_SETFL, flags);
	say(h, "%u questions", sent);
	return 0;
}

/* --- hang-ups ---------------------------------------------------------------------------------------------------------- */

/* Requests that wait for a lock, and big reads, are in flight when the connection ends. */
static int in_flight(struct hostile *h, const struct hostile_case *c, unsigned max, unsigned *sent)
{
	struct fecall_lock lock = { h->known, 0, 1, 0, 10, F_WRLCK, false };
	struct fuse_read_in in = { .size = FEFUSE_IO };
	struct fefuse_request r = { .opcode = FUSE_READ,
				    .nodeid = h->known,
				    .in = { { &in, sizeof(in) } },
				    .parts = 1,
				    .room = FEFUSE_IO };
	uint64_t unique;

	if (fecall_open(&h->f, h->known, O_RDWR, &lock.fh))
		return wrong(h, "open failed");
	in.fh = lock.fh;
	if (c->need == NEED_LOCKS && fecall_setlk(&h->f, &lock))
		return wrong(h, "lock failed");
	for (*sent = 0; *sent < max; (*sent)++) {
		lock.owner = 2 + *sent;
		if (*sent % 2 && c->need == NEED_LOCKS) {
			if (fecall_setlkw_send(&h->f, 1, &lock, &unique) < 0)
				break;
		} else if (fefuse_send(&h->f, 1, &r) < 0) {
			break;
		}
	}
	return 0;
}

static int hang_up_in_flight(struct hostile *h, const struct hostile_case *c)
{
	unsigned sent;
	int ret = in_flight(h, c, FEFUSE_SLOTS_MAX, &sent);

	if (ret)
		return ret;
	fedevice_hang_up(&h->dev);
	say(h, "hung up with %u requests in flight", sent);
	return session_open(h, RUNNING, NULL);
}

static int reset_in_flight(struct hostile *h, const struct hostile_case *c)
{
	unsigned sent;
	int ret = in_flight(h, c, FEFUSE_SLOTS_MAX, &sent);

	if (!ret)
		ret = expect(h, "RESET_DEVICE",
			     frontend_tell(&h->dev.fe, VHOST_RESET_DEVICE, NULL, 0, NULL, 0), 0);
	for (unsigned i = 0; i < h->dev.ring_count && !ret; i++) {
		fering_reset(&h->dev.rings[i]);
		ret = fedevice_ring_start(&h->dev, i, 0);
	}
	fefuse_forget_slots(&h->f);
	if (!ret)
		ret = session_init(h);
	return ret ? wrong(h, "the device did not begin anew: %s", result_name(ret)) : 0;
}

/* Memory is replaced, rings stop and start, while requests come in: as a front-end may. */
static int memory_replaced(struct hostile *h, const struct hostile_case *c)
{
	unsigned sent;

	for (unsigned i = 0; i < 50; i++) {
		uint16_t base;

		if (i == 0 && c->need == NEED_LOCKS && in_flight(h, c, 40, &sent))
			return -1;
		if (fedevice_share_memory(&h->dev) || fedevice_ring_stop(&h->dev, 1, &base) ||
		    fedevice_ring_start(&h->dev, 1, base))
			return wrong(h, "refused");
		if (i == 25)
			break;
	}
	say(h, "26 times");
	return 0;
}

#define ENDS(s) .want = ENDED, .stage = (s)
#define STATE_CASE(text, s, m, index, num)                                                         \
	{                                                                                          \
		.name = (text), .run = send_state, ENDS(s), .arg = VHOST_##m,                      \
		.arg2 = INDEX_AND(index, num)                                                      \
	}
#define U64_CASE(text, s, m, v)                                                                    \
	{                                                                                          \
		.name = (text), .run = send_u64, ENDS(s), .arg = VHOST_##m, .arg2 = (v)            \
	}
#define ADDR_CASE(text, s, part, v)                                                                \
	{                                                                                          \
		.name = (text), .run = bad_address, ENDS(s), .arg = (part), .arg2 = (v)            \
	}
#define REGION_CASE(text, ...)                                                                     \
	{                                                                                          \
		.name = (text), .run = bad_region, ENDS(NEGOTIATED),                               \
		.data = &(const struct vhost_region)                                               \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}

static const struct hostile_case cases[] = {
	STATE_CASE("a ring has no descriptors", NEGOTIATED, SET_VRING_NUM, 1, 0),
	STATE_CASE("a ring has 65535 descriptors", NEGOTIATED, SET_VRING_NUM, 1, 65535),
	STATE_CASE("a ring has 65536 descriptors", NEGOTIATED, SET_VRING_NUM, 1, 65536),
	STATE_CASE("a ring has 100 descriptors", NEGOTIATED, SET_VRING_NUM, 1, 100),
	STATE_CASE("a ring has 2^31 descriptors", NEGOTIATED, SET_VRING_NUM, 1, 1U << 31),
	STATE_CASE("a ring that runs gets another size", RUNNING, SET_VRING_NUM, 1, 64),
	STATE_CASE("a ring that runs gets another base", RUNNING, SET_VRING_BASE, 1, 7),
	STATE_CASE("a ring begins at 65536", NEGOTIATED, SET_VRING_BASE, 1, 65536),
	STATE_CASE("SET_VRING_NUM of a queue past the last", NEGOTIATED, SET_VRING_NUM, 65, 128),
	STATE_CASE("SET_VRING_BASE of a queue past the last", NEGOTIATED, SET_VRING_BASE, 65, 0),
	STATE_CASE("GET_VRING_BASE of a queue past the last", NEGOTIATED, GET_VRING_BASE, 65, 0),
	STATE_CASE("GET_VRING_BASE of queue 2^32-1", NEGOTIATED, GET_VRING_BASE, UINT32_MAX, 0),
	STATE_CASE("SET_VRING_ENABLE of queue 2^31", NEGOTIATED, SET_VRING_ENABLE, 1U << 31, 1),
	{ .name = "SET_VRING_KICK of queue 200",
	  .run = kick_past_last,
	  ENDS(NEGOTIATED),
	  .arg = VHOST_SET_VRING_KICK },
	{ .name = "SET_VRING_CALL of queue 200",
	  .run = kick_past_last,
	  ENDS(NEGOTIATED),
	  .arg = VHOST_SET_VRING_CALL },
	{ .name = "SET_VRING_ERR of queue 200",
	  .run = kick_past_last,
	  ENDS(NEGOTIATED),
	  .arg = VHOST_SET_VRING_ERR },
	U64_CASE("features that were not offered", CONNECTED, SET_FEATURES, UINT64_MAX),
	U64_CASE("protocol features that were not offered", CONNECTED, SET_PROTOCOL_FEATURES,
		 UINT64_MAX),
	STATE_CASE("SET_VRING_ENABLE before protocol features", CONNECTED, SET_VRING_ENABLE, 0, 1),
	STATE_CASE("GET_MAX_MEM_SLOTS before its feature", CONNECTED, GET_MAX_MEM_SLOTS, 0, 0),
	ADDR_CASE("the descriptors of a ring are at 0", WITH_MEMORY, PART_DESC, 0),
	ADDR_CASE("the descriptors of a ring are at 2^64-1", WITH_MEMORY, PART_DESC, UINT64_MAX),
	ADDR_CASE("the descriptors of a ring go past a region's end", WITH_MEMORY, PART_DESC, 1),
	ADDR_CASE("the descriptors of a ring are at an odd address", WITH_MEMORY, PART_DESC, 2),
	ADDR_CASE("an available ring is at 0", WITH_MEMORY, PART_AVAIL, 0),
	ADDR_CASE("an available ring goes past a region's end", WITH_MEMORY, PART_AVAIL, 1),
	ADDR_CASE("an available ring is at an odd address", WITH_MEMORY, PART_AVAIL, 2),
	ADDR_CASE("a used ring is at 2^64-8", WITH_MEMORY, PART_USED, UINT64_MAX - 7),
	ADDR_CASE("a used ring goes past a region's end", WITH_MEMORY, PART_USED, 1),
	ADDR_CASE("a used ring is at an odd address", WITH_MEMORY, PART_USED, 2),
	ADDR_CASE("a ring that runs moves out of memory", RUNNING, PART_USED, 4096),
	ADDR_CASE("flags of a ring's address that were not offered", WITH_MEMORY, PART_FLAGS, 1),
	ADDR_CASE("SET_VRING_ADDR of a queue past the last", WITH_MEMORY, PART_INDEX, 65),
	ADDR_CASE("SET_VRING_ADDR of queue 2^32-1", WITH_MEMORY, PART_INDEX, UINT32_MAX),
	{ .name = "SET_MEM_TABLE counts 2 regions and has 1",
	  .run = count_lies,
	  ENDS(NEGOTIATED),
	  .arg = 2 },
	{ .name = "SET_MEM_TABLE counts no region and has 1",
	  .run = count_lies,
	  ENDS(NEGOTIATED),
	  .arg = 0 },
	{ .name = "SET_MEM_TABLE counts 9 regions", .run = count_lies, ENDS(NEGOTIATED), .arg = 9 },
	{ .name = "SET_MEM_TABLE counts 2^32-1 regions",
	  .run = count_lies,
	  ENDS(NEGOTIATED),
	  .arg = UINT32_MAX },
	REGION_CASE("a region is empty", .guest = EXTRA_BASE, .frontend = 1 << 20),
	REGION_CASE("a region is longer than its file", .guest = EXTRA_BASE,
		    .size = EXTRA_SIZE + 4096, .frontend = 1 << 20),
	REGION_CASE("a region has 2^63 bytes", .guest = EXTRA_BASE, .size = 1ULL << 63,
		    .frontend = 1 << 20),
	REGION_CASE("a region begins behind its file's end", .guest = EXTRA_BASE, .size = 4096,
		    .frontend = 1 << 20, .offset = EXTRA_SIZE + 4096),
	REGION_CASE("a region's offset wraps around 2^64", .guest = EXTRA_BASE, .size = 8192,
		    .frontend = 1 << 20, .offset = UINT64_MAX - 4095),
	REGION_CASE("a region wraps around 2^64", .guest = UINT64_MAX - 4095, .size = 8192,
		    .frontend = 1 << 20),
	REGION_CASE("a region's front-end address wraps around 2^64", .guest = EXTRA_BASE,
		    .size = 8192, .frontend = UINT64_MAX - 4095),
	REGION_CASE("regions overlap in the guest", .guest = FEDEVICE_BASE + 4096, .size = 4096,
		    .frontend = 1 << 20),
	REGION_CASE("regions overlap in the front-end", .guest = EXTRA_BASE, .size = 4096,
		    .frontend = 1),
	{ .name = "more slots of memory than there are", .run = too_many_slots, ENDS(NEGOTIATED) },
	{ .name = "a slot is removed that was never added", .run = bad_removal, ENDS(WITH_MEMORY) },
	{ .name = "the slot of a ring that runs is removed",
	  .run = bad_removal,
	  ENDS(RUNNING),
	  .arg = 1 },
	{ .name = "a region that may only be read", .run = sealed_memory, ENDS(WITH_MEMORY) },
	{ .name = "messages in any order, first seed",
	  .run = any_order,
	  .want = EITHER,
	  .stage = NEGOTIATED,
	  .arg = 1 },
	{ .name = "messages in any order, second seed",
	  .run = any_order,
	  .want = EITHER,
	  .stage = NEGOTIATED,
	  .arg = 2 },
	{ .name = "messages in any order, third seed",
	  .run = any_order,
	  .want = EITHER,
	  .stage = RUNNING,
	  .arg = 3 },
	{ .name = "a kick is an epoll descriptor", .run = kick_is_an_epoll, ENDS(RUNNING) },
	{ .name = "a front-end asks and never reads",
	  .run = never_reads,
	  .want = EITHER,
	  .stage = NEGOTIATED },
	{ .name = "a hang-up with requests in flight", .run = hang_up_in_flight },
	{ .name = "a hang-up with locks waited for", .run = hang_up_in_flight, .need = NEED_LOCKS },
	{ .name = "a reset with requests in flight", .run = reset_in_flight, .need = NEED_LOCKS },
	{ .name = "memory is replaced and rings stop while locks are waited for",
	  .run = memory_replaced,
	  .need = NEED_LOCKS },
};

const struct hostile_area area_message = { "message", cases, ARRAY_LEN(cases) };
