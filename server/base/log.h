/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * log.h - messages for the administrator, to stderr or syslog, bounded in rate.
 *
 * A message is one line: what was done to which object, what went wrong, what to do. Control
 * bytes in it (names come from guests) are shown as \xNN. Never a key, never a host handle.
 */
#ifndef HOLDFAST_BASE_LOG_H
#define HOLDFAST_BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_OFF, LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Sets the level and the sink. Call once, before threads. Default: info, stderr. */
void log_init(enum log_level level, bool to_syslog);

/* "error", "err", "warn", "warning", "info", "debug", "trace", "off" -> level; -1 if unknown. */
int log_level_parse(const char *name);

/* Is `level` shown? For callers that would compute an argument only to log it. */
bool log_shows(enum log_level level);

__attribute__((format(printf, 2, 3))) void log_line(enum log_level level, const char *fmt, ...);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

/*
 * For what a guest can provoke: at most 5 lines in each second for each place in the source, and 20 for all of
 * them; what was left out is counted and said with the next line that is shown. Static storage only.
 */
struct log_limit {
	unsigned long long window; /* second of CLOCK_MONOTONIC that `shown` belongs to */
	unsigned shown;
	unsigned dropped;
};
bool log_limit_pass(struct log_limit *limit, unsigned *dropped);

#define log_limited(level, ...)                                                                    \
	do {                                                                                       \
		static struct log_limit limit_;                                                    \
		unsigned dropped_ = 0;                                                             \
		if (log_shows(level) && log_limit_pass(&limit_, &dropped_)) {                      \
			log_line(level, __VA_ARGS__);                                              \
			if (dropped_)                                                              \
				log_line(level, "(%u lines like the last were left out)",          \
					 dropped_);                                                \
		}                                                                                  \
	} while (0)

#endif
