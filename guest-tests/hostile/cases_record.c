/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_record.c - the shared record of requests in flight (INFLIGHT_SHMFD), whose every byte is the front-end's.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/util.h"
#include "hostile.h"

#define INFLIGHT_BYTES 24

struct record {
	uint64_t size, offset;
	uint16_t queues, queue_size;
};

static int bad_record(struct hostile *h, const struct hostile_case *c)
{
	const struct record *r = c->data;
	union vhost_payload payload = { .inflight = { r->size, r->offset, r->queues,
						      r->queue_size } };

	(void)frontend_send(&h->dev.fe, VHOST_SET_INFLIGHT_FD, &payload, INFLIGHT_BYTES,
			    &h->dev.mem.regions[1].fd, 1, false);
	return 0;
}

static int bad_record_size(struct hostile *h, const struct hostile_case *c)
{
	union vhost_payload payload = { .inflight = { .queues = (uint16_t)c->arg,
						      .queue_size = (uint16_t)c->arg2 } };

	(void)frontend_send(&h->dev.fe, VHOST_GET_INFLIGHT_FD, &payload, INFLIGHT_BYTES, NULL, 0,
			    false);
	return 0;
}

enum lie { LIE_VERSION, LIE_DESC_NUM, LIE_LAST, LIE_ALL, LIE_NOISE };

/* The file of the record is cut off once the rings have begun. */
static int record_goes_away(struct hostile *h, const struct hostile_case *c)
{
	const uint32_t len = 65536;
	union vhost_payload payload = { .inflight = {
						.size = len, .queues = 2, .queue_size = 128 } };
	CLEANUP_FD int fd = memfd_create("record", MFD_CLOEXEC);
	struct fuse_entry_out entry;
	int ret = fd < 0 || ftruncate(fd, len) ? -EIO : 0;

	(void)c;
	if (!ret)
		ret = frontend_tell(&h->dev.fe, VHOST_SET_INFLIGHT_FD, &payload, INFLIGHT_BYTES,
				    &fd, 1);
	for (unsigned i = 0; i < h->dev.ring_count && !ret; i++)
		ret = fedevice_ring_start(&h->dev, i, 0);
	if (!ret)
		ret = fefuse_open(&h->f, &h->dev, 0, 2);
	h->f.timeout_ms = 2000;
	if (!ret)
		ret = session_init(h);
	if (ret || ftruncate(fd, 0))
		return wrong(h, "it did not begin: %s", result_name(ret));
	ret = fecall_lookup(&h->f, FUSE_ROOT_ID, KNOWN, &entry);
	say(h, "LOOKUP: %s", result_name(ret));
	return 0;
}

/* A record whose bytes lie, and a connection that begins with it. */
static int record_lies(struct hostile *h, const struct hostile_case *c)
{
	uint16_t *head;
	uint8_t *at;

	if (fedevice_share_inflight(&h->dev))
		return wrong(h, "no record was given");
	at = mmap(NULL, h->dev.inflight.inflight.size, PROT_READ | PROT_WRITE, MAP_SHARED,
		  h->dev.inflight_fd, 0);
	if (at == MAP_FAILED)
		return wrong(h, "the record cannot be mapped");
	/* Of queue 0: features, then version, desc_num, last_batch_head, used_idx. */
	head = (uint16_t *)(void *)(at + 8);
	head[0] = c->arg == LIE_VERSION ? 7 : 1;
	head[1] = c->arg == LIE_DESC_NUM ? 60000 : 128;
	if (c->arg == LIE_LAST) {
		head[2] = 65535;
		head[3] = 77;
	}
	for (unsigned i = 0; c->arg == LIE_ALL && i < 128; i++)
		at[16 + i * 16] = 1;
	for (size_t i = 0; c->arg == LIE_NOISE && i < h->dev.inflight.inflight.size; i++)
		at[i] = (uint8_t)(i * 2654435761U >> 13);
	(void)munmap(at, h->dev.inflight.inflight.size);
	for (unsigned i = 0; i < h->dev.ring_count; i++)
		if (fedevice_ring_start(&h->dev, i, 0))
			break;
	say(h, "rings were started");
	return 0;
}

static int record_while_it_runs(struct hostile *h, const struct hostile_case *c)
{
	union vhost_payload payload = { .inflight = {
						.size = 65536, .queues = 2, .queue_size = 128 } };

	(void)c;
	(void)frontend_send(&h->dev.fe, VHOST_SET_INFLIGHT_FD, &payload, INFLIGHT_BYTES,
			    &h->dev.mem.regions[1].fd, 1, false);
	return 0;
}

#define ENDS(s) .want = ENDED, .stage = (s)
#define RECORD_CASE(text, ...)                                                                     \
	{                                                                                          \
		.name = (text), .run = bad_record, ENDS(WITH_MEMORY),                              \
		.data = &(const struct record){ __VA_ARGS__ }, .options = &with_inflight           \
	}

static const struct fedevice_options with_inflight = { .inflight = true };

static const struct hostile_case cases[] = {
	RECORD_CASE("the record of requests in flight is too short", .size = 64, .queues = 2,
		    .queue_size = 128),
	RECORD_CASE("the record is longer than its file", .size = 1ULL << 40, .queues = 2,
		    .queue_size = 128),
	RECORD_CASE("the record begins at an odd offset", .size = 65536, .offset = 1, .queues = 2,
		    .queue_size = 128),
	RECORD_CASE("the record's offset wraps around 2^64", .size = 65536,
		    .offset = UINT64_MAX - 4095, .queues = 2, .queue_size = 128),
	RECORD_CASE("the record is of no queue", .size = 65536, .queue_size = 128),
	RECORD_CASE("the record is of 65535 queues of 65535", .size = 1ULL << 19, .queues = 65535,
		    .queue_size = 65535),
	{ .name = "a record of no queues is asked for",
	  .run = bad_record_size,
	  ENDS(NEGOTIATED),
	  .arg = 0,
	  .arg2 = 128,
	  .options = &with_inflight },
	{ .name = "a record of 65535 queues is asked for",
	  .run = bad_record_size,
	  ENDS(NEGOTIATED),
	  .arg = 65535,
	  .arg2 = 65535,
	  .options = &with_inflight },
	{ .name = "the record has another version",
	  .run = record_lies,
	  .want = EITHER,
	  .stage = WITH_MEMORY,
	  .options = &with_inflight,
	  .arg = LIE_VERSION },
	{ .name = "the record is of more descriptors than the ring",
	  .run = record_lies,
	  .want = EITHER,
	  .stage = WITH_MEMORY,
	  .options = &with_inflight,
	  .arg = LIE_DESC_NUM },
	{ .name = "the record names a last head past the ring",
	  .run = record_lies,
	  .want = EITHER,
	  .stage = WITH_MEMORY,
	  .options = &with_inflight,
	  .arg = LIE_LAST },
	{ .name = "the record has all heads in flight",
	  .run = record_lies,
	  .want = EITHER,
	  .stage = WITH_MEMORY,
	  .options = &with_inflight,
	  .arg = LIE_ALL },
	{ .name = "the record is noise",
	  .run = record_lies,
	  .want = EITHER,
	  .stage = WITH_MEMORY,
	  .options = &with_inflight,
	  .arg = LIE_NOISE },
	{ .name = "the file of the record goes away",
	  .run = record_goes_away,
	  ENDS(WITH_MEMORY),
	  .options = &with_inflight },
	{ .name = "a record is given while rings run",
	  .run = record_while_it_runs,
	  ENDS(RUNNING),
	  .options = &with_inflight },
};

const struct hostile_area area_record = { "record", cases, ARRAY_LEN(cases) };
