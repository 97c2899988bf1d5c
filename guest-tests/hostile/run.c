/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * run.c - a case tried on holdfast: before, the deed, and all that must hold after it.
 *
 * The log says a kind of thing five times in a second and then counts; where each line is to be seen, no more than five
 * cases of that kind are begun in a second of the clock that the limit goes by.
 */
#include "run.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "watch.h"

#define NS_PER_SECOND 1000000000ULL
#define LINES_PER_SECOND 5
#define RECONNECTS 20
#define LINE_MAX_BYTES 1000

/* Lines that a second of the clock may have been given. */
static uint64_t window;
static unsigned shown;

static void count_line(void)
{
	const uint64_t now = clock_ns() / NS_PER_SECOND;

	if (now != window) {
		window = now;
		shown = 0;
	}
	shown++;
}

/* Waits until one line more will be shown; when it comes is not known: count_line() again when it has. */
static void pace(void)
{
	while (clock_ns() / NS_PER_SECOND == window && shown >= LINES_PER_SECOND)
		(void)poll(NULL, 0, 20);
	count_line();
}

/* Is what was agreed on still answered, where no ring runs? */
static int still_answers(struct hostile *h)
{
	uint64_t features;
	int ret = frontend_ask_u64(&h->dev.fe, VHOST_GET_FEATURES, &features);

	return ret ? wrong(h, "GET_FEATURES after it: %s", result_name(ret)) : 0;
}

/* What became of the connection: is that as it must be? *ended. */
static int judge_connection(struct hostile *h, const struct hostile_case *c, bool *ended)
{
	char before[sizeof(h->said)];
	int ret = 0;

	(void)snprintf(before, sizeof(before), "%s", h->said);
	*ended = c->want != SERVED && session_ended(h, c->want == ENDED ? CASE_TIMEOUT_MS : 300);
	if (c->want == ENDED && !*ended)
		return wrong(h, "%.200s; the connection was not ended", before);
	if (c->want == SERVED)
		ret = c->stage == RUNNING ? session_innocent(h) : still_answers(h);
	if (!ret)
		say(h, "%.200s%s%s", before, before[0] ? "; " : "",
		    *ended		? "ended"
		    : c->want == SERVED ? "served on"
					: "not ended");
	return ret;
}

/* The log has one line for an ended connection, and none for another; where it may end it may have done so since we looked. */
static int judge_log(struct hostile *h, const struct hostile_case *c, long from, bool ended)
{
	char line[2048];
	unsigned n = watch_lines(h->log, from, line, sizeof(line));

	if (!h->log)
		return 0;
	if (c->want == EITHER && n == 1)
		ended = true;
	if (n < (ended ? 1U : 0U) || n > (ended ? 1U : 0U) + c->lines)
		return wrong(h, "%u lines in the log: %.200s", n, line);
	if (ended && !c->lines && !strstr(line, "vhost-user: the connection is ended: "))
		return wrong(h, "another line in the log: %.200s", line);
	if (strlen(line) > LINE_MAX_BYTES)
		return wrong(h, "a line of %zu bytes in the log", strlen(line));
	if (ended) {
		size_t used = strlen(h->said);

		(void)snprintf(h->said + used, sizeof(h->said) - used, " (%.120s)",
			       strrchr(line, ':') ? strrchr(line, ':') + 2 : line);
	}
	return 0;
}

/* h->said, which is about the next connection, behind what was said before. */
static int append(struct hostile *h, const char *before)
{
	char next[200];

	(void)snprintf(next, sizeof(next), "%.199s", h->said);
	return wrong(h, "%.150s; the next connection: %s", before, next);
}

static int next_connection(struct hostile *h)
{
	char before[sizeof(h->said)];
	int ret;

	(void)snprintf(before, sizeof(before), "%s", h->said);
	ret = session_open(h, RUNNING, NULL);
	if (ret)
		return append(h, before);
	say(h, "%s", before);
	return 0;
}

/*
 * Descriptors but those of files, which a cache may hold, are as many as at the fewest. A thread of the daemon's pool has one of
 * its own, for as long as the connection: so it is looked at again on others before it is said that one was left behind.
 */
static int judge_fds(struct hostile *h)
{
	static unsigned fewest = UINT_MAX;
	struct watch_fds now = { 0 };

	for (unsigned i = 0; i < RECONNECTS; i++) {
		if (watch_fds(h->pid, &now))
			return 0;
		if (now.others < fewest)
			fewest = now.others;
		if (now.others == fewest)
			return 0;
		(void)poll(NULL, 0, 20);
		if (next_connection(h))
			return -1;
	}
	return wrong(h, "%u descriptors that are no files, %u before", now.others, fewest);
}

static enum verdict try(struct hostile *h, const struct hostile_case *c)
{
	const long from = watch_size(h->log);
	uint64_t begun = 0;
	bool ended = false;
	int ret = 0;

	h->said[0] = '\0';
	if (c->stage != RUNNING || c->options)
		ret = session_open(h, c->stage, c->options);
	if (!ret && c->want != SERVED) {
		pace();
		begun = window;
	}
	h->said[0] = '\0';
	if (!ret)
		ret = c->run(h, c);
	if (!ret)
		ret = judge_connection(h, c, &ended);
	if (begun && clock_ns() / NS_PER_SECOND != begun)
		count_line();
	session_close(h);
	if (h->pid && !watch_alive(h->pid))
		return DEAD;
	if (!ret)
		ret = next_connection(h);
	else
		(void)session_open(h, RUNNING, NULL);
	if (h->pid && !watch_alive(h->pid))
		return DEAD;
	if (!ret)
		ret = judge_log(h, c, from, ended);
	if (!ret && h->pid && !c->sets_next)
		ret = judge_fds(h);
	return ret ? FAILED : PASSED;
}

enum verdict run_case(struct hostile *h, const struct hostile_case *c)
{
	const char *lacks = c->need == NEED_OTHER && !h->other	   ? "--other"
			    : c->need == NEED_REVOKE && !h->revoke ? "--revoke"
			    : c->need == NEED_CAPS && !h->caps	   ? "--caps"
								   : NULL;

	if (lacks) {
		say(h, "needs %s", lacks);
		return SKIPPED;
	}
	return try(h, c);
}
