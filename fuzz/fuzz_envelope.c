/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_envelope.c - envelopes that somebody made without the key, and ones of ours that somebody bent: none opens but one
 * that is bit for bit what was sealed, in its own domain and for its own number.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "export/envelope.h"
#include "fuzz.h"

static struct keyring *keys;
static struct envelope *envelope;

static void prepare(void)
{
	if (envelope)
		return;
	log_init(LOG_LEVEL_OFF, false);
	MUST(keyring_generate(&keys) == 0);
	MUST(envelope_new(keys, &envelope) == 0);
}

/* Bytes from nowhere. */
static void try_forged(enum envelope_domain domain, struct fuzz_input *in)
{
	uint8_t plain[ENVELOPE_PLAIN_MAX];
	struct identity id;
	ssize_t ret = envelope_open(envelope, domain, fuzz_take8(in), in->at, in->left, plain,
				    sizeof(plain));

	MUST(ret == -EBADMSG);
	MUST(envelope_open_handle(envelope, in->at, in->left, &id) == -EBADMSG);
}

/* One of ours: a byte of it changed, its end cut off or gone on, its number or domain another. */
static void try_bent(enum envelope_domain domain, struct fuzz_input *in)
{
	uint8_t plain[64], sealed[sizeof(plain) + ENVELOPE_OVERHEAD + 8] = { 0 };
	uint8_t out[ENVELOPE_PLAIN_MAX];
	size_t plain_len = 1 + fuzz_take8(in) % sizeof(plain);
	uint8_t bend = fuzz_take8(in), at = fuzz_take8(in), by = fuzz_take8(in);
	enum envelope_domain domain2 = domain;
	uint64_t number = 5;
	ssize_t len, ret;
	bool same = false;

	fuzz_take(in, plain, plain_len);
	len = envelope_seal(envelope, domain, number, plain, plain_len, sealed, sizeof(sealed) - 8);
	MUST(len == (ssize_t)(plain_len + ENVELOPE_OVERHEAD));
	switch (bend % 5) {
	case 0:
		sealed[at % len] ^= by;
		same = by == 0;
		break;
	case 1:
		len -= at % len;
		same = len == (ssize_t)(plain_len + ENVELOPE_OVERHEAD);
		break;
	case 2:
		len += at % 8;
		same = at % 8 == 0;
		break;
	case 3:
		number ^= by;
		same = by == 0;
		break;
	default:
		domain2 = (enum envelope_domain)(by % (ENVELOPE_HANDLE + 1));
		same = domain2 == domain;
		break;
	}
	ret = envelope_open(envelope, domain2, number, sealed, (size_t)len, out, sizeof(out));
	MUST(same ? ret == (ssize_t)plain_len && memcmp(out, plain, plain_len) == 0
		  : ret == -EBADMSG);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { .at = data, .left = size };
	uint8_t how = fuzz_take8(&in);
	enum envelope_domain domain = (enum envelope_domain)(how / 2 % (ENVELOPE_HANDLE + 1));

	prepare();
	if (how % 2)
		try_bent(domain, &in);
	else
		try_forged(domain, &in);
	return 0;
}
