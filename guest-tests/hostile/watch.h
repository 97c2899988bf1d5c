/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * watch.h - what can be seen of the daemon from outside: its log, its descriptors, its memory.
 */
#ifndef HOLDFAST_HOSTILE_WATCH_H
#define HOLDFAST_HOSTILE_WATCH_H

#include <stdbool.h>
#include <stddef.h>

struct watch_fds {
	unsigned all;	 /* descriptors */
	unsigned others; /* those that are no files: sockets, eventfds, memory of guests */
};

/* Lines that were written to `log` from byte `from` on: their number, the first in `line`. */
unsigned watch_lines(const char *log, long from, char *line, size_t size);
long watch_size(const char *log);

/* Of a process: 0 or -errno. */
int watch_fds(int pid, struct watch_fds *out);
long watch_memory(int pid); /* kB of its own; -1 */
bool watch_alive(int pid);  /* is there, and no zombie */

#endif
