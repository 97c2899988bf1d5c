/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * helper.c - the daemon's side of the key helper: starting it, asking it, noticing its end.
 *
 * Any thread asks, each by a slot of its own for as long as it takes. Shared memory and futexes, since a cold decode
 * waits for the answer. Neither side looks at a number for a while before it sleeps over it: on a machine that is
 * busy that keeps the other side from running (m: ten times as long).
 */
#include "export/helper.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/secret.h"
#include "base/util.h"
#include "export/helper_private.h"

#define NAP_NS 100000000L /* then see whether the helper is there still */

struct helper {
	struct helper_memory *memory;
	pid_t pid;
	int life;    /* our end: a hang-up is the helper's end */
	int release; /* eventfd */
	atomic_bool dead;
	pthread_mutex_t lock; /* guards `free` */
	pthread_cond_t freed;
	uint64_t free; /* bits of slots */
};

/* --- what both sides use -------------------------------------------------------------------------- */

void helper_futex_wait(atomic_uint *word, unsigned value, long timeout_ns)
{
	const struct timespec ts = { .tv_nsec = timeout_ns };

	(void)syscall(SYS_futex, word, FUTEX_WAIT, value, timeout_ns ? &ts : NULL, NULL, 0);
}

void helper_futex_wake(atomic_uint *word)
{
	(void)syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* --- beginning and end ---------------------------------------------------------------------------- */

static struct helper_memory *make_memory(void)
{
	void *p = mmap(NULL, sizeof(struct helper_memory), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	if (madvise(p, sizeof(struct helper_memory), MADV_DONTDUMP)) {
		(void)munmap(p, sizeof(struct helper_memory));
		return NULL;
	}
	if (mlock(p, sizeof(struct helper_memory)))
		log_debug("helper: cannot lock its memory: %s", strerror(errno));
	return p;
}

static int fork_helper(struct helper *h, struct keysource *source, int statedir)
{
	int parent = getpid();
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return errno_neg();
	h->pid = fork();
	if (h->pid == 0)
		helper_run(h->memory, source, statedir, pair[1], parent);
	fd_close(pair[1]);
	h->life = pair[0];
	return h->pid < 0 ? errno_neg() : 0;
}

int helper_start(struct keysource *source, int statedir, struct helper **out)
{
	struct helper *h = calloc(1, sizeof(*h));
	struct keyring *k = NULL;
	int err = -ENOMEM;

	*out = NULL;
	if (!h)
		return err;
	h->life = h->release = -1;
	h->free = UINT64_MAX;
	(void)pthread_mutex_init(&h->lock, NULL);
	(void)pthread_cond_init(&h->freed, NULL);
	h->memory = make_memory();
	h->release = eventfd(0, EFD_CLOEXEC);
	if (h->memory && h->release >= 0)
		err = fork_helper(h, source, statedir);
	if (err)
		log_error("key: cannot start the key helper: %s", strerror(-err));
	else
		err = helper_keyring(h, &k); /* comes when it has read the key and shut itself in */
	keyring_free(k);
	if (err) {
		helper_free(h);
		return err;
	}
	/* What the key is read from is the helper's alone. */
	if (source->kind != KEYSOURCE_STATE) {
		source->dir = fd_close(source->dir);
		source->fd = fd_close(source->fd);
	}
	*out = h;
	return 0;
}

void helper_abandon(struct helper *h)
{
	if (!h)
		return;
	fd_close(h->life);
	fd_close(h->release);
	if (h->memory)
		(void)munmap(h->memory, sizeof(*h->memory));
	(void)pthread_cond_destroy(&h->freed);
	(void)pthread_mutex_destroy(&h->lock);
	free(h);
}

int helper_pid(const struct helper *h)
{
	return h->pid;
}

bool helper_wait(struct helper *h)
{
	struct pollfd fds[2] = { { .fd = h->life, .events = POLLIN },
				 { .fd = h->release, .events = POLLIN } };

	while (poll(fds, 2, -1) < 0 && errno == EINTR)
		;
	if (fds[1].revents)
		return false;
	atomic_store(&h->dead, true);
	return true;
}

void helper_release(struct helper *h)
{
	(void)eventfd_write(h->release, 1);
}

/* --- asking --------------------------------------------------------------------------------------- */

static struct helper_slot *slot_take(struct helper *h)
{
	int i;

	(void)pthread_mutex_lock(&h->lock);
	while (!h->free)
		(void)pthread_cond_wait(&h->freed, &h->lock);
	i = __builtin_ctzll(h->free);
	h->free &= h->free - 1;
	(void)pthread_mutex_unlock(&h->lock);
	return &h->memory->slots[i];
}

static uint64_t slot_bit(const struct helper *h, const struct helper_slot *slot)
{
	return UINT64_C(1) << (slot - h->memory->slots);
}

static void slot_give(struct helper *h, struct helper_slot *slot)
{
	/* One that the helper has died over stays out of use: so does all of it. */
	if (atomic_load(&slot->state) == SLOT_ASKED ||
	    atomic_load(&slot->state) == SLOT_ASKED_ASLEEP)
		atomic_store(&h->dead, true);
	atomic_store(&slot->state, SLOT_FREE);
	(void)pthread_mutex_lock(&h->lock);
	h->free |= slot_bit(h, slot);
	(void)pthread_cond_signal(&h->freed);
	(void)pthread_mutex_unlock(&h->lock);
}

static void ring_bell(struct helper_memory *m)
{
	if (!atomic_load(&m->asleep))
		return;
	atomic_fetch_add(&m->bell, 1);
	helper_futex_wake(&m->bell);
}

static bool is_dead(struct helper *h)
{
	struct pollfd p = { .fd = h->life, .events = POLLIN };

	if (!atomic_load(&h->dead) && poll(&p, 1, 0) > 0)
		atomic_store(&h->dead, true);
	return atomic_load(&h->dead);
}

/* Hands the slot to the helper and waits for the answer: slot->result, or -EOWNERDEAD. */
static int ask(struct helper *h, struct helper_slot *slot, enum helper_op op)
{
	unsigned asked = SLOT_ASKED;

	if (atomic_load(&h->dead))
		return -EOWNERDEAD;
	slot->op = op;
	atomic_store(&slot->state, SLOT_ASKED);
	atomic_fetch_or(&h->memory->asked, slot_bit(h, slot));
	ring_bell(h->memory);
	if (op == HELPER_QUIT)
		return 0;
	if (!atomic_compare_exchange_strong(&slot->state, &asked, SLOT_ASKED_ASLEEP))
		return slot->result;
	while (atomic_load(&slot->state) != SLOT_ANSWERED) {
		helper_futex_wait(&slot->state, SLOT_ASKED_ASLEEP, NAP_NS);
		if (atomic_load(&slot->state) != SLOT_ANSWERED && is_dead(h))
			return -EOWNERDEAD;
	}
	return slot->result;
}

void helper_free(struct helper *h)
{
	if (!h)
		return;
	if (h->pid > 0 && h->memory && !is_dead(h)) {
		struct helper_slot *slot = slot_take(h);

		(void)ask(h, slot, HELPER_QUIT);
	}
	/* It is no child of ours if this is the process inside of a sandbox. */
	while (h->pid > 0 && waitpid(h->pid, NULL, 0) < 0 && errno == EINTR)
		;
	helper_abandon(h);
}

/* One message of `in`, whose answer is at most `cap` bytes. */
static ssize_t converse(struct helper *h, enum helper_op op, uint32_t root_generation,
			enum envelope_domain domain, uint64_t number, const uint8_t *in, size_t len,
			uint8_t *out, size_t cap)
{
	struct helper_slot *slot = slot_take(h);
	ssize_t ret;

	slot->root_generation = root_generation;
	slot->domain = (uint32_t)domain;
	slot->count = 1;
	slot->messages[0] = (struct helper_message){ .number = number, .len = (uint32_t)len };
	if (len)
		memcpy(slot->bytes, in, len);
	ret = ask(h, slot, op);
	if (!ret) {
		ret = slot->messages[0].result;
		if (ret > 0 && (size_t)ret <= cap)
			memcpy(out, slot->bytes, (size_t)ret);
		else if (ret >= 0)
			ret = -EIO;
	}
	if (op == HELPER_KEYRING)
		secret_wipe(slot->bytes, KEYRING_STRIPPED_LEN);
	slot_give(h, slot);
	return ret;
}

ssize_t helper_seal(struct helper *h, uint32_t root_generation, enum envelope_domain domain,
		    uint64_t number, const uint8_t *plain, size_t len, uint8_t *out)
{
	return converse(h, HELPER_SEAL, root_generation, domain, number, plain, len, out,
			len + ENVELOPE_OVERHEAD);
}

ssize_t helper_open(struct helper *h, uint32_t root_generation, enum envelope_domain domain,
		    uint64_t number, const uint8_t *sealed, size_t len, uint8_t *out)
{
	return converse(h, HELPER_OPEN, root_generation, domain, number, sealed, len, out,
			len - ENVELOPE_OVERHEAD);
}

/* As many of the items as a slot takes; their number, or -errno. */
static ssize_t reseal_some(struct helper *h, struct helper_slot *slot, struct envelope_item *items,
			   size_t n)
{
	size_t used = 0, count = 0;
	int ret;

	while (count < n && count < HELPER_MESSAGES && items[count].len <= HELPER_BYTES - used) {
		slot->messages[count] =
			(struct helper_message){ .number = items[count].number,
						 .len = (uint32_t)items[count].len };
		memcpy(slot->bytes + used, items[count].sealed, items[count].len);
		used += items[count++].len;
	}
	slot->count = (uint32_t)count;
	ret = ask(h, slot, HELPER_RESEAL);
	used = 0;
	for (size_t i = 0; !ret && i < count; i++) {
		items[i].changed = slot->messages[i].result == 1;
		memcpy(items[i].sealed, slot->bytes + used, items[i].len);
		used += items[i].len;
	}
	return ret ? ret : (ssize_t)count;
}

int helper_reseal(struct helper *h, uint32_t root_generation, enum envelope_domain domain,
		  struct envelope_item *items, size_t n)
{
	struct helper_slot *slot = slot_take(h);
	ssize_t done = 0;

	slot->root_generation = root_generation;
	slot->domain = (uint32_t)domain;
	for (size_t i = 0; i < n && done >= 0; i += (size_t)done)
		done = reseal_some(h, slot, items + i, n - i);
	slot_give(h, slot);
	return done < 0 ? (int)done : 0;
}

int helper_keyring(struct helper *h, struct keyring **out)
{
	uint8_t *bytes = secret_alloc(KEYRING_STRIPPED_LEN);
	ssize_t ret = -ENOMEM;

	*out = NULL;
	if (!bytes)
		return (int)ret;
	ret = converse(h, HELPER_KEYRING, 0, ENVELOPE_META, 0, NULL, 0, bytes,
		       KEYRING_STRIPPED_LEN);
	if (ret > 0)
		ret = ret == KEYRING_STRIPPED_LEN ? keyring_from_stripped(bytes, out) : -EIO;
	if (*out)
		keyring_set_helper(*out, h);
	secret_free(bytes, KEYRING_STRIPPED_LEN);
	return (int)ret;
}
