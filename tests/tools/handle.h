/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * handle.h - what the test tools share: file handles as text, and the lines of a catalogue.
 *
 * A catalogue is a text file, one object a line, fields separated by tabs:
 *   handle (TYPE:HEX) | type letter | inode | birth time (s.ns, or -) | first bytes in hex (or -) | path
 * Bytes of the path below 0x21 and the backslash are written \xNN.
 */
#ifndef HOLDFAST_TESTS_HANDLE_H
#define HOLDFAST_TESTS_HANDLE_H

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define CONTENT_MAX 32

struct object {
	union {
		struct file_handle fh;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} handle;
	char type; /* f d l p s c b */
	uint64_t ino;
	bool has_btime;
	int64_t btime_sec;
	uint32_t btime_nsec;
	int content_len; /* -1: not recorded */
	uint8_t content[CONTENT_MAX];
};

static inline char type_letter(unsigned mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return 'f';
	case S_IFDIR:
		return 'd';
	case S_IFLNK:
		return 'l';
	case S_IFIFO:
		return 'p';
	case S_IFSOCK:
		return 's';
	case S_IFCHR:
		return 'c';
	default:
		return 'b';
	}
}

static inline void hex_print(FILE *out, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fprintf(out, "%02x", p[i]);
}

static inline int hex_parse(const char *hex, uint8_t *out, size_t cap)
{
	size_t n = strlen(hex);

	if (n % 2 || n / 2 > cap)
		return -1;
	for (size_t i = 0; i < n / 2; i++) {
		char two[3] = { hex[2 * i], hex[2 * i + 1], 0 };
		char *end;

		out[i] = (uint8_t)strtoul(two, &end, 16);
		if (*end)
			return -1;
	}
	return (int)(n / 2);
}

static inline void handle_print(FILE *out, const struct object *o)
{
	fprintf(out, "%x:", (unsigned)o->handle.fh.handle_type);
	hex_print(out, o->handle.fh.f_handle, o->handle.fh.handle_bytes);
}

/* The handle as text; false if it is none. */
static inline bool handle_parse(char *text, struct object *o)
{
	char *colon = strchr(text, ':');
	int n;

	if (!colon)
		return false;
	*colon = 0;
	o->handle.fh.handle_type = (int)strtol(text, NULL, 16);
	n = hex_parse(colon + 1, o->handle.fh.f_handle, MAX_HANDLE_SZ);
	if (n < 0)
		return false;
	o->handle.fh.handle_bytes = (unsigned)n;
	return true;
}

/* Handle of (dirfd, path) as name_to_handle_at gives it; 0 or -errno. */
static inline int handle_take(int dirfd, const char *path, int flags, struct object *o)
{
	int mount_id;

	o->handle.fh.handle_bytes = MAX_HANDLE_SZ;
	return name_to_handle_at(dirfd, path, &o->handle.fh, &mount_id, flags) ? -errno : 0;
}

/* Type, inode number and birth time; 0 or -errno. */
static inline int object_stat(int dirfd, const char *path, int flags, struct object *o)
{
	struct statx stx;

	if (statx(dirfd, path, flags | AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &stx))
		return -errno;
	o->type = type_letter(stx.stx_mode);
	o->ino = stx.stx_ino;
	o->has_btime = stx.stx_mask & STATX_BTIME;
	o->btime_sec = stx.stx_btime.tv_sec;
	o->btime_nsec = stx.stx_btime.tv_nsec;
	return 0;
}

static inline void object_print(FILE *out, const struct object *o, const char *path)
{
	handle_print(out, o);
	fprintf(out, "\t%c\t%llu\t", o->type, (unsigned long long)o->ino);
	if (o->has_btime)
		fprintf(out, "%lld.%09u\t", (long long)o->btime_sec, o->btime_nsec);
	else
		fputs("-\t", out);
	if (o->content_len < 0)
		fputc('-', out);
	else
		hex_print(out, o->content, (size_t)o->content_len);
	fputc('\t', out);
	for (; *path; path++) {
		if ((unsigned char)*path <= 0x20 || *path == '\\')
			fprintf(out, "\\x%02x", (unsigned char)*path);
		else
			fputc(*path, out);
	}
	fputc('\n', out);
}

/* Takes a line apart (it is written into); false if it is none. *path points into the line. */
static inline bool object_parse(char *line, struct object *o, char **path)
{
	char *field[6];
	int n = 0;
	long long sec;
	unsigned nsec;

	line[strcspn(line, "\n")] = 0;
	while (n < 6 && (field[n] = strsep(&line, "\t")))
		n++;
	if (n < 6 || !handle_parse(field[0], o))
		return false;
	o->type = field[1][0];
	o->ino = strtoull(field[2], NULL, 10);
	o->has_btime = sscanf(field[3], "%lld.%u", &sec, &nsec) == 2;
	o->btime_sec = o->has_btime ? sec : 0;
	o->btime_nsec = o->has_btime ? nsec : 0;
	o->content_len = strcmp(field[4], "-") ? hex_parse(field[4], o->content, CONTENT_MAX) : -1;
	*path = field[5];
	return true;
}

/* How this type is opened by its handle: nothing but files and directories is opened for I/O. */
static inline int open_flags_of(char type)
{
	if (type == 'f')
		return O_RDONLY | O_CLOEXEC;
	if (type == 'd')
		return O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	return O_PATH | O_NOFOLLOW | O_CLOEXEC;
}

/* The next of a sequence of pseudo-random numbers (xorshift64*); *state is never 0. */
static inline uint64_t random_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545F4914F6CDD1DULL;
}

#endif
