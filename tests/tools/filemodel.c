/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * filemodel FILE SEED STEPS [HOSTFILE] - random work on a file by several descriptors at once, against a model in memory.
 *
 * Reads, writes, appends, maps, truncates, punches, copies; by descriptors opened plain, O_APPEND and O_DIRECT, with
 * F_SETFL between. Every read must give what the model has. HOSTFILE, the same file by another way, is compared at the
 * end. Exits with 1 at the first difference and shows the last steps.
 */
#include <linux/falloc.h>
#include <sys/mman.h>

#include "handle.h"

#define MODEL_MAX 300000
#define BLOCK 4096
#define KEPT 12

enum { PLAIN, SECOND, APPEND, DIRECT, COUNT };

static int fds[COUNT];
static const char *path;
static uint8_t model[MODEL_MAX + 1], got[MODEL_MAX + 1], data[MODEL_MAX + 1];
static size_t size;
static uint64_t random_state;
static char kept[KEPT][96];
static unsigned steps;

static uint32_t rnd(uint32_t below)
{
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(random_state >> 33) % below;
}

static void differs(const char *what, size_t at)
{
	printf("filemodel: %s differs at %zu (size %zu); the last steps:\n", what, at, size);
	for (unsigned i = steps < KEPT ? 0 : steps - KEPT; i <= steps; i++)
		printf("  %u: %s\n", i, kept[i % KEPT]);
	exit(1);
}

static void must(bool done, const char *what)
{
	int error = errno;

	if (done)
		return;
	printf("filemodel: %s: %s\n", what, strerror(error));
	differs(what, 0);
}

static void compare(const char *what, const uint8_t *bytes, ssize_t len, size_t off)
{
	size_t want = off < size ? size - off : 0;

	must(len >= 0, what);
	for (size_t i = 0; i < (size_t)len && i < want; i++)
		if (bytes[i] != model[off + i])
			differs(what, off + i);
}

/* The file as the model has it now reaches to `end` at least. */
static void grow(size_t end)
{
	if (end > size) {
		memset(model + size, 0, end - size);
		size = end;
	}
}

static void fill(size_t len)
{
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)rnd(256);
}

static void do_read(int fd, size_t off, size_t len)
{
	ssize_t n = pread(fd, got, len, (off_t)off);
	size_t want = off < size ? size - off : 0;

	if (want > len)
		want = len;
	compare("read", got, n, off);
	if ((size_t)n != want)
		differs("length of a read", off);
}

static void do_write(int fd, size_t off, size_t len)
{
	fill(len);
	must(pwrite(fd, data, len, (off_t)off) == (ssize_t)len, "write");
	grow(off);
	memcpy(model + off, data, len);
	if (off + len > size)
		size = off + len;
}

static void do_append(size_t len)
{
	if (size + len > MODEL_MAX)
		return;
	fill(len);
	must(write(fds[APPEND], data, len) == (ssize_t)len, "append");
	memcpy(model + size, data, len);
	size += len;
}

static void do_truncate(size_t to)
{
	must((rnd(2) ? ftruncate(fds[rnd(COUNT)], (off_t)to) : truncate(path, (off_t)to)) == 0,
	     "truncate");
	grow(to);
	size = to;
}

static void do_map(int fd, size_t off, size_t len, bool writing)
{
	uint8_t *map;
	size_t whole = size;

	if (!size)
		return;
	off %= size;
	len = len < size - off ? len : size - off;
	map = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(map != MAP_FAILED, "mmap");
	compare("map", map + off, (ssize_t)len, off);
	if (writing) {
		fill(len);
		memcpy(map + off, data, len);
		memcpy(model + off, data, len);
		if (rnd(2))
			must(msync(map, whole, MS_SYNC) == 0, "msync");
	}
	munmap(map, whole);
}

static void do_punch(int fd, size_t off, size_t len)
{
	if (off >= size)
		return;
	len = len < size - off ? len : size - off;
	if (fallocate(fd,
		      FALLOC_FL_KEEP_SIZE | (rnd(2) ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE),
		      (off_t)off, (off_t)len) != 0) {
		must(errno == EOPNOTSUPP, "fallocate");
		return;
	}
	memset(model + off, 0, len);
}

static void do_copy(size_t off, size_t len)
{
	size_t to;

	if (!size)
		return;
	off %= size;
	len = len < size - off ? len : size - off;
	to = rnd((uint32_t)(MODEL_MAX - len));
	if ((to > off ? to - off : off - to) < len)
		return;
	for (size_t done = 0; done < len;) {
		off_t in = (off_t)(off + done), out = (off_t)(to + done);
		ssize_t n = copy_file_range(fds[SECOND], &in, fds[PLAIN], &out, len - done, 0);

		must(n > 0, "copy_file_range");
		done += (size_t)n;
	}
	grow(to);
	memcpy(model + to, model + off, len);
	if (to + len > size)
		size = to + len;
}

/* Whole blocks by the O_DIRECT descriptor. */
static void do_direct(size_t off)
{
	static _Alignas(BLOCK) uint8_t block[2 * BLOCK];

	off = off / BLOCK * BLOCK;
	if (off + sizeof(block) > MODEL_MAX)
		return;
	fill(sizeof(block));
	memcpy(block, data, sizeof(block));
	must(pwrite(fds[DIRECT], block, sizeof(block), (off_t)off) == (ssize_t)sizeof(block),
	     "direct write");
	grow(off);
	memcpy(model + off, block, sizeof(block));
	if (off + sizeof(block) > size)
		size = off + sizeof(block);
	compare("direct read", block, pread(fds[DIRECT], block, sizeof(block), (off_t)off), off);
}

/* A descriptor works as F_SETFL says, not as it was opened; it is set back after one write. */
static void do_setfl(size_t off, size_t len)
{
	int which = rnd(2) ? APPEND : DIRECT;
	int flags = fcntl(fds[which], F_GETFL);

	must(fcntl(fds[which], F_SETFL, flags & ~(O_APPEND | O_DIRECT)) == 0, "F_SETFL");
	do_write(fds[which], off, len);
	do_read(fds[which], off, len);
	must(fcntl(fds[which], F_SETFL, flags) == 0, "F_SETFL");
}

static void step(void)
{
	static const size_t lengths[] = { 1, 7, 511, 4096, 5000, 65536, 131072 };
	static const char kinds[] = "wwwwrrrraatmmMMMpczdds";
	char kind = kinds[rnd(sizeof(kinds) - 1)];
	size_t off = rnd(MODEL_MAX), len = rnd(2) ? lengths[rnd(7)] : 1 + rnd(20000);
	int which = (int)rnd(2);

	if (len > MODEL_MAX - off)
		len = MODEL_MAX - off;
	snprintf(kept[steps % KEPT], sizeof(kept[0]), "%c %zu + %zu, size %zu", kind, off, len,
		 size);
	switch (kind) {
	case 'w':
		do_write(fds[which], off, len);
		break;
	case 'r':
		do_read(fds[which], off, len);
		break;
	case 'a':
		do_append(len);
		break;
	case 't':
		do_truncate(off);
		break;
	case 'm':
		do_map(fds[which], off, len, false);
		break;
	case 'M':
		do_map(fds[rnd(COUNT)], off, len, true);
		break;
	case 'p':
		do_punch(fds[which], off, len);
		break;
	case 'c':
		do_copy(off, len);
		break;
	case 'z':
		must(fsync(fds[which]) == 0, "fsync");
		break;
	case 'd':
		do_direct(off);
		break;
	default:
		do_setfl(off, len);
		break;
	}
}

static void compare_whole(const char *file)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	must(fd >= 0, file);
	do_read(fd, 0, MODEL_MAX + 1);
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc < 4)
		errx(2, "usage: filemodel FILE SEED STEPS [HOSTFILE]");
	path = argv[1];
	random_state = strtoull(argv[2], NULL, 10);
	for (int i = 0; i < COUNT; i++) {
		fds[i] = open(path,
			      O_RDWR | O_CREAT | O_CLOEXEC | (i == PLAIN ? O_TRUNC : 0) |
				      (i == APPEND ? O_APPEND : 0) | (i == DIRECT ? O_DIRECT : 0),
			      0644);
		if (fds[i] < 0)
			err(2, "%s", path);
	}
	for (unsigned last = (unsigned)strtoul(argv[3], NULL, 10); steps < last; steps++)
		step();
	steps--;
	compare_whole(path);
	if (argc > 4) {
		must(fsync(fds[PLAIN]) == 0, "fsync");
		compare_whole(argv[4]);
	}
	return 0;
}
