/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fefuse.h - FUSE requests and replies over the rings of a device: as a guest's kernel lays them out, or any bytes.
 *
 * A request lies in a slot: guest memory for the request's bytes and for the reply's. Several slots may be in flight, on
 * several rings; fefuse_call() is the one that waits. The calls of each operation are in fecalls.h.
 *
 * Each reply is checked: its length in the used ring is the length in its header, it answers this request, and what has no
 * reply comes back with length 0. What fails that is -EBADMSG, which no file system gives here.
 */
#ifndef HOLDFAST_NATIVE_FEFUSE_H
#define HOLDFAST_NATIVE_FEFUSE_H

#include <sys/uio.h>

#include "fedevice.h"
#include "fuse/protocol.h"

#define FEFUSE_SLOTS_MAX 64
#define FEFUSE_PARTS 4
#define FEFUSE_IO (1U << 20)		  /* largest read and write */
#define FEFUSE_SLOT_IN (FEFUSE_IO + 8192) /* bytes of a slot's request, and of its reply */
#define FEFUSE_SLOT_OUT (FEFUSE_IO + 4096)
#define FEFUSE_SLOT_BYTES (FEFUSE_SLOT_IN + FEFUSE_SLOT_OUT)
#define FEFUSE_PIECES_MAX 1024
#define FEFUSE_TIMEOUT_MS 30000

struct fefuse_request {
	uint32_t opcode;
	uint64_t nodeid;
	struct iovec in[FEFUSE_PARTS]; /* behind the header, a descriptor each */
	unsigned parts;
	void *out;   /* gets what is behind the reply's header */
	size_t room; /* for it */
	bool no_reply;
	const struct fuse_in_header *header; /* NULL: made of the above and the session's caller */
};

struct fefuse_slot {
	uint64_t in, out; /* of the guest */
	bool busy, done;
	int broken; /* -EPROTO: the ring gave what was not in flight */
	unsigned queue;
	uint64_t unique;
	uint32_t used_len;
	bool no_reply, raw;
	void *to;
	size_t room;
};

struct fefuse {
	struct fedevice *dev;
	unsigned queue; /* of fefuse_call(); 1 */
	/* Of the caller, in each header. */
	uint32_t uid, gid, pid;
	uint64_t unique; /* of the last request */
	/*
	 * 0: a descriptor for each part, as Linux does it. Else all of a request (of a reply) is cut into pieces of so many
	 * bytes, whatever they hold.
	 */
	uint32_t piece_in, piece_out;
	unsigned spin_us; /* looks at the ring before it sleeps */
	int timeout_ms;
	struct fefuse_slot slots[FEFUSE_SLOTS_MAX];
	unsigned slot_count;
	/* Of the last reply: */
	uint32_t used_len;	   /* in the used ring */
	size_t reply_len;	   /* bytes behind its header */
	struct fuse_init_out init; /* of fecall_init() */
};

/* `slots` slots in the region at `region` (0: the first). -ENOSPC. */
int fefuse_open(struct fefuse *f, struct fedevice *dev, uint64_t region, unsigned slots);

/* One request that waits for its reply: 0 or its -errno; -ETIMEDOUT, -EBADMSG. */
int fefuse_call(struct fefuse *f, const struct fefuse_request *r);

/* Puts it into ring `queue` and kicks: the number of the slot, or -ENOSPC, -EBUSY. */
int fefuse_send(struct fefuse *f, unsigned queue, const struct fefuse_request *r);
/* Waits for a slot: the reply's 0 or -errno, and the slot is free; -ETIMEDOUT: it is in flight still. */
int fefuse_receive(struct fefuse *f, int slot, int timeout_ms);
/* Has it come back? */
bool fefuse_done(struct fefuse *f, int slot);
/* Slots that the back-end has forgotten (after fering_reset()) are free again. */
void fefuse_forget_slots(struct fefuse *f);

/*
 * Any bytes as a request, any room (0: no writable descriptor) for a reply. The reply's bytes, header and all, go to `reply`.
 * The length in the used ring, unchecked; -ETIMEDOUT.
 */
int fefuse_raw(struct fefuse *f, unsigned queue, const void *bytes, size_t len, void *reply,
	       size_t room);

/*
 * A prepared request for fering_submit(), again and again: `in` and `out` are where its bytes are, to be changed between
 * two uses (header, arguments and data in a descriptor each). Its token is the struct itself, which must stay where it is.
 */
struct fefuse_template {
	struct fering *ring;
	uint16_t head;
	struct fuse_in_header *in;
	uint8_t *args;
	struct fuse_out_header *out;
	uint8_t *reply; /* behind the header */
};

/* -ENOSPC: no memory (at `region`) or no descriptors. */
int fefuse_prepare(struct fefuse *f, struct fering *ring, uint64_t region, uint32_t opcode,
		   uint64_t nodeid, size_t args_len, size_t data_len, size_t room,
		   struct fefuse_template *out);
/* Another length of its arguments, at most that of fefuse_prepare(); not with data. */
void fefuse_args_len(struct fefuse_template *t, size_t args_len);

#endif
