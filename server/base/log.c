/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * log.c - one line for each message, by one write(2) to stderr or one syslog(3).
 *
 * Called from any thread. No lock of ours: the line is built on the stack and leaves in one system
 * call (lines are shorter than PIPE_BUF, so even a pipe keeps them whole). Level and sink are set
 * once, before there are threads. errno is left as it was, so that callers may log first and return
 * after.
 *
 * A line is text only: whatever is not printable ASCII or well-formed UTF-8 is shown as \xNN, and
 * so are characters that steer a terminal (C1 controls, line separators, changes of direction),
 * since names come from guests.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/util.h"

#define TEXT_MAX_BYTES 9216 /* of a message as it is given: two paths, and what is said of them */
#define LINE_MAX_BYTES                                                                             \
	900 /* of a message as it is shown, escapes included; the middle of a longer one is cut */
#define LINE_END_BYTES 300 /* of these for its end, where the reason stands */
#define LINE_PREFIX_MAX 32 /* "holdfast: warning: " */
#define CUT_MARK "..."
#define LIMIT_PER_SECOND 5
#define LIMIT_ALL_PER_SECOND 20
#define NS_PER_SECOND 1000000000ULL

/* The process's one configuration of its log. */
static struct {
	enum log_level level;
	bool to_syslog;
} config = { LOG_LEVEL_INFO, false };

static const struct {
	const char *name;
	enum log_level level;
} level_names[] = {
	{ "off", LOG_LEVEL_OFF },     { "error", LOG_LEVEL_ERROR },  { "err", LOG_LEVEL_ERROR },
	{ "warn", LOG_LEVEL_WARN },   { "warning", LOG_LEVEL_WARN }, { "info", LOG_LEVEL_INFO },
	{ "debug", LOG_LEVEL_DEBUG }, { "trace", LOG_LEVEL_DEBUG },
};

/* By level. */
static const struct {
	const char *word;
	int priority;
} level_shown[] = {
	[LOG_LEVEL_OFF] = { "", LOG_DEBUG },
	[LOG_LEVEL_ERROR] = { "error: ", LOG_ERR },
	[LOG_LEVEL_WARN] = { "warning: ", LOG_WARNING },
	[LOG_LEVEL_INFO] = { "", LOG_INFO },
	[LOG_LEVEL_DEBUG] = { "", LOG_DEBUG },
};

void log_init(enum log_level level, bool to_syslog)
{
	config.level = level;
	config.to_syslog = to_syslog;

	/* Connected at once: in a sandbox /dev/log cannot be found any more. */
	if (to_syslog)
		openlog("holdfast", LOG_PID | LOG_NDELAY, LOG_DAEMON);
}

int log_level_parse(const char *name)
{
	for (size_t i = 0; name && i < ARRAY_LEN(level_names); i++) {
		if (!strcmp(name, level_names[i].name))
			return (int)level_names[i].level;
	}
	return -1;
}

bool log_shows(enum log_level level)
{
	return level != LOG_LEVEL_OFF && level <= config.level;
}

/* Characters that a terminal or a reader of the log takes for more than a letter. */
static bool code_point_steers(uint32_t cp)
{
	return cp < 0xa0 || (cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069);
}

/* Bytes of the character at `p` that may be shown as they are (RFC 3629); 0: the byte is escaped.
 */
static size_t shown_length(const unsigned char *p, size_t left)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	uint32_t cp;

	if (p[0] < 0x80)
		return p[0] >= 0x20 && p[0] != 0x7f ? 1 : 0;
	if (p[0] < 0xc2 || p[0] > 0xf4 || len > left)
		return 0;

	cp = p[0] & (0x7fU >> len);
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		cp = cp << 6 | (p[i] & 0x3fU);
	}
	if (cp < least[len] || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
		return 0;
	return code_point_steers(cp) ? 0 : len;
}

/*
 * Copies `len` bytes with escapes, at most `most`; their number. *done: bytes of the text that are in it, in whole
 * characters.
 */
static size_t escape(const char *text, size_t len, char *out, size_t most, size_t *done)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t n = 0, i = 0;

	while (i < len) {
		size_t shown = shown_length(p + i, len - i);

		if (n + (shown ? shown : 4) > most)
			break;
		if (shown) {
			memcpy(out + n, p + i, shown);
			n += shown;
			i += shown;
			continue;
		}
		out[n++] = '\\';
		out[n++] = 'x';
		hex_encode(p + i, 1, out + n);
		n += 2;
		i++;
	}
	*done = i;
	return n;
}

/* Where the longest end of the text begins that takes at most `most` bytes with escapes, in whole characters. */
static size_t end_begins(const char *text, size_t len, size_t most)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t at = len;

	while (at > 0) {
		size_t width = 4, cost = 4;

		while (width > 0 && (width > at || shown_length(p + at - width, width) != width))
			width--;
		if (width)
			cost = width;
		else
			width = 1;
		if (cost > most)
			break;
		most -= cost;
		at -= width;
	}
	return at;
}

/* The message as it is shown, LINE_MAX_BYTES and a mark at most; its length. */
static size_t show(const char *text, size_t len, char *out)
{
	size_t done, end;
	size_t n = escape(text, len, out, LINE_MAX_BYTES, &done);

	if (done == len)
		return n;
	n = escape(text, len, out, LINE_MAX_BYTES - LINE_END_BYTES, &done);
	memcpy(out + n, CUT_MARK, sizeof(CUT_MARK) - 1);
	n += sizeof(CUT_MARK) - 1;
	end = end_begins(text, len, LINE_END_BYTES);
	return n + escape(text + end, len - end, out + n, LINE_END_BYTES, &done);
}

/* What cannot be written is lost: there is no other place to say so. */
static void write_line(const char *line, size_t len)
{
	ssize_t n;

	do {
		n = write(STDERR_FILENO, line, len);
	} while (n < 0 && errno == EINTR);
}

void log_line(enum log_level level, const char *fmt, ...)
{
	char text[TEXT_MAX_BYTES];
	char line[LINE_PREFIX_MAX + LINE_MAX_BYTES + sizeof(CUT_MARK) + 1];
	int saved = errno;
	int prefix = 0;
	int formatted;
	size_t len;
	va_list args;

	if (!log_shows(level))
		return;
	va_start(args, fmt);
	formatted = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (formatted < 0)
		goto out;
	len = (size_t)formatted < sizeof(text) ? (size_t)formatted : sizeof(text) - 1;

	/* syslog has a name and a level of its own beside each line. */
	if (!config.to_syslog)
		prefix = snprintf(line, LINE_PREFIX_MAX, "holdfast: %s", level_shown[level].word);
	len = (size_t)prefix + show(text, len, line + prefix);

	if (config.to_syslog) {
		syslog(level_shown[level].priority, "%.*s", (int)len, line);
	} else {
		line[len++] = '\n';
		write_line(line, len);
	}
out:
	errno = saved;
}

/* All places together, so that a guest that finds many of them is bounded all the same. */
static struct log_limit all_places;

/*
 * Threads may meet here: then a line more or less is shown in that second, and none is left out
 * without being counted.
 */
static bool limit_count(struct log_limit *limit, unsigned most)
{
	/* + 1: a limit that was never used has window 0. */
	unsigned long long now = clock_ns() / NS_PER_SECOND + 1;
	unsigned long long window = __atomic_load_n(&limit->window, __ATOMIC_RELAXED);

	if (window != now && __atomic_compare_exchange_n(&limit->window, &window, now, false,
							 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		__atomic_store_n(&limit->shown, 0, __ATOMIC_RELAXED);

	return __atomic_fetch_add(&limit->shown, 1, __ATOMIC_RELAXED) < most;
}

bool log_limit_pass(struct log_limit *limit, unsigned *dropped)
{
	if (!limit_count(limit, LIMIT_PER_SECOND) ||
	    !limit_count(&all_places, LIMIT_ALL_PER_SECOND)) {
		(void)__atomic_fetch_add(&limit->dropped, 1, __ATOMIC_RELAXED);
		return false;
	}
	*dropped = __atomic_exchange_n(&limit->dropped, 0, __ATOMIC_RELAXED);
	return true;
}
