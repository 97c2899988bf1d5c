/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * util.h - the few small things that every layer needs.
 */
#ifndef HOLDFAST_BASE_UTIL_H
#define HOLDFAST_BASE_UTIL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Closes *fd when the variable goes out of scope, keeping errno. */
void cleanup_fd(int *fd);
#define CLEANUP_FD __attribute__((cleanup(cleanup_fd)))

/* Frees *p (a pointer to any pointer) when it goes out of scope. */
void cleanup_free(void *p);
#define CLEANUP_FREE __attribute__((cleanup(cleanup_free)))

/* Closes `fd` if it is not negative; keeps errno. Always gives -1. */
int fd_close(int fd);

/* Moves a descriptor out of a CLEANUP_FD variable. */
static inline int fd_take(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* The directory that a file's path names it in, with its slash, or ".": to be freed by the caller. NULL with errno. */
char *path_directory(const char *path);

/*
 * Of a tree of mounts that is ours and mounted nowhere yet: no device node can be opened in it. A daemon in a guest's hands may
 * make some. Not noexec: access(2) would say of no file then that it may be run. 0, or -1 with errno.
 */
int tree_forbid_devices(int tree);

/* -errno of the call that has just failed; never 0, whatever that call forgot to set. */
static inline int errno_neg(void)
{
	int error = errno;

	return error > 0 ? -error : -EIO;
}

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t clock_ns(void);

/* Reads or writes all `len` bytes at `offset`; 0 or -errno (-EIO: end of file came early). */
int pread_full(int fd, void *buf, size_t len, off_t offset);
int pwrite_full(int fd, const void *buf, size_t len, off_t offset);

/* `out` gets 2 * len digits and a NUL. */
void hex_encode(const uint8_t *in, size_t len, char *out);

/* Decodes exactly `digits` characters; number of bytes, or -EINVAL (odd, not hex, over `cap`). */
ssize_t hex_decode(const char *hex, size_t digits, uint8_t *out, size_t cap);

/* Little-endian fields in stored bytes. */
static inline void put_le16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}
static inline void put_le32(uint8_t *p, uint32_t v)
{
	put_le16(p, (uint16_t)v);
	put_le16(p + 2, (uint16_t)(v >> 16));
}
static inline void put_le64(uint8_t *p, uint64_t v)
{
	put_le32(p, (uint32_t)v);
	put_le32(p + 4, (uint32_t)(v >> 32));
}
static inline uint16_t get_le16(const uint8_t *p)
{
	return (uint16_t)(p[0] | (unsigned)p[1] << 8);
}
static inline uint32_t get_le32(const uint8_t *p)
{
	return get_le16(p) | (uint32_t)get_le16(p + 2) << 16;
}
static inline uint64_t get_le64(const uint8_t *p)
{
	return get_le32(p) | (uint64_t)get_le32(p + 4) << 32;
}

#endif
