/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_log.c - one message is one line, whatever is in it; and a flood is bounded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"

#define OUTPUT_MAX (256 * 1024)

static struct {
	int saved; /* stderr while it is a file of ours */
	char text[OUTPUT_MAX];
	size_t len;
} out;

static void capture_begin(void)
{
	char path[] = "/tmp/holdfast-test-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC | O_APPEND);

	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	out.saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	assert_true(out.saved >= 0);
	assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	(void)fd_close(fd);
}

static void capture_end(void)
{
	ssize_t n = pread(STDERR_FILENO, out.text, sizeof(out.text) - 1, 0);

	(void)dup2(out.saved, STDERR_FILENO);
	out.saved = fd_close(out.saved);
	assert_true(n >= 0);
	out.len = (size_t)n;
	out.text[n] = '\0';
}

static int teardown(void **state)
{
	(void)state;
	log_init(LOG_LEVEL_INFO, false);
	return 0;
}

/* What one message comes to. */
static const char *shown(enum log_level level, const char *message)
{
	capture_begin();
	log_line(level, "%s", message);
	capture_end();
	return out.text;
}

static void test_a_message_is_one_line_with_its_level(void **state)
{
	(void)state;
	log_init(LOG_LEVEL_DEBUG, false);
	assert_string_equal(shown(LOG_LEVEL_ERROR, "no"), "holdfast: error: no\n");
	assert_string_equal(shown(LOG_LEVEL_WARN, "hm"), "holdfast: warning: hm\n");
	assert_string_equal(shown(LOG_LEVEL_INFO, "well"), "holdfast: well\n");
	assert_string_equal(shown(LOG_LEVEL_DEBUG, "look"), "holdfast: look\n");
	assert_string_equal(shown(LOG_LEVEL_OFF, "nothing"), "");
}

static void test_only_what_the_level_allows_is_shown(void **state)
{
	(void)state;
	for (enum log_level set = LOG_LEVEL_OFF; set <= LOG_LEVEL_DEBUG; set++) {
		log_init(set, false);
		for (enum log_level level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
			assert_true(log_shows(level) == (level <= set));
			assert_true((shown(level, "x")[0] != '\0') == (level <= set));
		}
		assert_false(log_shows(LOG_LEVEL_OFF));
	}
}

static void test_level_names_are_known(void **state)
{
	(void)state;
	assert_int_equal(log_level_parse("off"), LOG_LEVEL_OFF);
	assert_int_equal(log_level_parse("err"), LOG_LEVEL_ERROR);
	assert_int_equal(log_level_parse("error"), LOG_LEVEL_ERROR);
	assert_int_equal(log_level_parse("warn"), LOG_LEVEL_WARN);
	assert_int_equal(log_level_parse("warning"), LOG_LEVEL_WARN);
	assert_int_equal(log_level_parse("info"), LOG_LEVEL_INFO);
	assert_int_equal(log_level_parse("debug"), LOG_LEVEL_DEBUG);
	assert_int_equal(log_level_parse("trace"), LOG_LEVEL_DEBUG);
	assert_int_equal(log_level_parse("loud"), -1);
	assert_int_equal(log_level_parse(""), -1);
	assert_int_equal(log_level_parse(NULL), -1);
}

static void test_names_cannot_forge_lines_or_steer_a_terminal(void **state)
{
	static const struct {
		const char *in, *want;
	} cases[] = {
		{ "a\nholdfast: error: forged", "a\\x0aholdfast: error: forged" },
		{ "\x1b[2J\r\t\x7f\x01", "\\x1b[2J\\x0d\\x09\\x7f\\x01" },
		/* UTF-8 stays as it is */
		{ "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
		{ "\xe2\x82\xac \xf0\x9f\x98\x80", "\xe2\x82\xac \xf0\x9f\x98\x80" },
		/* CSI in UTF-8, and as a byte */
		{ "\xc2\x9b\x32J", "\\xc2\\x9b2J" },
		{ "\x9b\x32J", "\\x9b2J" },
		/* no UTF-8: wrong bytes, overlong, surrogate, too large, cut */
		{ "\xff\xfe\xc0\xaf", "\\xff\\xfe\\xc0\\xaf" },
		{ "\xe0\x9f\xbf", "\\xe0\\x9f\\xbf" },
		{ "\xf0\x8f\xbf\xbf", "\\xf0\\x8f\\xbf\\xbf" },
		{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },
		{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" },
		{ "\xe2\x82", "\\xe2\\x82" },
		/* right to left, line separator */
		{ "\xe2\x80\xaetxt", "\\xe2\\x80\\xaetxt" },
		{ "\xe2\x80\xa8", "\\xe2\\x80\\xa8" },
	};

	(void)state;
	log_init(LOG_LEVEL_INFO, false);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char want[256];

		(void)snprintf(want, sizeof(want), "holdfast: %s\n", cases[i].want);
		assert_string_equal(shown(LOG_LEVEL_INFO, cases[i].in), want);
	}
}

static void test_no_byte_but_the_last_ends_the_line(void **state)
{
	char message[256];

	(void)state;
	for (unsigned i = 1; i <= UINT8_MAX; i++)
		message[i - 1] = (char)i;
	message[UINT8_MAX] = '\0';
	(void)shown(LOG_LEVEL_INFO, message);
	for (size_t i = 0; i + 1 < out.len; i++)
		assert_true((unsigned char)out.text[i] >= 0x20 && out.text[i] != 0x7f);
	assert_int_equal(out.text[out.len - 1], '\n');
}

static void test_long_lines_are_cut_and_say_so(void **state)
{
	char message[5000];

	(void)state;
	memset(message, 'a', sizeof(message));
	message[sizeof(message) - 1] = '\0';
	(void)shown(LOG_LEVEL_ERROR, message);
	assert_true(out.len > 850 && out.len < 960);
	assert_non_null(strstr(out.text, "a...a"));

	/* Escapes count, and are not cut in the middle. */
	memset(message, 1, sizeof(message) - 1);
	(void)shown(LOG_LEVEL_ERROR, message);
	assert_true(out.len > 850 && out.len < 960);
	assert_non_null(strstr(out.text, "\\x01...\\x01"));

	/* Nor are characters, and the reason at the end is there. */
	for (size_t i = 0; i + 1 < sizeof(message); i += 2)
		memcpy(message + i, "\xc3\xa9", 2);
	memcpy(message + sizeof(message) - 1 - strlen(" /x: No space"), " /x: No space",
	       strlen(" /x: No space"));
	message[sizeof(message) - 1] = '\0';
	(void)shown(LOG_LEVEL_ERROR, message);
	assert_true(out.len > 850 && out.len < 960);
	assert_null(strstr(out.text, "\\x"));
	assert_string_equal(out.text + out.len - strlen("\xc3\xa9 /x: No space\n"),
			    "\xc3\xa9 /x: No space\n");

	/* What just fits is whole. */
	memset(message, 'a', 900);
	message[900] = '\0';
	(void)shown(LOG_LEVEL_INFO, message);
	assert_int_equal(out.len, strlen("holdfast: ") + 900 + 1);
}

static void test_errno_survives(void **state)
{
	(void)state;
	capture_begin();
	errno = EXDEV;
	log_error("failed: %s", "reason");
	assert_int_equal(errno, EXDEV);
	capture_end();

	/* A standard error that is gone is no disaster. */
	capture_begin();
	assert_int_equal(close(STDERR_FILENO), 0);
	errno = EXDEV;
	log_error("nowhere to go");
	assert_int_equal(errno, EXDEV);
	assert_int_equal(dup2(out.saved, STDERR_FILENO), STDERR_FILENO);
	out.saved = fd_close(out.saved);
}

static void test_a_flood_is_bounded_and_counted(void **state)
{
	struct log_limit limit = { 0, 0, 0 };
	unsigned dropped = 0;
	unsigned passed = 0;
	unsigned long long window;

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		passed += log_limit_pass(&limit, &dropped);
	/* Ten, should a second have ended in between. */
	assert_true(passed == 5 || passed == 10);

	/* In another second it goes on, and says what was left out. */
	window = limit.window;
	limit.window = window - 1;
	dropped = 0;
	assert_true(log_limit_pass(&limit, &dropped));
	assert_true(dropped == 995 || passed == 10);
	assert_true(limit.window >= window);
	assert_true(log_limit_pass(&limit, &dropped));
	assert_int_equal(dropped, 0);
}

static void test_all_places_together_are_bounded_too(void **state)
{
	static struct log_limit places[100];
	const struct timespec second = { .tv_sec = 1, .tv_nsec = 50000000 };
	unsigned dropped = 0, passed = 0, left_out = 0;

	(void)state;
	/* Of the tests before nothing is left. */
	(void)nanosleep(&second, NULL);
	for (unsigned i = 0; i < 1000; i++)
		passed += log_limit_pass(&places[i % 100], &dropped);
	for (unsigned i = 0; i < 100; i++)
		left_out += places[i].dropped;
	/* Forty, should a second have ended in between. None is lost uncounted. */
	assert_true(passed >= 20 && passed <= 40);
	assert_true(passed == 40 || left_out + passed == 1000);
}

static void flood(void)
{
	log_limited(LOG_LEVEL_ERROR, "flood of %s", "a guest");
}

static void test_the_macro_limits_each_place_in_the_source(void **state)
{
	unsigned lines = 0;

	(void)state;
	log_init(LOG_LEVEL_INFO, false);
	capture_begin();
	for (unsigned i = 0; i < 1000; i++)
		flood();
	capture_end();
	for (size_t i = 0; i < out.len; i++)
		lines += out.text[i] == '\n';
	assert_true(lines >= 5 && lines <= 11);
}

#define THREADS 4
#define LINES 200

static void *write_lines(void *arg)
{
	static struct log_limit limit;
	unsigned dropped;

	for (unsigned i = 0; i < LINES; i++) {
		log_info("thread %d line %u of a message that is long enough to be torn",
			 *(int *)arg, i);
		(void)log_limit_pass(&limit, &dropped);
	}
	return NULL;
}

static void test_lines_of_threads_stay_whole(void **state)
{
	pthread_t threads[THREADS];
	int numbers[THREADS];
	unsigned next[THREADS] = { 0 };
	unsigned lines = 0;
	char *save = NULL;

	(void)state;
	log_init(LOG_LEVEL_INFO, false);
	capture_begin();
	for (int i = 0; i < THREADS; i++) {
		numbers[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, write_lines, &numbers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	capture_end();

	for (char *line = strtok_r(out.text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		unsigned thread;
		unsigned number;
		char want[128];

		assert_int_equal(sscanf(line, "holdfast: thread %u line %u", &thread, &number), 2);
		assert_true(thread < THREADS && number == next[thread]++);
		(void)snprintf(
			want, sizeof(want),
			"holdfast: thread %u line %u of a message that is long enough to be torn",
			thread, number);
		assert_string_equal(line, want);
		lines++;
	}
	assert_int_equal(lines, THREADS * LINES);
}

#define CASE(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_a_message_is_one_line_with_its_level),
		CASE(test_only_what_the_level_allows_is_shown),
		CASE(test_level_names_are_known),
		CASE(test_names_cannot_forge_lines_or_steer_a_terminal),
		CASE(test_no_byte_but_the_last_ends_the_line),
		CASE(test_long_lines_are_cut_and_say_so),
		CASE(test_errno_survives),
		CASE(test_a_flood_is_bounded_and_counted),
		CASE(test_the_macro_limits_each_place_in_the_source),
		CASE(test_all_places_together_are_bounded_too),
		CASE(test_lines_of_threads_stay_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
