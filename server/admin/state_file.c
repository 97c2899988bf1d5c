/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * state_file.c - the format of the file `export`.
 *
 * Text, one field a line, in this order, nothing else:
 *
 *   holdfast export 1
 *   id 32 hex digits
 *   root hex digits, or - if the share is known by its path alone
 *   path the path; bytes up to 0x20, '%', and from 0x7f on are %XX
 *   run the run directory in the same form, or -
 *
 * It holds no secret, and nothing in it is trusted for containment: it only says where to look. Replaced
 * as a whole, never changed in place. Main thread.
 */
#include "admin/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"

#define FIRST_WORDS "holdfast export "
#define FORMAT_VERSION 1
/* Two paths of which each byte is %XX, the root, and the words. */
#define FILE_MAX ((size_t)2 * 3 * PATH_MAX + ROOT_IDENTITY_HEX + 256)

static void put_escaped(FILE *f, const char *word, const char *text)
{
	(void)fprintf(f, "%s ", word);
	if (!text[0])
		(void)fputc('-', f);
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (*p <= ' ' || *p == '%' || *p >= 0x7f)
			(void)fprintf(f, "%%%02x", *p);
		else
			(void)fputc(*p, f);
	}
	(void)fputc('\n', f);
}

/* Undoes put_escaped for one line without its newline. Paths are absolute, so "-" is none. */
static int get_escaped(const char *line, char out[PATH_MAX])
{
	size_t used = 0;

	out[0] = '\0';
	if (strcmp(line, "-") == 0)
		return 0;
	if (line[0] != '/')
		return -EBADMSG;
	while (*line) {
		uint8_t c = (uint8_t)*line++;

		if (c == '%') {
			if (hex_decode(line, strnlen(line, 2), &c, 1) != 1 || c == 0)
				return -EBADMSG;
			line += 2;
		}
		if (used + 1 >= PATH_MAX)
			return -EBADMSG;
		out[used++] = (char)c;
	}
	out[used] = '\0';
	return 0;
}

static bool all_hex(const char *s, size_t min, size_t max)
{
	size_t len = strlen(s);

	return len >= min && len <= max && strspn(s, "0123456789abcdef") == len;
}

/* The rest of the next line if it begins with `word` and a blank; NULL if it does not. */
static char *take_field(char **at, const char *word)
{
	char *line = *at;
	char *end = strchr(line, '\n');
	size_t len = strlen(word);

	if (!end || strncmp(line, word, len) != 0 || line[len] != ' ')
		return NULL;
	*end = '\0';
	*at = end + 1;
	return line + len + 1;
}

static int parse(char *text, struct state_record *out)
{
	const char *version, *id, *root, *path, *run;

	version = take_field(&text, "holdfast export");
	if (!version || version[0] < '1' || version[0] > '9')
		return -EBADMSG;
	if (strcmp(version, "1") != 0)
		return -EPROTO;
	id = take_field(&text, "id");
	root = id ? take_field(&text, "root") : NULL;
	path = root ? take_field(&text, "path") : NULL;
	run = path ? take_field(&text, "run") : NULL;
	if (!run || *text)
		return -EBADMSG;
	if (!all_hex(id, STATE_ID_DIGITS, STATE_ID_DIGITS))
		return -EBADMSG;
	memcpy(out->id, id, STATE_ID_DIGITS + 1);
	if (strcmp(root, "-") == 0)
		out->root[0] = '\0';
	else if (all_hex(root, 2, ROOT_IDENTITY_HEX - 1))
		memcpy(out->root, root, strlen(root) + 1);
	else
		return -EBADMSG;
	if (get_escaped(path, out->path) || !out->path[0] || get_escaped(run, out->run))
		return -EBADMSG;
	return 0;
}

int state_record_read(int dirfd, struct state_record *out)
{
	CLEANUP_FD int fd = -1;
	CLEANUP_FREE char *text = NULL;
	struct stat st;
	int err;

	fd = openat(dirfd, STATE_EXPORT_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size > (off_t)FILE_MAX)
		return -EBADMSG;
	if ((st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return -EKEYREJECTED;
	text = calloc(1, (size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	err = pread_full(fd, text, (size_t)st.st_size, 0);
	if (err)
		return err;
	if (strlen(text) != (size_t)st.st_size)
		return -EBADMSG;
	memset(out, 0, sizeof(*out));
	return parse(text, out);
}

int state_record_write(int dirfd, const struct state_record *record)
{
	CLEANUP_FD int fd = -1;
	CLEANUP_FREE char *text = NULL;
	size_t len = 0;
	FILE *f;
	int err;

	f = open_memstream(&text, &len);
	if (!f)
		return -ENOMEM;
	(void)fprintf(f, FIRST_WORDS "%d\nid %s\nroot %s\n", FORMAT_VERSION, record->id,
		      record->root[0] ? record->root : "-");
	put_escaped(f, "path", record->path);
	put_escaped(f, "run", record->run);
	if (fclose(f))
		return -ENOMEM;

	/* Only one process at a time comes here (the search lock), so a left-over is nobody's. */
	if (unlinkat(dirfd, STATE_TEMP_FILE, 0) && errno != ENOENT)
		return -errno;
	fd = openat(dirfd, STATE_TEMP_FILE, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		    0600);
	if (fd < 0)
		return -errno;
	err = pwrite_full(fd, text, len, 0);
	if (!err && fsync(fd))
		err = -errno;
	if (!err && renameat(dirfd, STATE_TEMP_FILE, dirfd, STATE_EXPORT_FILE))
		err = -errno;
	if (err) {
		(void)unlinkat(dirfd, STATE_TEMP_FILE, 0);
		return err;
	}
	return fsync(dirfd) ? -errno : 0;
}
