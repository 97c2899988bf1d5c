/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * watch.c - a daemon from outside, by /proc and its log.
 */
#include "watch.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is about no connection: the scan for objects, when the host has deleted some; how many lines were left out before. */
static const char *const information[] = { "holdfast: scan: ", "holdfast: error: (",
					   "holdfast: warning: (" };

static bool is_information(const char *line)
{
	for (size_t i = 0; i < sizeof(information) / sizeof(information[0]); i++)
		if (strncmp(line, information[i], strlen(information[i])) == 0)
			return true;
	return false;
}

long watch_size(const char *log)
{
	struct stat st;

	return log && stat(log, &st) == 0 ? (long)st.st_size : 0;
}

unsigned watch_lines(const char *log, long from, char *line, size_t size)
{
	FILE *f = log ? fopen(log, "re") : NULL;
	char text[4096];
	unsigned n = 0;

	line[0] = '\0';
	if (!f)
		return 0;
	if (fseek(f, from, SEEK_SET) == 0) {
		while (fgets(text, sizeof(text), f)) {
			if (is_information(text))
				continue;
			if (n++ == 0)
				(void)snprintf(line, size, "%s", text);
		}
	}
	line[strcspn(line, "\n")] = '\0';
	(void)fclose(f);
	return n;
}

int watch_fds(int pid, struct watch_fds *out)
{
	char path[64];
	const struct dirent *d;
	DIR *dir;

	*out = (struct watch_fds){ 0 };
	(void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((d = readdir(dir))) {
		char target[256];
		ssize_t n = readlinkat(dirfd(dir), d->d_name, target, sizeof(target) - 1);

		if (n <= 0)
			continue;
		target[n] = '\0';
		out->all++;
		if (target[0] != '/' || strncmp(target, "/memfd:", 7) == 0)
			out->others++;
	}
	(void)closedir(dir);
	return 0;
}

/* The number behind `field` in /proc/PID/status; the text of it in `text`. */
static bool status_of(int pid, const char *field, char *text, size_t size)
{
	char path[64];
	char line[256];
	bool found = false;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f)) {
		found = strncmp(line, field, strlen(field)) == 0;
		if (found)
			(void)snprintf(text, size, "%s", line + strlen(field));
	}
	if (f)
		(void)fclose(f);
	return found;
}

long watch_memory(int pid)
{
	char text[128];
	long kb = -1;

	if (!status_of(pid, "RssAnon:", text, sizeof(text)) || sscanf(text, "%ld", &kb) != 1)
		return -1;
	return kb;
}

bool watch_alive(int pid)
{
	char text[128];

	return status_of(pid, "State:", text, sizeof(text)) && !strchr(text, 'Z') &&
	       !strchr(text, 'X');
}
