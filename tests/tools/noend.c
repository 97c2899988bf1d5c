/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * noend - what goes up to the end of what a file system can.
 *
 *   noend names HOST GUEST   gives the file GUEST attributes until there is no room; from there down to where listxattr(2) gives
 *                            them all, it says the same of GUEST as of HOST, which is the same file
 *   noend large FILE         FILE has 2^63 - 1 bytes, all of them a hole: reads, writes, seeks and truncates at its end
 */
#include <stdbool.h>
#include <sys/xattr.h>

#include "handle.h"

#define NAMES_MAX 400
#define LIST_MAX 65536
#define END INT64_MAX

static void expect(bool right, const char *what)
{
	if (!right)
		err(1, "%s", what);
}

static void name_of(unsigned i, char out[256])
{
	(void)snprintf(out, 256, "user.%04u-%0200u", i, i);
}

/* Bytes of all names that are the user's, or -errno. */
static ssize_t list(const char *path)
{
	static char names[LIST_MAX];
	ssize_t len = listxattr(path, names, sizeof(names)), sum = 0;

	if (len < 0)
		return -errno;
	for (const char *n = names; n < names + len; n += strlen(n) + 1)
		if (strncmp(n, "user.", 5) == 0)
			sum += (ssize_t)strlen(n) + 1;
	return sum;
}

static int names(const char *host, const char *guest)
{
	char name[256];
	unsigned n = 0;

	for (;; n++) {
		name_of(n, name);
		if (n == NAMES_MAX || setxattr(guest, name, "v", 1, 0) < 0)
			break;
	}
	printf("%u attributes\n", n);
	for (;;) {
		ssize_t want = list(host), got = list(guest);

		if (want != got)
			errx(1, "%u names: the host says %zd, the guest %zd", n, want, got);
		if (want >= 0) {
			printf("listed: %u names, %zd bytes\n", n, want);
			return want < 50000;
		}
		name_of(--n, name);
		expect(removexattr(guest, name) == 0, "removexattr");
	}
}

static int large(const char *path)
{
	const off_t near = END - 8192;
	char buf[4096];
	int fd = open(path, O_RDWR | O_CLOEXEC);
	off_t data;

	expect(fd >= 0, path);
	expect(pwrite(fd, "near the end", 12, near) == 12, "write near the end");
	expect(pread(fd, buf, 12, near) == 12 && memcmp(buf, "near the end", 12) == 0,
	       "read near the end");
	expect(pread(fd, buf, 10, END - 10) == 10 && !buf[0] && !buf[9], "read the last bytes");
	expect(pwrite(fd, "x", 1, END) < 0 && (errno == EFBIG || errno == EINVAL),
	       "write at the end");
	data = lseek(fd, 0, SEEK_DATA);
	expect(data <= near && data >= near - 65536, "SEEK_DATA");
	expect(lseek(fd, 0, SEEK_HOLE) == 0, "SEEK_HOLE");
	expect(lseek(fd, 0, SEEK_END) == END, "SEEK_END");
	expect(fallocate(fd, 0, END - 1, 4096) < 0 && (errno == EFBIG || errno == EINVAL),
	       "fallocate past the end");
	expect(ftruncate(fd, END - 1) == 0 && lseek(fd, 0, SEEK_END) == END - 1,
	       "truncate to a byte less");
	expect(ftruncate(fd, 10) == 0 && pread(fd, buf, sizeof(buf), 0) == 10, "truncate to 10");
	close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "names"))
		return names(argv[2], argv[3]);
	if (argc == 3 && !strcmp(argv[1], "large"))
		return large(argv[2]);
	errx(2, "names HOST GUEST | large FILE");
}
