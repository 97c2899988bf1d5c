/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * handle_cmd.c - `holdfast handle get` and `handle open`: file handles by name_to_handle_at(2) and
 * open_by_handle_at(2), of any file system, in the guest or on this machine.
 *
 * Text form of a handle: TYPE:HEX, the handle type in hex digits and the bytes of the handle. Needs no state and
 * no daemon of ours. Main thread.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "admin/commands.h"
#include "admin/handle_text.h"
#include "admin/tool.h"
#include "base/log.h"
#include "base/util.h"
#include "holdfast/exit.h"

#ifndef AT_HANDLE_CONNECTABLE
#define AT_HANDLE_CONNECTABLE 0x002 /* Linux 6.13 */
#endif

#define COPY_SIZE ((size_t)64 << 10)

union handle {
	struct file_handle h;
	uint8_t room[sizeof(struct file_handle) + HANDLE_TEXT_MAX];
};

int command_handle_get(const struct config *c)
{
	const char *path = c->operand[0];
	char hex[2 * HANDLE_TEXT_MAX + 1];
	union handle fh;
	int mount_id;

	memset(&fh, 0, sizeof(fh));
	fh.h.handle_bytes = HANDLE_TEXT_MAX;
	if (name_to_handle_at(AT_FDCWD, path, &fh.h, &mount_id,
			      c->connectable ? AT_HANDLE_CONNECTABLE : 0)) {
		if (errno == EINVAL && c->connectable)
			log_error("handle: %s: this kernel makes no connectable handles (Linux "
				  "6.13 does)",
				  path);
		else
			log_error("handle: cannot get one of %s: %s", path, strerror(errno));
		return HOLDFAST_EXIT_FAILURE;
	}
	hex_encode(fh.h.f_handle, fh.h.handle_bytes, hex);
	(void)printf("%x:%s\n", (unsigned)fh.h.handle_type, hex);
	return fflush(stdout) ? HOLDFAST_EXIT_FAILURE : HOLDFAST_EXIT_OK;
}

static int explain_open(const char *text, const char *mount)
{
	switch (errno) {
	case ESTALE:
		log_error("handle: %s opens nothing at %s: stale (the object is gone, or it is no "
			  "handle of this file "
			  "system)",
			  text, mount);
		return HOLDFAST_EXIT_STALE;
	case EPERM:
		log_error("handle: opening one takes CAP_DAC_READ_SEARCH; run as root");
		return HOLDFAST_EXIT_FAILURE;
	case ENOMEM:
		log_error("handle: %s cannot be opened at %s at the moment (ENOMEM); try again",
			  text, mount);
		return HOLDFAST_EXIT_FAILURE;
	default:
		log_error("handle: cannot open %s at %s: %s", text, mount, strerror(errno));
		return HOLDFAST_EXIT_FAILURE;
	}
}

static int copy_out(int fd)
{
	CLEANUP_FREE char *buf = malloc(COPY_SIZE);
	ssize_t n;

	if (!buf)
		return -ENOMEM;
	while ((n = read(fd, buf, COPY_SIZE)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (fwrite(buf, 1, (size_t)n, stdout) != (size_t)n)
			return -EIO;
	}
	return 0;
}

/* The names in a directory, a line each. Takes `fd`. */
static int list_out(int fd)
{
	DIR *dir = fdopendir(fd);
	const struct dirent *d;
	int err;

	if (!dir) {
		err = -errno;
		fd_close(fd);
		return err;
	}
	errno = 0;
	while ((d = readdir(dir))) {
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			(void)puts(d->d_name);
	}
	err = -errno;
	(void)closedir(dir);
	return err;
}

static int show_stat(int fd)
{
	char birth[64] = "unknown";
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &stx))
		return -errno;
	if (stx.stx_mask & STATX_BTIME)
		tool_format_time(stx.stx_btime.tv_sec, stx.stx_btime.tv_nsec, birth);
	(void)printf("inode: %llu\ntype: %s\nsize: %llu\nbirth: %s\n",
		     (unsigned long long)stx.stx_ino, tool_type_name(stx.stx_mode),
		     (unsigned long long)stx.stx_size, birth);
	return 0;
}

/* What the object holds. Only regular files and directories are opened: a FIFO would block, a device act. */
static int show_content(int mount, union handle *fh, int path_fd)
{
	CLEANUP_FD int fd = -1;
	struct stat st;

	if (fstat(path_fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
		(void)puts(tool_type_name(st.st_mode));
		return 0;
	}
	fd = open_by_handle_at(mount, &fh->h, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? list_out(fd_take(&fd)) : copy_out(fd);
}

int command_handle_open(const struct config *c)
{
	const char *text = c->operand[0], *mount_path = c->operand[1];
	CLEANUP_FD int mount = -1;
	CLEANUP_FD int fd = -1;
	struct handle_text parsed;
	union handle fh;
	int err;

	if (handle_text_parse(text, &parsed) || !parsed.typed) {
		log_error("handle: \"%.100s\" is none; it is written TYPE:HEX, as `holdfast handle "
			  "get` does",
			  text);
		return HOLDFAST_EXIT_USAGE;
	}
	memset(&fh, 0, sizeof(fh));
	fh.h.handle_type = parsed.type;
	fh.h.handle_bytes = (unsigned)parsed.len;
	memcpy(fh.h.f_handle, parsed.bytes, parsed.len);

	mount = open(mount_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mount < 0) {
		log_error("handle: cannot open %s: %s", mount_path, strerror(errno));
		return HOLDFAST_EXIT_FAILURE;
	}
	fd = open_by_handle_at(mount, &fh.h, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return explain_open(text, mount_path);

	err = c->stat ? show_stat(fd) : show_content(mount, &fh, fd);
	if (!err && fflush(stdout))
		err = -errno;
	if (err) {
		errno = -err;
		return explain_open(text, mount_path);
	}
	return HOLDFAST_EXIT_OK;
}
