/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * helper_private.h - the memory that a daemon and its key helper share.
 *
 * A request takes a slot: the asker writes it, sets `state` to ASKED and the slot's bit in `asked`, and rings the bell if
 * the helper sleeps. The helper answers in the slot and sets `state` to ANSWERED. Who goes to sleep over a slot
 * says so by ASKED_ASLEEP. Neither side believes what it reads: the helper copies each number before it looks at
 * it, and the asker takes no more bytes than it has room for.
 *
 * Requests and answers, `count` messages one behind the other in `bytes`:
 *     SEAL      message: plain text            answer: sealed bytes
 *     OPEN      message: sealed bytes          answer: plain text
 *     RESEAL    messages: sealed bytes         answers: sealed bytes, of the same lengths
 *     KEYRING   nothing                        answer: keyring_to_stripped()
 *     QUIT      nothing; there is no answer
 */
#ifndef HOLDFAST_EXPORT_HELPER_PRIVATE_H
#define HOLDFAST_EXPORT_HELPER_PRIVATE_H

#include <stdalign.h>
#include <stdatomic.h>

#include "export/helper.h"

#define HELPER_SLOTS 64 /* bits of `asked` */
#define HELPER_MESSAGES 32
#define HELPER_BYTES 16384
#define HELPER_LINE 64

_Static_assert(HELPER_BYTES >= ENVELOPE_PLAIN_MAX + ENVELOPE_OVERHEAD, "any message fits");

enum helper_state { SLOT_FREE, SLOT_ASKED, SLOT_ASKED_ASLEEP, SLOT_ANSWERED };
enum helper_op { HELPER_SEAL, HELPER_OPEN, HELPER_RESEAL, HELPER_KEYRING, HELPER_QUIT };

struct helper_message {
	uint64_t number;
	uint32_t len;
	int32_t result; /* bytes of the answer, or -errno; RESEAL: 1 changed, 0 left as it was */
};

struct helper_slot {
	alignas(HELPER_LINE) atomic_uint state; /* futex */
	uint32_t op, root_generation, domain, count;
	int32_t result; /* of the whole: 0 or -errno */
	struct helper_message messages[HELPER_MESSAGES];
	uint8_t bytes[HELPER_BYTES];
};

struct helper_memory {
	alignas(HELPER_LINE) atomic_uint bell; /* futex */
	atomic_uint asleep;		       /* 1: the helper waits for the bell */
	alignas(HELPER_LINE) atomic_ullong asked;
	alignas(HELPER_LINE) struct helper_slot slots[HELPER_SLOTS];
};

/* futex(2) of memory that processes share. */
void helper_futex_wait(atomic_uint *word, unsigned value, long timeout_ns); /* 0: for ever */
void helper_futex_wake(atomic_uint *word);

/*
 * The process itself: reads the key, shuts itself in, answers until QUIT or until its parent `parent` has gone. `life` is its
 * end of the pair of sockets by which the other side sees it end. Does not come back. (helper_process.c)
 */
_Noreturn void helper_run(struct helper_memory *memory, struct keysource *source, int statedir,
			  int life, int parent);

#endif
