/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * helper.h - a small process of its own that has the sealing keys, and seals and opens for this one.
 *
 * It is forked before the sandbox, reads the key itself, and gives back all but the sealing keys. What it may do
 * afterwards is in helper_process.c. Requests go through memory that the two share; any thread may make them.
 * When it ends, every call fails with -EOWNERDEAD.
 */
#ifndef HOLDFAST_EXPORT_HELPER_H
#define HOLDFAST_EXPORT_HELPER_H

#include "export/envelope.h"
#include "export/keysource.h"

struct helper;

/*
 * Forks it; it reads the key from `source`. One thread only, and no key was loaded yet. 0; what reading the
 * key gave (as keysource_load()); or -errno when there could be none, after one line in the log. Takes over
 * all that `source` has open.
 */
int helper_start(struct keysource *source, int statedir, struct helper **out);

/* Ends it; every keyring that has it must be gone. Takes NULL. */
void helper_free(struct helper *h);

/* In another process that inherited it (the one outside of a sandbox): closes, and lets it be. Takes NULL. */
void helper_abandon(struct helper *h);

int helper_pid(const struct helper *h); /* as the process that started it counts */

/* A keyring without sealing keys, as they are now: the key is read anew if its source can be. For the caller to free. */
int helper_keyring(struct helper *h, struct keyring **out);

/* Waits until it ends, or until helper_release(): true, it ended by itself. */
bool helper_wait(struct helper *h);
void helper_release(struct helper *h);

/* As envelope_seal() and envelope_open(), whose checks of lengths were made. -ENOKEY: there is no such key. */
ssize_t helper_seal(struct helper *h, uint32_t root_generation, enum envelope_domain domain,
		    uint64_t number, const uint8_t *plain, size_t len, uint8_t *out);
ssize_t helper_open(struct helper *h, uint32_t root_generation, enum envelope_domain domain,
		    uint64_t number, const uint8_t *sealed, size_t len, uint8_t *out);
/* As envelope_reseal(), many at a time. */
int helper_reseal(struct helper *h, uint32_t root_generation, enum envelope_domain domain,
		  struct envelope_item *items, size_t n);

#endif
