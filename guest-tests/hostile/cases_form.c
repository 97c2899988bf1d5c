/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_form.c - vhost-user messages of a wrong form: header, size, descriptors. Each ends the connection.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"
#include "hostile.h"

#define STATE 8
#define SLOT 40
#define INFLIGHT 24

/* arg: message; arg2: bytes of its payload. */
static int sized(struct hostile *h, const struct hostile_case *c)
{
	static const uint8_t zeros[1024];

	(void)frontend_send_claimed(&h->dev.fe, (uint32_t)c->arg, FE_FLAG_VERSION,
				    (uint32_t)c->arg2, zeros, (size_t)c->arg2, NULL, 0);
	return 0;
}

/* arg: message; arg2: the size that it claims. Only a few bytes follow. */
static int claims(struct hostile *h, const struct hostile_case *c)
{
	static const uint8_t zeros[64];

	(void)frontend_send_claimed(&h->dev.fe, (uint32_t)c->arg, FE_FLAG_VERSION,
				    (uint32_t)c->arg2, zeros, sizeof(zeros), NULL, 0);
	return 0;
}

static int flags(struct hostile *h, const struct hostile_case *c)
{
	(void)frontend_send_claimed(&h->dev.fe, VHOST_GET_FEATURES, (uint32_t)c->arg, 0, NULL, 0,
				    NULL, 0);
	return 0;
}

/* Right but for `arg2` descriptors, which come along. arg: message. */
static int with_fds(struct hostile *h, const struct hostile_case *c)
{
	union vhost_payload payload = { 0 };
	int fds[FE_SEND_FDS_MAX];
	size_t size = 0;

	switch (c->arg) {
	case VHOST_SET_MEM_TABLE:
		payload.memory.count = 1;
		payload.memory.regions[0] = femem_wire(&h->dev.mem.regions[0]);
		size = 8 + sizeof(struct vhost_region);
		break;
	case VHOST_ADD_MEM_REG:
	case VHOST_REM_MEM_REG:
		payload.slot.region = femem_wire(&h->dev.mem.regions[0]);
		size = SLOT;
		break;
	case VHOST_SET_INFLIGHT_FD:
		payload.inflight.queues = 1;
		payload.inflight.queue_size = 128;
		payload.inflight.size = 8192;
		size = INFLIGHT;
		break;
	case VHOST_SET_VRING_KICK:
	case VHOST_SET_VRING_CALL:
	case VHOST_SET_VRING_ERR:
	case VHOST_SET_FEATURES:
		size = 8;
		break;
	default:
		break;
	}
	for (unsigned i = 0; i < c->arg2; i++)
		fds[i] = h->dev.mem.regions[0].fd;
	(void)frontend_send(&h->dev.fe, (uint32_t)c->arg, &payload, size, fds, (unsigned)c->arg2,
			    false);
	return 0;
}

/* "None comes with it", and one does. */
static int no_fd_and_one(struct hostile *h, const struct hostile_case *c)
{
	const uint64_t index = 1 | VHOST_RING_NO_FD;

	(void)frontend_send(&h->dev.fe, (uint32_t)c->arg, &index, sizeof(index),
			    &h->dev.rings[1].kick, 1, false);
	return 0;
}

/* The descriptors come with the payload and not with the header: sendmsg(2) allows that. */
static int late_fds(struct hostile *h, const struct hostile_case *c)
{
	const struct frontend_header head = { VHOST_GET_FEATURES, FE_FLAG_VERSION, 0 };
	int fds[8];

	(void)c;
	for (unsigned i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = h->dev.mem.regions[0].fd;
	(void)frontend_send_bytes(&h->dev.fe, &head, 4, fds, 8);
	(void)frontend_send_bytes(&h->dev.fe, (const uint8_t *)&head + 4, 8, fds, 8);
	return 0;
}

/* A descriptor that is none of what the message takes; arg: message. */
static int kind_of_fd(struct hostile *h, const struct hostile_case *c)
{
	union vhost_payload payload = { .u64 = 1 };
	CLEANUP_FD int fd = -1;
	size_t size = 8;
	int ends[2] = { -1, -1 };

	switch (c->arg2) {
	case 0:
		if (pipe2(ends, O_CLOEXEC))
			return wrong(h, "no pipe");
		fd = ends[0];
		(void)fd_close(ends[1]);
		break;
	case 1:
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		break;
	case 2:
		fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		break;
	case 3:
		fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
		break;
	default:
		fd = eventfd(0, EFD_CLOEXEC);
		break;
	}
	if (c->arg == VHOST_SET_MEM_TABLE) {
		payload.memory.count = 1;
		payload.memory.padding = 0;
		payload.memory.regions[0] = femem_wire(&h->dev.mem.regions[0]);
		size = 8 + sizeof(struct vhost_region);
	} else if (c->arg == VHOST_SET_INFLIGHT_FD) {
		memset(&payload, 0, sizeof(payload));
		payload.inflight.queues = 2;
		payload.inflight.queue_size = 128;
		payload.inflight.size = 16384;
		size = INFLIGHT;
	}
	(void)frontend_send(&h->dev.fe, (uint32_t)c->arg, &payload, size, &fd, 1, false);
	return 0;
}

static int in_single_bytes(struct hostile *h, const struct hostile_case *c)
{
	const uint64_t features = FE_F_V1 | FE_F_PROTOCOL;
	const struct frontend_header head = { VHOST_SET_FEATURES, FE_FLAG_VERSION,
					      sizeof(features) };
	uint8_t bytes[sizeof(head) + sizeof(features)];
	int ret = 0;

	(void)c;
	memcpy(bytes, &head, sizeof(head));
	memcpy(bytes + sizeof(head), &features, sizeof(features));
	for (size_t i = 0; i < sizeof(bytes) && !ret; i++)
		ret = frontend_send_bytes(&h->dev.fe, bytes + i, 1, NULL, 0);
	return expect(h, "sent", ret, 0);
}

static int many_in_one(struct hostile *h, const struct hostile_case *c)
{
	struct frontend_header heads[64];
	struct frontend_answer answer;
	int ret;

	(void)c;
	for (unsigned i = 0; i < ARRAY_LEN(heads); i++)
		heads[i] = (struct frontend_header){ VHOST_GET_FEATURES, FE_FLAG_VERSION, 0 };
	ret = frontend_send_bytes(&h->dev.fe, heads, sizeof(heads), NULL, 0);
	for (unsigned i = 0; i < ARRAY_LEN(heads) && !ret; i++)
		ret = frontend_receive(&h->dev.fe, &answer, CASE_TIMEOUT_MS);
	return expect(h, "64 answers", ret, 0);
}

/* `arg` bytes of a message, silence, and the end of it. */
static int breaks_off(struct hostile *h, const struct hostile_case *c)
{
	const struct {
		struct frontend_header head;
		uint8_t payload[264];
	} message = { { VHOST_SET_MEM_TABLE, FE_FLAG_VERSION, 264 }, { 0 } };
	struct timespec silence = { .tv_nsec = 300000000 };

	(void)frontend_send_bytes(&h->dev.fe, &message, (size_t)c->arg, NULL, 0);
	(void)nanosleep(&silence, NULL);
	if (session_ended(h, 0))
		return wrong(h, "ended before we hung up");
	(void)shutdown(h->dev.fe.sock, SHUT_WR);
	return 0;
}

#define ENDS .want = ENDED, .stage = NEGOTIATED
#define SHORT(m, n)                                                                                \
	{                                                                                          \
		.name = #m " is a byte too short", .run = sized, ENDS, .arg = VHOST_##m,           \
		.arg2 = (n)-1                                                                      \
	}
#define LONG(m, n)                                                                                 \
	{                                                                                          \
		.name = #m " is a byte too long", .run = sized, ENDS, .arg = VHOST_##m,            \
		.arg2 = (n) + 1                                                                    \
	}
#define BOTH(m, n) SHORT(m, n), LONG(m, n)
#define FDS(text, m, n)                                                                            \
	{                                                                                          \
		.name = (text), .run = with_fds, ENDS, .arg = VHOST_##m, .arg2 = (n)               \
	}
#define KIND(text, m, n)                                                                           \
	{                                                                                          \
		.name = (text), .run = kind_of_fd, ENDS, .arg = VHOST_##m, .arg2 = (n)             \
	}

static const struct fedevice_options with_inflight = { .inflight = true };

static const struct hostile_case cases[] = {
	{ .name = "message 0", .run = sized, ENDS },
	{ .name = "a message that no specification has", .run = sized, ENDS, .arg = 39 },
	{ .name = "a message of a kind that we do not take (SET_LOG_BASE)",
	  .run = sized,
	  ENDS,
	  .arg = 6,
	  .arg2 = 16 },
	{ .name = "message 1000", .run = sized, ENDS, .arg = 1000 },
	{ .name = "message 2^32-1", .run = sized, ENDS, .arg = UINT32_MAX },
	{ .name = "the version is 0", .run = flags, ENDS, .arg = 0 },
	{ .name = "the version is 2", .run = flags, ENDS, .arg = 2 },
	{ .name = "the version is 3", .run = flags, ENDS, .arg = 3 },
	{ .name = "a message says that it is an answer",
	  .run = flags,
	  ENDS,
	  .arg = FE_FLAG_VERSION | FE_FLAG_REPLY },
	{ .name = "GET_FEATURES has 2^32-1 bytes",
	  .run = claims,
	  ENDS,
	  .arg = VHOST_GET_FEATURES,
	  .arg2 = UINT32_MAX },
	{ .name = "SET_MEM_TABLE has 2^32-1 bytes",
	  .run = claims,
	  ENDS,
	  .arg = VHOST_SET_MEM_TABLE,
	  .arg2 = UINT32_MAX },
	{ .name = "SET_MEM_TABLE has 2^31 bytes",
	  .run = claims,
	  ENDS,
	  .arg = VHOST_SET_MEM_TABLE,
	  .arg2 = 1U << 31 },
	{ .name = "SET_CONFIG has 4096 bytes",
	  .run = claims,
	  ENDS,
	  .arg = VHOST_SET_CONFIG,
	  .arg2 = 4096 },
	LONG(GET_FEATURES, 0),
	LONG(SET_OWNER, 0),
	LONG(RESET_OWNER, 0),
	LONG(GET_PROTOCOL_FEATURES, 0),
	LONG(GET_QUEUE_NUM, 0),
	LONG(RESET_DEVICE, 0),
	LONG(GET_MAX_MEM_SLOTS, 0),
	BOTH(SET_FEATURES, 8),
	BOTH(SET_PROTOCOL_FEATURES, 8),
	BOTH(SET_VRING_NUM, 8),
	BOTH(SET_VRING_ADDR, 40),
	BOTH(SET_VRING_BASE, 8),
	BOTH(GET_VRING_BASE, 8),
	BOTH(SET_VRING_KICK, 8),
	BOTH(SET_VRING_CALL, 8),
	BOTH(SET_VRING_ERR, 8),
	BOTH(SET_VRING_ENABLE, 8),
	BOTH(ADD_MEM_REG, SLOT),
	BOTH(REM_MEM_REG, SLOT),
	SHORT(SET_MEM_TABLE, 8),
	LONG(SET_MEM_TABLE, 264),
	SHORT(GET_CONFIG, 12),
	LONG(GET_CONFIG, 268),
	SHORT(GET_INFLIGHT_FD, 20),
	LONG(GET_INFLIGHT_FD, 24),
	SHORT(SET_INFLIGHT_FD, 20),
	LONG(SET_INFLIGHT_FD, 24),
	FDS("SET_MEM_TABLE lacks its descriptor", SET_MEM_TABLE, 0),
	FDS("SET_MEM_TABLE has a descriptor too many", SET_MEM_TABLE, 2),
	FDS("ADD_MEM_REG lacks its descriptor", ADD_MEM_REG, 0),
	FDS("ADD_MEM_REG has a descriptor too many", ADD_MEM_REG, 2),
	FDS("REM_MEM_REG has two descriptors", REM_MEM_REG, 2),
	FDS("SET_INFLIGHT_FD lacks its descriptor", SET_INFLIGHT_FD, 0),
	FDS("SET_VRING_KICK lacks its descriptor", SET_VRING_KICK, 0),
	FDS("SET_VRING_CALL lacks its descriptor", SET_VRING_CALL, 0),
	FDS("SET_VRING_KICK has two descriptors", SET_VRING_KICK, 2),
	FDS("GET_FEATURES has a descriptor", GET_FEATURES, 1),
	FDS("SET_FEATURES has eight descriptors", SET_FEATURES, 8),
	FDS("GET_FEATURES has 64 descriptors", GET_FEATURES, 64),
	{ .name = "SET_VRING_KICK says that it has no descriptor, and has one",
	  .run = no_fd_and_one,
	  ENDS,
	  .arg = VHOST_SET_VRING_KICK },
	{ .name = "SET_VRING_ERR says that it has no descriptor, and has one",
	  .run = no_fd_and_one,
	  ENDS,
	  .arg = VHOST_SET_VRING_ERR },
	{ .name = "descriptors come with each half of a header", .run = late_fds, ENDS },
	KIND("a region's file is a pipe", SET_MEM_TABLE, 0),
	KIND("a region's file is a device", SET_MEM_TABLE, 1),
	KIND("a region's file is a directory", SET_MEM_TABLE, 2),
	KIND("a region's file is one of /proc", SET_MEM_TABLE, 3),
	KIND("a region's file is an eventfd", SET_MEM_TABLE, 4),
	KIND("a kick is a pipe", SET_VRING_KICK, 0),
	KIND("a kick is a device", SET_VRING_KICK, 1),
	KIND("a call is a directory", SET_VRING_CALL, 2),
	KIND("a call is a file", SET_VRING_CALL, 3),
	{ .name = "the record of requests in flight is a pipe",
	  .run = kind_of_fd,
	  ENDS,
	  .arg = VHOST_SET_INFLIGHT_FD,
	  .options = &with_inflight },
	{ .name = "a message comes in single bytes", .run = in_single_bytes, .stage = NEGOTIATED },
	{ .name = "64 messages come at once", .run = many_in_one, .stage = NEGOTIATED },
	{ .name = "half a header, silence, and the end", .run = breaks_off, ENDS, .arg = 6 },
	{ .name = "a header, silence, and the end", .run = breaks_off, ENDS, .arg = 12 },
	{ .name = "half a message, silence, and the end", .run = breaks_off, ENDS, .arg = 100 },
};

const struct hostile_area area_form = { "form", cases, ARRAY_LEN(cases) };
