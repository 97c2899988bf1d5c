/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * frontend.h - the front-end of a vhost-user socket: messages, raw or well formed, and their answers.
 *
 * The lowest of five layers: frontend (messages), femem (guest memory), fering (virtqueues as a driver has them),
 * fedevice (all of these, negotiated and started), fefuse and fecalls (FUSE requests). Each can be used without those above
 * it. One thread uses a connection at a time. Functions give 0 or negative errno unless they say otherwise.
 */
#ifndef HOLDFAST_NATIVE_FRONTEND_H
#define HOLDFAST_NATIVE_FRONTEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/vhostmsg.h"

/* Bits of features and protocol features. */
#define FE_F_INDIRECT (1ULL << 28)
#define FE_F_EVENT_IDX (1ULL << 29)
#define FE_F_PROTOCOL (1ULL << 30)
#define FE_F_V1 (1ULL << 32)
#define FE_P_MQ (1ULL << 0)
#define FE_P_REPLY_ACK (1ULL << 3)
#define FE_P_CONFIG (1ULL << 9)
#define FE_P_INFLIGHT (1ULL << 12)
#define FE_P_RESET_DEVICE (1ULL << 13)
#define FE_P_MEM_SLOTS (1ULL << 15)

/* Of a message's header. */
#define FE_FLAG_VERSION 0x1U
#define FE_FLAG_REPLY 0x4U
#define FE_FLAG_NEED_REPLY 0x8U

#define FE_TIMEOUT_MS 30000 /* for answers that must come */
#define FE_SEND_FDS_MAX 64

struct frontend {
	int sock;	   /* owned; -1 */
	uint64_t offered;  /* features, of GET_FEATURES */
	uint64_t features; /* agreed on */
	uint64_t protocol_offered, protocol;
};

struct frontend_header {
	uint32_t request, flags, size;
};

/* An answer. */
struct frontend_answer {
	struct frontend_header header;
	union vhost_payload payload;
	int fd; /* owned by the caller; -1 */
};

/* Connects to a socket; tries again until `timeout_ms` is over if nobody listens yet. */
int frontend_connect(struct frontend *fe, const char *path, int timeout_ms);
/* Uses a connected socket, which is taken over. */
void frontend_adopt(struct frontend *fe, int sock);
void frontend_close(struct frontend *fe); /* may be called twice */

/* --- raw ------------------------------------------------------------------------------------------------- */

/* Any bytes and any descriptors, in one sendmsg(2). -EPIPE: the back-end has hung up. */
int frontend_send_bytes(struct frontend *fe, const void *bytes, size_t len, const int *fds,
			unsigned fd_count);
/* A header with these fields and `size` bytes of payload (header.size need not be true: it is `claimed`). */
int frontend_send_claimed(struct frontend *fe, uint32_t request, uint32_t flags, uint32_t claimed,
			  const void *payload, size_t size, const int *fds, unsigned fd_count);
/* The same, well formed: version 1, true size; with NEED_REPLY or not. */
int frontend_send(struct frontend *fe, uint32_t request, const void *payload, size_t size,
		  const int *fds, unsigned fd_count, bool need_reply);
/* The next answer. -ETIMEDOUT; -EPIPE: hung up; -EPROTO: no answer by its form. */
int frontend_receive(struct frontend *fe, struct frontend_answer *out, int timeout_ms);
/* Does the back-end hang up within the time? What it says until then is thrown away. */
bool frontend_hung_up(struct frontend *fe, int timeout_ms);

/* --- well formed ------------------------------------------------------------------------------------------ */

/*
 * Sends a message that has no answer of its own, and waits until it was carried out: by NEED_REPLY where REPLY_ACK is agreed
 * on, else by a GET_FEATURES behind it. -EREMOTEIO: the back-end says that it failed.
 */
int frontend_tell(struct frontend *fe, uint32_t request, const void *payload, size_t size,
		  const int *fds, unsigned fd_count);
int frontend_tell_u64(struct frontend *fe, uint32_t request, uint64_t value);
int frontend_tell_state(struct frontend *fe, uint32_t request, uint32_t index, uint32_t num);
/* Sends a message that has an answer, and waits for that. */
int frontend_ask(struct frontend *fe, uint32_t request, const void *payload, size_t size,
		 struct frontend_answer *out);
int frontend_ask_u64(struct frontend *fe, uint32_t request, uint64_t *out);

/* Agrees on those of the features that are offered: features and protocol features, SET_OWNER. */
int frontend_negotiate(struct frontend *fe, uint64_t features, uint64_t protocol);

#endif
