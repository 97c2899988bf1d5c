/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_helper.c - the key helper: gives what an envelope of our own gives, has what we have not, believes nothing, and
 * is missed when it has gone.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#undef MAP_FILE /* a flag of mmap(2) that has no meaning; the map's file has that name */

#include "base/log.h"
#include "base/util.h"
#include "export/helper_private.h"
#include "export/map.h"
#include "export/tests/fixture.h"

struct kit {
	struct fixture *f;
	struct keyring *keys; /* all of them */
	struct keysource source;
	struct helper *helper;
	struct keyring *stripped;
	struct envelope *ours, *theirs;
};

static int setup(void **state)
{
	struct kit *k = calloc(1, sizeof(*k));

	log_init(LOG_LEVEL_OFF, false);
	if (!k || fixture_setup((void **)&k->f) || keyring_generate(&k->keys) ||
	    keyring_store(k->keys, k->f->dirfd, KEY_FILE, true) ||
	    helper_start(&k->source, k->f->dirfd, &k->helper) ||
	    helper_keyring(k->helper, &k->stripped) || envelope_new(k->keys, &k->ours) ||
	    envelope_new(k->stripped, &k->theirs))
		return -1;
	*state = k;
	return 0;
}

static int teardown(void **state)
{
	struct kit *k = *state;
	void *f = k->f;

	envelope_free(k->ours);
	envelope_free(k->theirs);
	keyring_free(k->stripped);
	keyring_free(k->keys);
	helper_free(k->helper);
	free(k);
	return fixture_teardown(&f);
}

static void test_the_daemon_has_no_sealing_key(void **state)
{
	static const uint8_t zeros[KEYRING_SEALING_LEN];
	struct kit *k = *state;
	uint8_t a[KEYRING_DERIVED_LEN], b[KEYRING_DERIVED_LEN];

	assert_memory_equal(keyring_uuid(k->stripped), keyring_uuid(k->keys), HOLDFAST_UUID_LEN);
	assert_int_equal(keyring_active(k->stripped), keyring_active(k->keys));
	assert_memory_equal(keyring_sealing_key(k->stripped, 1), zeros, sizeof(zeros));
	assert_int_equal(keyring_derive(k->stripped, "test", true, a), 0);
	assert_int_equal(keyring_derive(k->keys, "test", true, b), 0);
	assert_memory_equal(a, b, sizeof(a));
}

static void test_it_seals_and_opens_as_we_would(void **state)
{
	static const size_t lens[] = { 1, 2, 30, 500, ENVELOPE_PLAIN_MAX };
	uint8_t plain[ENVELOPE_PLAIN_MAX], a[2048], b[2048];
	struct kit *k = *state;

	memset(plain, 0x42, sizeof(plain));
	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		ssize_t n = envelope_seal(k->ours, ENVELOPE_ROW, i, plain, lens[i], a, sizeof(a));

		assert_int_equal(envelope_seal(k->theirs, ENVELOPE_ROW, i, plain, lens[i], b,
					       sizeof(b)),
				 n);
		assert_memory_equal(a, b, (size_t)n);
		assert_int_equal(envelope_open(k->theirs, ENVELOPE_ROW, i, a, (size_t)n, b,
					       sizeof(b)),
				 lens[i]);
		assert_memory_equal(b, plain, lens[i]);
		assert_int_equal(envelope_open(k->theirs, ENVELOPE_ROW, i + 1, a, (size_t)n, b,
					       sizeof(b)),
				 -EBADMSG);
		assert_int_equal(envelope_open(k->theirs, ENVELOPE_ALIAS, i, a, (size_t)n, b,
					       sizeof(b)),
				 -EBADMSG);
		a[1] = 77; /* no such key */
		assert_int_equal(envelope_open(k->theirs, ENVELOPE_ROW, i, a, (size_t)n, b,
					       sizeof(b)),
				 -EBADMSG);
	}
	assert_int_equal(envelope_seal(k->theirs, ENVELOPE_ROW, 1, plain, ENVELOPE_PLAIN_MAX + 1, b,
				       sizeof(b)),
			 -EINVAL);
}

static void test_it_takes_a_rotation_over_and_seals_anew_in_batches(void **state)
{
	enum { ITEMS = 100 };
	static uint8_t sealed[ITEMS][600];
	static struct envelope_item items[ITEMS];
	uint8_t plain[500] = { 9 }, out[600];
	struct kit *k = *state;
	struct keyring *fresh;

	for (uint64_t i = 0; i < ITEMS; i++) {
		ssize_t n = envelope_seal(k->ours, ENVELOPE_ROW, i, plain, 200 + i, sealed[i],
					  sizeof(sealed[i]));

		items[i] = (struct envelope_item){ .number = i,
						   .sealed = sealed[i],
						   .len = (size_t)n };
	}
	sealed[50][30] ^= 1;
	assert_int_equal(keyring_rotate(k->keys), 0);
	assert_int_equal(keyring_store(k->keys, k->f->dirfd, KEY_FILE, false), 0);
	assert_int_equal(helper_keyring(k->helper, &fresh), 0);
	assert_int_equal(keyring_active(fresh), 2);
	assert_int_equal(keyring_take_over(k->stripped, fresh), 0);
	keyring_free(fresh);

	assert_int_equal(envelope_reseal(k->theirs, ENVELOPE_ROW, items, ITEMS), 0);
	envelope_free(k->ours);
	assert_int_equal(envelope_new(k->keys, &k->ours), 0);
	for (uint64_t i = 0; i < ITEMS; i++) {
		assert_int_equal(items[i].changed, i != 50);
		assert_int_equal(envelope_key_id(items[i].sealed, items[i].len), i != 50 ? 2 : 1);
		assert_int_equal(envelope_open(k->ours, ENVELOPE_ROW, i, items[i].sealed,
					       items[i].len, out, sizeof(out)),
				 i != 50 ? 200 + (int)i : -EBADMSG);
	}
	assert_int_equal(envelope_reseal(k->theirs, ENVELOPE_ROW, items, ITEMS), 0);
	for (uint64_t i = 0; i < ITEMS; i++)
		assert_false(items[i].changed);
}

static void test_its_end_is_noticed(void **state)
{
	struct kit *k = *state;
	uint8_t plain[8] = { 0 }, out[64];

	assert_int_equal(kill(helper_pid(k->helper), SIGKILL), 0);
	assert_true(helper_wait(k->helper));
	assert_int_equal(envelope_seal(k->theirs, ENVELOPE_ROW, 1, plain, 8, out, sizeof(out)),
			 -EOWNERDEAD);
	assert_int_equal(envelope_open(k->theirs, ENVELOPE_ROW, 1, out, 40, out, sizeof(out)),
			 -EBADMSG); /* no envelope: it was not asked */
	out[0] = 1;
	assert_int_equal(envelope_open(k->theirs, ENVELOPE_ROW, 1, out, 40, out, sizeof(out)),
			 -EOWNERDEAD);
}

static void test_a_key_that_cannot_be_read_is_said_at_the_start(void **state)
{
	struct kit *k = *state;
	struct keysource none = { .kind = KEYSOURCE_STATE };
	struct helper *h;

	assert_int_equal(unlinkat(k->f->dirfd, KEY_FILE, 0), 0);
	assert_int_equal(helper_start(&none, k->f->dirfd, &h), -ENOENT);
	assert_null(h);
}

/* That it has gone says nothing about what is in the map: nothing is taken for damaged, nothing is written over. */
static void test_its_end_makes_no_row_a_forgery(void **state)
{
	struct kit *k = *state;
	char path[128];
	const struct map_config config = { .path = path, .keyring = k->stripped, .create = true };
	struct record rec = fixture_record(RECORD_SEEN, 5, 1, "a", false);
	struct map *m;
	struct map_reader *r;
	struct map_writer *w;
	struct row row;
	uint64_t value;

	(void)snprintf(path, sizeof(path), "%s/" MAP_FILE, k->f->dir);
	assert_int_equal(map_open(&config, &m, NULL), 0);
	assert_int_equal(map_reader_new(m, &r), 0);
	assert_int_equal(map_writer_new(m, &w), 0);
	assert_int_equal(map_begin(w), 0);
	assert_int_equal(map_apply(w, &rec), 0);
	assert_int_equal(map_commit(w, 8), 0);
	assert_int_equal(map_get(r, (rowid_t){ 5 }, &row), 0);

	assert_int_equal(kill(helper_pid(k->helper), SIGKILL), 0);
	assert_true(helper_wait(k->helper));
	assert_int_equal(map_get(r, (rowid_t){ 5 }, &row), -EOWNERDEAD);
	assert_int_equal(map_field_get(m, MAP_DRAINED, &value), -EOWNERDEAD);
	rec = fixture_record(RECORD_SEEN, 5, 2, "another", false);
	assert_int_equal(map_begin(w), 0);
	assert_int_equal(map_apply(w, &rec), -EOWNERDEAD);
	map_reader_free(r);
	map_writer_free(w);
	map_close(m);
}

/* --- hostile requests ------------------------------------------------------------------------------ */

static int submit(struct helper_memory *m, unsigned i)
{
	struct helper_slot *slot = &m->slots[i];

	slot->result = 12345;
	atomic_store(&slot->state, SLOT_ASKED);
	atomic_fetch_or(&m->asked, UINT64_C(1) << i);
	atomic_fetch_add(&m->bell, 1);
	helper_futex_wake(&m->bell);
	for (int tries = 0; tries < 10000 && atomic_load(&slot->state) != SLOT_ANSWERED; tries++)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	assert_int_equal(atomic_load(&slot->state), SLOT_ANSWERED);
	return slot->result;
}

static void test_numbers_that_lie_are_refused(void **state)
{
	struct kit *k = *state;
	struct helper_memory *m =
		mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct helper_slot *slot = &m->slots[3];
	int life[2], parent = getpid();
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, life), 0);
	pid = fork();
	if (pid == 0)
		helper_run(m, &k->source, k->f->dirfd, life[1], parent);

	slot->count = 1;
	slot->op = 99;
	assert_int_equal(submit(m, 3), -EINVAL);
	slot->op = HELPER_OPEN;
	slot->domain = 99;
	assert_int_equal(submit(m, 3), -EINVAL);
	slot->domain = ENVELOPE_ROW;
	slot->count = UINT32_MAX;
	assert_int_equal(submit(m, 3), -EINVAL);
	slot->count = 1;
	for (uint32_t len = HELPER_BYTES + 1; len; len = len > UINT32_MAX / 3 ? 0 : len * 3) {
		slot->messages[0].len = len;
		for (slot->op = HELPER_SEAL; slot->op <= HELPER_RESEAL; slot->op++)
			assert_int_equal(submit(m, 3), -EINVAL);
	}
	/* Lengths that are in bounds, and make no message. */
	for (uint32_t len = 0; len <= HELPER_BYTES; len += len < 40 ? 1 : 333) {
		slot->messages[0].len = len;
		slot->op = HELPER_OPEN;
		assert_int_equal(submit(m, 3), 0);
		assert_true(slot->messages[0].result < 0);
		slot->op = HELPER_SEAL;
		assert_int_equal(submit(m, 3), 0);
		assert_int_equal(slot->messages[0].result > 0,
				 len >= 1 && len <= ENVELOPE_PLAIN_MAX);
	}
	/* Each of them in bounds, all of them not; their sum wraps. */
	slot->op = HELPER_RESEAL;
	slot->count = HELPER_MESSAGES;
	for (unsigned i = 0; i < HELPER_MESSAGES; i++)
		slot->messages[i].len = HELPER_BYTES / 2;
	assert_int_equal(submit(m, 3), -EINVAL);
	for (unsigned i = 0; i < HELPER_MESSAGES; i++)
		slot->messages[i].len = UINT32_MAX / 2 + 1;
	assert_int_equal(submit(m, 3), -EINVAL);
	for (unsigned i = 0; i < HELPER_MESSAGES; i++)
		slot->messages[i].len = 0;
	assert_int_equal(submit(m, 3), 0);

	/* And it serves on. */
	slot->op = HELPER_KEYRING;
	slot->count = 1;
	assert_int_equal(submit(m, 3), 0);
	assert_int_equal(slot->messages[0].result, KEYRING_STRIPPED_LEN);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	(void)fd_close(life[0]);
	(void)fd_close(life[1]);
	(void)munmap(m, sizeof(*m));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_the_daemon_has_no_sealing_key),
		T(test_it_seals_and_opens_as_we_would),
		T(test_it_takes_a_rotation_over_and_seals_anew_in_batches),
		T(test_its_end_is_noticed),
		T(test_its_end_makes_no_row_a_forgery),
		T(test_a_key_that_cannot_be_read_is_said_at_the_start),
		T(test_numbers_that_lie_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
