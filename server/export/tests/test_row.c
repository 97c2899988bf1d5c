/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_row.c - rows and names go round, stay small, and nothing malformed decodes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "export/nodeid.h"
#include "export/row.h"

static struct row typical(void)
{
	struct row row = { .ino = 1234567, .type = DT_REG };

	row.identity.btime_ns = 1700000000123456789;
	row.identity.handle_type = 1;
	row.identity.handle_len = 8;
	memcpy(row.identity.handle, "\x87\xd6\x12\x00\xef\xbe\xad\xde", 8);
	assert_int_equal(name_set(&row.name, (rowid_t){ 0x1234567890 }, "a-typical-name.txt"), 0);
	return row;
}

static void assert_round(const struct row *row, uint32_t place)
{
	uint8_t bytes[ROW_MAX];
	size_t len = row_encode(row, place, bytes);
	struct row back;
	uint32_t back_place;

	memset(&back, 0xee, sizeof(back));
	back.identity.place = row->identity.place;
	assert_true(len <= ROW_MAX);
	assert_int_equal(row_decode(bytes, len, &back, &back_place), 0);
	assert_int_equal(back_place, place);
	assert_true(back.ino == row->ino);
	assert_int_equal(back.type, row->type);
	assert_int_equal(back.tweak, row->tweak);
	assert_true(back.multi == row->multi);
	assert_true(identity_equal(&back.identity, &row->identity));
	assert_true(name_equal(&back.name, &row->name));
	assert_int_equal(strlen(back.name.text), back.name.len);
}

static int decode_result(const uint8_t *bytes, size_t len)
{
	struct row row;
	uint32_t place;

	return row_decode(bytes, len, &row, &place);
}

static void test_rows_of_all_kinds_go_round(void **state)
{
	static const uint8_t types[] = { DT_FIFO, DT_CHR, DT_DIR, DT_BLK, DT_REG, DT_LNK, DT_SOCK };
	static const uint32_t places[] = { 0, 1, 127, 128, 300, UINT32_MAX };
	struct row row = typical();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		row.type = types[i];
		for (uint8_t tweak = 0; tweak <= MINT_TWEAK_MAX; tweak++) {
			row.tweak = tweak;
			row.multi = tweak % 2;
			assert_round(&row, places[tweak % ARRAY_LEN(places)]);
		}
	}
	for (unsigned shift = 0; shift < 64; shift++) {
		row.ino = UINT64_C(1) << shift;
		assert_round(&row, 0);
		row.ino--;
		assert_round(&row, 0);
	}
	row.ino = UINT64_MAX;
	assert_round(&row, 0);
}

static void test_the_longest_row_fits(void **state)
{
	struct row row = typical();
	char name[HOLDFAST_NAME_MAX + 1];
	uint8_t bytes[ROW_MAX];

	(void)state;
	memset(name, 'n', HOLDFAST_NAME_MAX);
	name[HOLDFAST_NAME_MAX] = '\0';
	assert_int_equal(name_set(&row.name, (rowid_t){ UINT64_MAX }, name), 0);
	row.ino = UINT64_MAX;
	row.identity.handle_len = IDENTITY_HANDLE_MAX;
	row.identity.handle_type = -1;
	assert_true(row_encode(&row, UINT32_MAX, bytes) <= ROW_MAX);
	assert_round(&row, UINT32_MAX);
}

static void test_a_typical_row_is_small(void **state)
{
	struct row row = typical();
	uint8_t bytes[ROW_MAX];

	(void)state;
	assert_int_equal(row_encode(&row, 1, bytes), 34 + strlen("a-typical-name.txt"));
}

static void test_the_layout_is_the_documented_one(void **state)
{
	static const uint8_t want[] = { 0x11, 0x38, 0x80, 0x02, 0x01, 0x20, 0x01,
					0x02, 0xaa, 0xbb, 0x08, 0x07, 0x06, 0x05,
					0x04, 0x03, 0x02, 0x01, 0x02, 'h',  'f' };
	struct row row = { .ino = 256, .type = DT_REG, .tweak = 3, .multi = true };
	uint8_t bytes[ROW_MAX];

	(void)state;
	row.identity.btime_ns = IDENTITY_BTIME_NONE;
	row.identity.handle_type = 1;
	row.identity.handle_len = 2;
	row.identity.handle[0] = 0xaa;
	row.identity.handle[1] = 0xbb;
	assert_int_equal(name_set(&row.name, (rowid_t){ 0x0102030405060708 }, "hf"), 0);
	assert_int_equal(row_encode(&row, 1, bytes), sizeof(want));
	assert_memory_equal(bytes, want, sizeof(want));
}

static void test_a_row_without_a_name_goes_round(void **state)
{
	struct row row = typical();

	(void)state;
	memset(&row.name, 0, sizeof(row.name));
	assert_round(&row, 7);
}

static void test_no_truncated_and_no_extended_row_decodes(void **state)
{
	struct row row = typical();
	uint8_t bytes[ROW_MAX + 1] = { 0 };
	size_t len = row_encode(&row, 300, bytes);

	(void)state;
	for (size_t n = 0; n < sizeof(bytes); n++)
		assert_int_equal(decode_result(bytes, n), n == len ? 0 : -EBADMSG);
}

static void test_what_decodes_encodes_to_the_same_bytes(void **state)
{
	struct row row = typical();
	uint8_t bytes[ROW_MAX];
	uint8_t again[ROW_MAX];
	size_t len = row_encode(&row, 300, bytes);

	(void)state;
	for (size_t i = 0; i < len * 256; i++) {
		uint8_t old = bytes[i / 256];
		struct row back;
		uint32_t place;

		bytes[i / 256] = (uint8_t)i;
		if (row_decode(bytes, len, &back, &place) == 0) {
			assert_int_equal(row_encode(&back, place, again), len);
			assert_memory_equal(bytes, again, len);
		}
		bytes[i / 256] = old;
	}
}

static void test_unknown_versions_flags_and_types_are_refused(void **state)
{
	struct row row = typical();
	uint8_t bytes[ROW_MAX];
	size_t len = row_encode(&row, 1, bytes);

	(void)state;
	for (unsigned v = 0; v <= UINT8_MAX; v++) {
		bytes[0] = (uint8_t)v;
		assert_int_equal(decode_result(bytes, len), v == 0x10 || v == 0x11 ? 0 : -EBADMSG);
	}
	bytes[0] = 0x10;
	for (uint8_t type = 0; type < 16; type++) {
		bool known = type == DT_FIFO || type == DT_CHR || type == DT_DIR ||
			     type == DT_BLK || type == DT_REG || type == DT_LNK || type == DT_SOCK;

		bytes[1] = type;
		assert_int_equal(decode_result(bytes, len), known ? 0 : -EBADMSG);
	}
}

/* A row with these bytes between its head and its identity, where the two numbers stand. */
static int decode_numbers(const uint8_t *numbers, size_t n, uint64_t *ino, uint32_t *place)
{
	uint8_t bytes[16 + ROW_MAX] = { 0x10, DT_REG };
	size_t len = 2;
	struct row row = typical();
	int ret;

	memcpy(bytes + len, numbers, n);
	len += n;
	len += identity_encode_local(&row.identity, bytes + len);
	memset(&row.name, 0, sizeof(row.name));
	len += name_encode(&row.name, bytes + len);
	ret = row_decode(bytes, len, &row, place);
	*ino = row.ino;
	return ret;
}

static void test_only_the_shortest_form_of_a_number_is_one(void **state)
{
	static const struct {
		size_t len;
		int ret;
		uint64_t ino;
		uint8_t bytes[16];
	} cases[] = {
		{ 2, 0, 0, { 0, 0 } },
		{ 3, 0, 128, { 0x80, 0x01, 0 } },
		{ 11,
		  0,
		  UINT64_MAX,
		  { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0 } },
		{ 3, -EBADMSG, 0, { 0x80, 0x00, 0 } },
		{ 4, -EBADMSG, 0, { 0x81, 0x80, 0x00, 0 } },
		/* 2^64 and more */
		{ 11,
		  -EBADMSG,
		  0,
		  { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0 } },
		{ 12,
		  -EBADMSG,
		  0,
		  { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x81, 0x01, 0 } },
		/* a place of 2^32 */
		{ 6, -EBADMSG, 0, { 0, 0x80, 0x80, 0x80, 0x80, 0x10 } },
		{ 6, 0, 0, { 0, 0xff, 0xff, 0xff, 0xff, 0x0f } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t ino = 0;
		uint32_t place = 0;

		assert_int_equal(decode_numbers(cases[i].bytes, cases[i].len, &ino, &place),
				 cases[i].ret);
		if (cases[i].ret == 0)
			assert_true(ino == cases[i].ino);
	}
}

static ssize_t decode_name(uint64_t parent, const char *text, size_t len)
{
	uint8_t bytes[NAME_ENCODED_MAX + 16];
	struct name name;

	put_le64(bytes, parent);
	bytes[8] = (uint8_t)len;
	memcpy(bytes + 9, text, len);
	return name_decode(bytes, 9 + len, &name);
}

static void test_hostile_names_do_not_decode(void **state)
{
	static const struct {
		const char *text;
		size_t len;
	} hostile[] = {
		{ "", 0 },     { ".", 1 },   { "..", 2 },   { "/", 1 },	   { "a/b", 3 },
		{ "/etc", 4 }, { "a/", 2 },  { "a\0b", 3 }, { "a\0", 2 },  { "\0", 1 },
		{ "..\0", 3 }, { ".\0", 2 }, { "../x", 4 }, { "x/..", 4 },
	};
	static const char *const good[] = { "a", "...", ".a",	    "..a", "a.",
					    " ", "\n",	"\xff\xfe", "-" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(hostile); i++)
		assert_int_equal(decode_name(1, hostile[i].text, hostile[i].len), -EBADMSG);
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_int_equal(decode_name(1, good[i], strlen(good[i])), 9 + strlen(good[i]));
	/* No parent, no name; no name, no parent. */
	assert_int_equal(decode_name(0, "a", 1), -EBADMSG);
	assert_int_equal(decode_name(0, "", 0), 9);
}

static void test_names_are_cut_nowhere(void **state)
{
	uint8_t bytes[NAME_ENCODED_MAX + 1] = { 0 };
	struct name name;
	struct name back;
	size_t len;

	(void)state;
	assert_int_equal(name_set(&name, ROWID_ROOT, "name"), 0);
	len = name_encode(&name, bytes);
	assert_int_equal(len, 13);
	for (size_t n = 0; n < len; n++)
		assert_int_equal(name_decode(bytes, n, &back), -EBADMSG);
	/* More may follow, and is not consumed. */
	assert_int_equal(name_decode(bytes, len + 1, &back), len);
	assert_true(name_equal(&name, &back));
}

static void test_name_set_takes_one_component_only(void **state)
{
	char text[HOLDFAST_NAME_MAX + 2];
	struct name name;

	(void)state;
	memset(text, 'n', sizeof(text));
	text[HOLDFAST_NAME_MAX + 1] = '\0';
	assert_int_equal(name_set(&name, ROWID_ROOT, text), -ENAMETOOLONG);
	text[HOLDFAST_NAME_MAX] = '\0';
	assert_int_equal(name_set(&name, ROWID_ROOT, text), 0);
	assert_int_equal(name.len, HOLDFAST_NAME_MAX);
	assert_string_equal(name.text, text);
	assert_int_equal(name_set(&name, ROWID_ROOT, ""), -EINVAL);
	assert_int_equal(name_set(&name, ROWID_ROOT, "."), -EINVAL);
	assert_int_equal(name_set(&name, ROWID_ROOT, ".."), -EINVAL);
	assert_int_equal(name_set(&name, ROWID_ROOT, "a/b"), -EINVAL);
	assert_int_equal(name_set(&name, ROWID_NONE, "a"), -EINVAL);
}

static void test_names_are_equal_when_all_of_them_is(void **state)
{
	struct name a;
	struct name b;

	(void)state;
	assert_int_equal(name_set(&a, ROWID_ROOT, "name"), 0);
	assert_int_equal(name_set(&b, ROWID_ROOT, "name"), 0);
	assert_true(name_equal(&a, &b));
	assert_int_equal(name_set(&b, (rowid_t){ 2 }, "name"), 0);
	assert_false(name_equal(&a, &b));
	assert_int_equal(name_set(&b, ROWID_ROOT, "names"), 0);
	assert_false(name_equal(&a, &b));
	assert_int_equal(name_set(&b, ROWID_ROOT, "namE"), 0);
	assert_false(name_equal(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_of_all_kinds_go_round),
		cmocka_unit_test(test_the_longest_row_fits),
		cmocka_unit_test(test_a_typical_row_is_small),
		cmocka_unit_test(test_the_layout_is_the_documented_one),
		cmocka_unit_test(test_a_row_without_a_name_goes_round),
		cmocka_unit_test(test_no_truncated_and_no_extended_row_decodes),
		cmocka_unit_test(test_what_decodes_encodes_to_the_same_bytes),
		cmocka_unit_test(test_unknown_versions_flags_and_types_are_refused),
		cmocka_unit_test(test_only_the_shortest_form_of_a_number_is_one),
		cmocka_unit_test(test_hostile_names_do_not_decode),
		cmocka_unit_test(test_names_are_cut_nowhere),
		cmocka_unit_test(test_name_set_takes_one_component_only),
		cmocka_unit_test(test_names_are_equal_when_all_of_them_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
