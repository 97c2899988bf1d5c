/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_keyring.c - the key file: what it takes, what it refuses, and that a failed store loses
 * nothing.
 *
 * fsync, renameat, linkat and geteuid are replaced by this program's own, to see the order of calls
 * and to let them fail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "export/tests/golden.h"

#define NAME "key"
#define SIZE_OF(n) (64 + (size_t)(n)*66 + 32)

static struct {
	char path[64];
	int dir;
	char order[16]; /* f: fsync of a file, d: of a directory, r: renameat, l: linkat */
	char fail;	/* the letter whose call fails with EIO, or 0 */
	bool killed;	/* at the first renameat */
	bool no_randomness;
	uid_t euid_offset;
} t;

static bool step(char what)
{
	size_t n = strlen(t.order);

	if (n + 1 < sizeof(t.order))
		t.order[n] = what;
	errno = EIO;
	return t.fail == what;
}

int fsync(int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return -1;
	return step(S_ISDIR(st.st_mode) ? 'd' : 'f') ? -1 : (int)syscall(SYS_fsync, fd);
}

int renameat(int olddir, const char *old, int newdir, const char *new)
{
	if (t.killed)
		(void)raise(SIGKILL);
	return step('r') ? -1 : (int)syscall(SYS_renameat2, olddir, old, newdir, new, 0);
}

int linkat(int olddir, const char *old, int newdir, const char *new, int flags)
{
	return step('l') ? -1 : (int)syscall(SYS_linkat, olddir, old, newdir, new, flags);
}

uid_t geteuid(void)
{
	return (uid_t)syscall(SYS_geteuid) + t.euid_offset;
}

int RAND_priv_bytes(unsigned char *buf, int num)
{
	return t.no_randomness ? 0 : RAND_bytes(buf, num);
}

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	t.dir = golden_dir(t.path);
	return 0;
}

/* Names in the directory; all are removed with `remove`. */
static unsigned entries(bool remove)
{
	DIR *d = opendir(t.path);
	unsigned n = 0;

	assert_non_null(d);
	for (struct dirent *e = readdir(d); e; e = readdir(d)) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		n++;
		if (remove)
			(void)unlinkat(t.dir, e->d_name, e->d_type == DT_DIR ? AT_REMOVEDIR : 0);
	}
	closedir(d);
	return n;
}

static int teardown(void **state)
{
	(void)state;
	(void)entries(true);
	(void)fd_close(t.dir);
	return rmdir(t.path);
}

static int load_result(void)
{
	struct keyring *k = NULL;
	int ret = keyring_load(t.dir, NAME, &k);

	assert_true((ret == 0) == (k != NULL));
	keyring_free(k);
	return ret;
}

static struct keyring *load(void)
{
	struct keyring *k;

	assert_int_equal(keyring_load(t.dir, NAME, &k), 0);
	return k;
}

static struct keyring *generate(void)
{
	struct keyring *k;

	assert_int_equal(keyring_generate(&k), 0);
	return k;
}

/* Puts the right HMAC behind an image that was changed, with the means of OpenSSL's one-shot HKDF.
 */
static void sign(uint8_t *image, size_t len)
{
	static const char label[] = "holdfast key file v1\x01";
	static const uint8_t zeros[32];
	uint8_t prk[32];
	uint8_t key[32];
	size_t n;

	assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, zeros, 32, image + 32, 32,
				  prk, 32, &n));
	assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, prk, 32,
				  (const uint8_t *)label, sizeof(label) - 1, key, 32, &n));
	assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key, 32, image, len - 32,
				  image + len - 32, 32, &n));
}

static int load_bytes(const uint8_t *image, size_t len)
{
	golden_write(t.dir, NAME, image, len);
	return load_result();
}

static void assert_same(const struct keyring *a, const struct keyring *b)
{
	uint8_t da[KEYRING_DERIVED_LEN];
	uint8_t db[KEYRING_DERIVED_LEN];

	assert_memory_equal(keyring_uuid(a), keyring_uuid(b), HOLDFAST_UUID_LEN);
	assert_int_equal(keyring_root_generation(a), keyring_root_generation(b));
	assert_int_equal(keyring_active(a), keyring_active(b));
	assert_int_equal(keyring_derive(a, "x", true, da), 0);
	assert_int_equal(keyring_derive(b, "x", true, db), 0);
	assert_memory_equal(da, db, sizeof(da));
	for (unsigned id = 0; id <= UINT8_MAX; id++) {
		const uint8_t *ka = keyring_sealing_key(a, (uint8_t)id);
		const uint8_t *kb = keyring_sealing_key(b, (uint8_t)id);

		assert_true(!ka == !kb);
		if (ka)
			assert_memory_equal(ka, kb, KEYRING_SEALING_LEN);
	}
}

static void test_what_is_stored_is_loaded_again(void **state)
{
	struct keyring *k = generate();
	struct keyring *back;
	struct stat st;

	(void)state;
	assert_int_equal(keyring_root_generation(k), 1);
	assert_int_equal(keyring_rotate(k), 0);
	assert_int_equal(keyring_raise(k), 0);
	assert_int_equal(keyring_store(k, t.dir, NAME, true), 0);
	assert_int_equal(fstatat(t.dir, NAME, &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(st.st_size, SIZE_OF(2));
	back = load();
	assert_same(k, back);
	assert_int_equal(entries(false), 1);
	keyring_free(back);
	keyring_free(k);
}

static void test_the_mode_is_0600_whatever_the_umask(void **state)
{
	struct keyring *k = generate();
	struct stat st;
	mode_t old = umask(0777);

	(void)state;
	assert_int_equal(keyring_store(k, t.dir, NAME, false), 0);
	(void)umask(old);
	assert_int_equal(fstatat(t.dir, NAME, &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	keyring_free(k);
}

static void test_two_generated_keyrings_have_nothing_in_common(void **state)
{
	struct keyring *a = generate();
	struct keyring *b = generate();
	uint8_t da[KEYRING_DERIVED_LEN];
	uint8_t db[KEYRING_DERIVED_LEN];

	(void)state;
	assert_memory_not_equal(keyring_uuid(a), keyring_uuid(b), HOLDFAST_UUID_LEN);
	assert_memory_not_equal(keyring_sealing_key(a, 1), keyring_sealing_key(b, 1), 64);
	assert_int_equal(keyring_derive(a, "x", true, da), 0);
	assert_int_equal(keyring_derive(b, "x", true, db), 0);
	assert_memory_not_equal(da, db, sizeof(da));
	keyring_free(a);
	keyring_free(b);
}

static void test_without_randomness_there_is_no_keyring(void **state)
{
	struct keyring *k = generate();
	struct keyring *none = k;

	(void)state;
	t.no_randomness = true;
	assert_int_equal(keyring_generate(&none), -EIO);
	assert_null(none);
	assert_int_equal(keyring_rotate(k), -EIO);
	assert_int_equal(keyring_active(k), 1);
	assert_null(keyring_sealing_key(k, 2));
	keyring_free(k);
}

static void test_the_layout_is_the_documented_one(void **state)
{
	uint8_t image[GOLDEN_SIZE];
	uint8_t stored[GOLDEN_SIZE + 1];
	uint8_t key[KEYRING_SEALING_LEN];
	struct keyring *k = golden_keyring();
	int fd;

	(void)state;
	assert_int_equal(keyring_root_generation(k), GOLDEN_GENERATION);
	assert_int_equal(keyring_active(k), GOLDEN_ACTIVE);
	golden_fill(key, sizeof(key), 0x40);
	assert_memory_equal(keyring_sealing_key(k, GOLDEN_RETIRED), key, sizeof(key));
	golden_fill(key, sizeof(key), 0x80);
	assert_memory_equal(keyring_sealing_key(k, GOLDEN_ACTIVE), key, sizeof(key));
	assert_null(keyring_sealing_key(k, 0));
	assert_null(keyring_sealing_key(k, 1));

	assert_int_equal(keyring_store(k, t.dir, NAME, true), 0);
	fd = openat(t.dir, NAME, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, stored, sizeof(stored)), GOLDEN_SIZE);
	(void)fd_close(fd);
	golden_image(image);
	assert_memory_equal(stored, image, GOLDEN_SIZE);
	keyring_free(k);
}

static void test_derived_keys_are_the_ones_of_rfc_5869(void **state)
{
	static const char bound[] =
		"7d6d7bac9d3b3c00540887cca659f9381e723b0c84f7330f36e3ffd7c4b45e7a";
	static const char unbound[] =
		"61c43f1059b037a68da44ed547ce0251254e7ba4db8504bf0f469cdb32dcb132";
	struct keyring *k = golden_keyring();
	uint8_t key[KEYRING_DERIVED_LEN];
	char hex[2 * KEYRING_DERIVED_LEN + 1];

	(void)state;
	assert_int_equal(keyring_derive(k, "a label", true, key), 0);
	hex_encode(key, sizeof(key), hex);
	assert_string_equal(hex, bound);
	assert_int_equal(keyring_derive(k, "a label", false, key), 0);
	hex_encode(key, sizeof(key), hex);
	assert_string_equal(hex, unbound);

	/* A revoke changes what is bound, and nothing else. */
	assert_int_equal(keyring_raise(k), 0);
	assert_int_equal(keyring_derive(k, "a label", false, key), 0);
	hex_encode(key, sizeof(key), hex);
	assert_string_equal(hex, unbound);
	assert_int_equal(keyring_derive(k, "a label", true, key), 0);
	hex_encode(key, sizeof(key), hex);
	assert_string_not_equal(hex, bound);
	keyring_free(k);
}

static void test_no_changed_bit_and_no_other_length_is_taken(void **state)
{
	uint8_t image[GOLDEN_SIZE + 66];

	(void)state;
	memset(image, 0, sizeof(image));
	golden_image(image);
	for (size_t bit = 0; bit < (size_t)GOLDEN_SIZE * 8; bit++) {
		int want = bit / 8 == 8 || bit / 8 == 9 ? -EPROTO : -EBADMSG;

		/* Version 1 with its bit gone is version 0: older than any. */
		if (bit == 64)
			want = -EBADMSG;
		image[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(load_bytes(image, GOLDEN_SIZE), want);
		image[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t len = 0; len <= sizeof(image); len++)
		assert_int_equal(load_bytes(image, len), len == GOLDEN_SIZE ? 0 : -EBADMSG);
}

static void test_a_newer_version_is_said_to_be_one(void **state)
{
	uint8_t image[4096] = { 0 };

	(void)state;
	golden_image(image);
	image[8] = 2;
	assert_int_equal(load_bytes(image, GOLDEN_SIZE), -EPROTO);
	assert_int_equal(load_bytes(image, sizeof(image)), -EPROTO);
	image[0] = 'X';
	assert_int_equal(load_bytes(image, sizeof(image)), -EBADMSG);
}

static void test_an_authentic_file_that_makes_no_sense_is_refused(void **state)
{
	static const struct {
		size_t offset;
		uint8_t value;
	} cases[] = {
		{ 11, 3 },  /* the active id names a retired key */
		{ 11, 4 },  /* ...or none */
		{ 12, 0 },  /* root generation 0 */
		{ 64, 9 },  /* one id twice */
		{ 64, 0 },  /* id 0 */
		{ 65, 1 },  /* two active keys */
		{ 65, 3 },  /* unknown state */
		{ 131, 2 }, /* no active key */
	};
	uint8_t image[GOLDEN_SIZE];

	(void)state;
	golden_image(image);
	sign(image, sizeof(image));
	assert_int_equal(load_bytes(image, sizeof(image)), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		golden_image(image);
		image[cases[i].offset] = cases[i].value;
		sign(image, sizeof(image));
		assert_int_equal(load_bytes(image, sizeof(image)), -EBADMSG);
	}

	/* One key by its count, two by its length. */
	golden_image(image);
	image[10] = 1;
	image[11] = GOLDEN_RETIRED;
	image[65] = 1;
	sign(image, sizeof(image));
	assert_int_equal(load_bytes(image, sizeof(image)), -EBADMSG);
}

static void test_a_file_that_others_may_touch_is_refused(void **state)
{
	struct keyring *k = generate();

	(void)state;
	assert_int_equal(keyring_store(k, t.dir, NAME, true), 0);
	for (mode_t bit = 01; bit <= 040; bit <<= 1) {
		assert_int_equal(fchmodat(t.dir, NAME, 0600 | bit, 0), 0);
		assert_int_equal(load_result(), -EPERM);
	}
	assert_int_equal(fchmodat(t.dir, NAME, 0400, 0), 0);
	assert_int_equal(load_result(), 0);
	keyring_free(k);
}

static void test_a_file_of_another_user_is_refused(void **state)
{
	struct keyring *k = generate();

	(void)state;
	assert_int_equal(keyring_store(k, t.dir, NAME, true), 0);
	if (geteuid() == 0) {
		/* Root's file is good for everybody who can read it; another's is not, for root. */
		t.euid_offset = 12345;
		assert_int_equal(load_result(), 0);
		assert_int_equal(fchownat(t.dir, NAME, 12345, (gid_t)-1, 0), 0);
		assert_int_equal(load_result(), 0);
		t.euid_offset = 0;
	} else {
		t.euid_offset = 1;
	}
	assert_int_equal(load_result(), -EPERM);
	keyring_free(k);
}

static void test_only_a_regular_file_is_opened(void **state)
{
	struct keyring *k = generate();

	(void)state;
	assert_int_equal(load_result(), -ENOENT);
	assert_int_equal(keyring_store(k, t.dir, "other", true), 0);
	assert_int_equal(symlinkat("other", t.dir, NAME), 0);
	assert_int_equal(load_result(), -ELOOP);
	assert_int_equal(unlinkat(t.dir, NAME, 0), 0);
	assert_int_equal(mkfifoat(t.dir, NAME, 0600), 0);
	assert_int_equal(load_result(), -EBADMSG);
	assert_int_equal(unlinkat(t.dir, NAME, 0), 0);
	assert_int_equal(mkdirat(t.dir, NAME, 0700), 0);
	assert_int_equal(load_result(), -EBADMSG);
	/* A store cannot take the place of a directory, and leaves nothing behind. */
	assert_int_equal(keyring_store(k, t.dir, NAME, false), -EISDIR);
	assert_int_equal(entries(false), 2);
	keyring_free(k);
}

static void test_exclusive_never_replaces(void **state)
{
	struct keyring *first = generate();
	struct keyring *second = generate();
	struct keyring *back;

	(void)state;
	assert_int_equal(keyring_store(first, t.dir, NAME, true), 0);
	assert_int_equal(keyring_store(second, t.dir, NAME, true), -EEXIST);
	back = load();
	assert_same(first, back);
	keyring_free(back);
	assert_int_equal(entries(false), 1);

	assert_int_equal(keyring_store(second, t.dir, NAME, false), 0);
	back = load();
	assert_same(second, back);
	keyring_free(back);
	assert_int_equal(entries(false), 1);
	keyring_free(first);
	keyring_free(second);
}

/* A process that is killed just before the file gets its name leaves a whole key behind: the next one that is stored removes it. */
static void test_what_a_killed_store_left_behind_goes_with_the_next(void **state)
{
	static const char *const others[] = { ".key.0123456789abcde", ".key.0123456789abcdef0",
					      ".key.0123456789abcdeX", ".kez.0123456789abcdef",
					      "key.0123456789abcdef" };
	static const uint8_t bytes[] = "whatever";
	struct keyring *k = generate();
	pid_t child;
	int busy;
	int status;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		golden_write(t.dir, others[i], bytes, sizeof(bytes));
	child = fork();
	if (!child) {
		t.killed = true;
		(void)keyring_store(k, t.dir, NAME, false);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(entries(false), ARRAY_LEN(others) + 1);
	/* One that is being written has its lock. */
	golden_write(t.dir, ".key.00000000000000ff", bytes, sizeof(bytes));
	busy = openat(t.dir, ".key.00000000000000ff", O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(busy, LOCK_EX), 0);
	assert_int_equal(mkdirat(t.dir, ".key.00000000000000fe", 0700), 0);

	assert_int_equal(keyring_store(k, t.dir, NAME, false), 0);
	assert_int_equal(load_result(), 0);
	assert_int_equal(entries(false), ARRAY_LEN(others) + 3);
	assert_int_equal(fd_close(busy), -1);
	assert_int_equal(keyring_store(k, t.dir, NAME, false), 0);
	assert_int_equal(entries(false), ARRAY_LEN(others) + 2);
	keyring_free(k);
}

static void test_a_symlink_is_replaced_and_never_written_through(void **state)
{
	static const uint8_t victim[] = "untouched";
	struct keyring *k = generate();
	struct stat st;

	(void)state;
	golden_write(t.dir, "victim", victim, sizeof(victim));
	assert_int_equal(symlinkat("victim", t.dir, NAME), 0);
	assert_int_equal(keyring_store(k, t.dir, NAME, true), -EEXIST);
	assert_int_equal(keyring_store(k, t.dir, NAME, false), 0);
	assert_int_equal(load_result(), 0);
	assert_int_equal(fstatat(t.dir, "victim", &st, 0), 0);
	assert_int_equal(st.st_size, sizeof(victim));
	keyring_free(k);
}

static void test_bytes_are_synced_before_the_name_and_the_name_before_success(void **state)
{
	struct keyring *k = generate();

	(void)state;
	assert_int_equal(keyring_store(k, t.dir, NAME, true), 0);
	assert_string_equal(t.order, "fld");
	memset(t.order, 0, sizeof(t.order));
	assert_int_equal(keyring_store(k, t.dir, NAME, false), 0);
	assert_string_equal(t.order, "frd");
	keyring_free(k);
}

static void test_a_store_that_fails_leaves_the_old_file_and_nothing_else(void **state)
{
	static const char steps[] = { 'f', 'r' };
	struct keyring *old = generate();
	struct keyring *fresh = generate();
	struct keyring *back;

	(void)state;
	assert_int_equal(keyring_store(old, t.dir, NAME, true), 0);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		t.fail = steps[i];
		assert_int_equal(keyring_store(fresh, t.dir, NAME, false), -EIO);
		assert_int_equal(entries(false), 1);
		back = load();
		assert_same(old, back);
		keyring_free(back);
	}
	/* The name is there, but may not be after a crash: that is no success. */
	t.fail = 'd';
	assert_int_equal(keyring_store(fresh, t.dir, NAME, false), -EIO);
	assert_int_equal(entries(false), 1);

	assert_int_equal(unlinkat(t.dir, NAME, 0), 0);
	t.fail = 'l';
	assert_int_equal(keyring_store(fresh, t.dir, NAME, true), -EIO);
	assert_int_equal(entries(false), 0);
	keyring_free(old);
	keyring_free(fresh);
}

static void test_a_directory_given_as_a_path_only_will_do(void **state)
{
	struct keyring *k = generate();
	int dir = open(t.path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_int_equal(keyring_store(k, dir, NAME, true), 0);
	assert_int_equal(load_result(), 0);
	(void)fd_close(dir);
	keyring_free(k);
}

static void test_rotation_keeps_the_old_keys_up_to_the_cap(void **state)
{
	struct keyring *k = generate();
	struct keyring *copy;
	struct keyring *back;
	int fd;

	(void)state;
	assert_int_equal(keyring_copy(k, &copy), 0);
	for (unsigned i = 0; i < KEYRING_RETIRED_MAX; i++) {
		assert_int_equal(keyring_rotate(k), 0);
		assert_int_equal(keyring_active(k), i + 2);
		assert_non_null(keyring_sealing_key(k, keyring_active(k)));
		assert_memory_equal(keyring_sealing_key(k, 1), keyring_sealing_key(copy, 1), 64);
	}
	assert_int_equal(keyring_store(k, t.dir, NAME, true), 0);
	back = load();
	assert_same(k, back);

	/* One byte more than the longest file is too much. */
	fd = openat(t.dir, NAME, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(write(fd, "", 1), 1);
	(void)fd_close(fd);
	assert_int_equal(load_result(), -EBADMSG);

	/* One more: the oldest goes, the others stay. */
	assert_int_equal(keyring_rotate(k), 0);
	assert_null(keyring_sealing_key(k, 1));
	assert_int_equal(keyring_active(k), KEYRING_RETIRED_MAX + 2);
	assert_int_equal(keyring_sealing_count(k), KEYRING_RETIRED_MAX + 1);
	for (uint8_t id = 2; id < KEYRING_RETIRED_MAX + 2; id++)
		assert_memory_equal(keyring_sealing_key(k, id), keyring_sealing_key(back, id), 64);

	/* The copy is one of its own. */
	assert_int_equal(keyring_active(copy), 1);
	assert_null(keyring_sealing_key(copy, 2));
	keyring_free(back);
	keyring_free(copy);
	keyring_free(k);
}

static void test_ids_wrap_around_those_in_use(void **state)
{
	uint8_t image[GOLDEN_SIZE];
	struct keyring *k;

	(void)state;
	golden_image(image);
	image[64] = 1;
	image[130] = 255;
	image[11] = 255;
	sign(image, sizeof(image));
	golden_write(t.dir, NAME, image, sizeof(image));
	k = load();
	assert_int_equal(keyring_rotate(k), 0);
	assert_int_equal(keyring_active(k), 2);
	keyring_free(k);
}

static void test_the_last_root_generation_is_the_last(void **state)
{
	uint8_t image[GOLDEN_SIZE];
	struct keyring *k;

	(void)state;
	golden_image(image);
	put_le32(image + 12, UINT32_MAX - 1);
	sign(image, sizeof(image));
	golden_write(t.dir, NAME, image, sizeof(image));
	k = load();
	assert_int_equal(keyring_raise(k), 0);
	assert_int_equal(keyring_raise(k), -EOVERFLOW);
	assert_int_equal(keyring_root_generation(k), UINT32_MAX);
	keyring_free(k);
}

static void test_nothing_is_freed_without_complaint(void **state)
{
	(void)state;
	keyring_free(NULL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_what_is_stored_is_loaded_again),
		CASE(test_the_mode_is_0600_whatever_the_umask),
		CASE(test_two_generated_keyrings_have_nothing_in_common),
		CASE(test_without_randomness_there_is_no_keyring),
		CASE(test_the_layout_is_the_documented_one),
		CASE(test_derived_keys_are_the_ones_of_rfc_5869),
		CASE(test_no_changed_bit_and_no_other_length_is_taken),
		CASE(test_a_newer_version_is_said_to_be_one),
		CASE(test_an_authentic_file_that_makes_no_sense_is_refused),
		CASE(test_a_file_that_others_may_touch_is_refused),
		CASE(test_a_file_of_another_user_is_refused),
		CASE(test_only_a_regular_file_is_opened),
		CASE(test_exclusive_never_replaces),
		CASE(test_what_a_killed_store_left_behind_goes_with_the_next),
		CASE(test_a_symlink_is_replaced_and_never_written_through),
		CASE(test_bytes_are_synced_before_the_name_and_the_name_before_success),
		CASE(test_a_store_that_fails_leaves_the_old_file_and_nothing_else),
		CASE(test_a_directory_given_as_a_path_only_will_do),
		CASE(test_rotation_keeps_the_old_keys_up_to_the_cap),
		CASE(test_ids_wrap_around_those_in_use),
		CASE(test_the_last_root_generation_is_the_last),
		CASE(test_nothing_is_freed_without_complaint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
