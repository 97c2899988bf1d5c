/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhostmsg.h - messages of the vhost-user protocol: read from the socket and checked for their form, and answered.
 *
 * The form: header, size of the payload and number of descriptors that this kind of message has. What the numbers in it
 * mean is not judged here. Native byte order, as the protocol has it.
 */
#ifndef HOLDFAST_TRANSPORT_VHOSTMSG_H
#define HOLDFAST_TRANSPORT_VHOSTMSG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"

enum vhost_request {
	VHOST_GET_FEATURES = 1,
	VHOST_SET_FEATURES = 2,
	VHOST_SET_OWNER = 3,
	VHOST_RESET_OWNER = 4,
	VHOST_SET_MEM_TABLE = 5,
	VHOST_SET_VRING_NUM = 8,
	VHOST_SET_VRING_ADDR = 9,
	VHOST_SET_VRING_BASE = 10,
	VHOST_GET_VRING_BASE = 11,
	VHOST_SET_VRING_KICK = 12,
	VHOST_SET_VRING_CALL = 13,
	VHOST_SET_VRING_ERR = 14,
	VHOST_GET_PROTOCOL_FEATURES = 15,
	VHOST_SET_PROTOCOL_FEATURES = 16,
	VHOST_GET_QUEUE_NUM = 17,
	VHOST_SET_VRING_ENABLE = 18,
	VHOST_GET_CONFIG = 24,
	VHOST_SET_CONFIG = 25,
	VHOST_GET_INFLIGHT_FD = 31,
	VHOST_SET_INFLIGHT_FD = 32,
	VHOST_RESET_DEVICE = 34,
	VHOST_GET_MAX_MEM_SLOTS = 36,
	VHOST_ADD_MEM_REG = 37,
	VHOST_REM_MEM_REG = 38,
};

#define VHOST_FDS_MAX 8 /* regions of a SET_MEM_TABLE */
#define VHOST_CONFIG_MAX 256

struct vhost_region {
	uint64_t guest, size, frontend, offset;
};

/* Payloads: the index of a queue in kick, call and err is in the low bits of a u64. */
union vhost_payload {
	uint64_t u64;
	struct {
		uint32_t index, num;
	} state;
	struct {
		uint32_t index, flags;
		uint64_t desc, used, avail, log;
	} addr;
	struct {
		uint32_t count, padding;
		struct vhost_region regions[VHOST_FDS_MAX];
	} memory;
	struct {
		uint64_t padding;
		struct vhost_region region;
	} slot;
	struct {
		uint32_t offset, size, flags;
		uint8_t bytes[VHOST_CONFIG_MAX];
	} config;
	struct {
		uint64_t size, offset;
		uint16_t queues, queue_size;
	} inflight;
};

#define VHOST_RING_INDEX 0xffU	   /* of a kick, call or err message's u64 */
#define VHOST_RING_NO_FD (1U << 8) /* none comes with it */

struct vhost_msg {
	uint32_t request; /* enum vhost_request */
	uint32_t size;	  /* of the payload */
	bool need_reply;  /* an answer is due even to what has none of its own (REPLY_ACK) */
	union vhost_payload payload;
	int fds[VHOST_FDS_MAX]; /* owned by the message; -1 where taken */
	unsigned fd_count;
};

/* "SET_MEM_TABLE"; "message" for one that is not known. */
const char *vhostmsg_name(uint32_t request);

/*
 * Reads the next message; waits, but not beyond `cancel` (a descriptor) becoming readable. 1; 0: the front-end hung up;
 * -ECANCELED; -EPROTO: malformed, with what is wrong in `why`; another -errno of the socket. Descriptors of what is
 * refused are closed.
 */
#define VHOST_WHY_MAX 160
int vhostmsg_read(int sock, int cancel, struct vhost_msg *out, char why[VHOST_WHY_MAX]);

/* Closes the descriptors that nobody has taken. */
void vhostmsg_clear(struct vhost_msg *msg);

/* Takes the descriptor number `i` out of the message, or -1. */
int vhostmsg_take_fd(struct vhost_msg *msg, unsigned i);

/* The answer to `msg`: `size` bytes of a payload, and a descriptor unless it is -1. 0 or -errno. */
int vhostmsg_reply(int sock, const struct vhost_msg *msg, const void *payload, uint32_t size,
		   int fd);

#endif
