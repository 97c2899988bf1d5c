// SPDX-License-Identifier: BSD-3-Clause
/*
 * keyscan - looks for the keys of a key file where they must not be. As root.
 *
 *   keyscan memory PID KEYFILE nodeid|sealing|all   in all memory of a process: each place with its region's flags
 *   keyscan file KEYFILE FILE...                    in files, raw, in hex and in base64
 *
 * A key is looked for by each of its pieces of 16 bytes: key schedules hold them apart.
 * memory: prints "N found, N outside"; outside is what is not both locked and left out of core dumps ("lo", "dd" of
 * VmFlags in smaps). Exit 0: none outside; 1: some; 3: none at all was found; 2: it could not be looked for.
 * file: exit 0: none, 1: some.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEAD 64
#define NODEID 32
#define SEALING 64
#define PIECE 16
#define PIECES_MAX 80
#define CHUNK ((size_t)1 << 20)

static uint8_t pieces[PIECES_MAX][PIECE];
static size_t piece_count;

static void add_key(const uint8_t *key, size_t len)
{
	for (size_t i = 0; i + PIECE <= len && piece_count < PIECES_MAX; i += PIECE)
		memcpy(pieces[piece_count++], key + i, PIECE);
}

static int take_keys(const char *path, const char *which)
{
	uint8_t image[2048];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, image, sizeof(image));

	if (fd >= 0)
		close(fd);
	if (len < HEAD || memcmp(image, "HOLDFKEY", 8) != 0)
		return -1;
	if (strcmp(which, "sealing") != 0)
		add_key(image + 32, NODEID);
	if (strcmp(which, "nodeid") != 0)
		for (unsigned i = 0; i < image[10]; i++)
			add_key(image + HEAD + i * (2 + SEALING) + 2, SEALING);
	return 0;
}

static size_t count_in(const uint8_t *bytes, size_t len)
{
	size_t found = 0;

	for (size_t i = 0; i < piece_count; i++) {
		const uint8_t *p = bytes, *end = bytes + len;

		while ((p = memmem(p, (size_t)(end - p), pieces[i], PIECE))) {
			found++;
			p++;
		}
	}
	return found;
}

/* --- memory --------------------------------------------------------------------------------------- */

static size_t scan_region(int mem, uint64_t from, uint64_t to)
{
	static uint8_t chunk[CHUNK + PIECE];
	size_t found = 0;

	while (from < to) {
		size_t want = to - from < sizeof(chunk) ? (size_t)(to - from) : sizeof(chunk);
		ssize_t n = pread(mem, chunk, want, (off_t)from);

		if (n <= 0) {
			from += 4096; /* a page that cannot be read: of a device, or a guard */
			continue;
		}
		found += count_in(chunk, (size_t)n);
		if ((size_t)n == to - from || n <= PIECE)
			break;
		from += (uint64_t)n - PIECE + 1;
	}
	return found;
}

static int scan_memory(const char *pid)
{
	uint64_t from = 0, to = 0;
	char path[64], line[1024], region[1024] = "", perms[8] = "";
	size_t found = 0, outside = 0;
	FILE *maps;
	int mem;

	snprintf(path, sizeof(path), "/proc/%s/mem", pid);
	mem = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%s/smaps", pid);
	maps = fopen(path, "re");
	if (mem < 0 || !maps) {
		perror(path);
		return 2;
	}
	while (fgets(line, sizeof(line), maps)) {
		uint64_t first, last;
		char mode[8];

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s", &first, &last, mode) == 3) {
			from = first;
			to = last;
			memcpy(perms, mode, sizeof(perms));
			snprintf(region, sizeof(region), "%s", line);
		}
		if (strncmp(line, "VmFlags:", 8) != 0 || perms[0] != 'r' || strstr(region, "[v"))
			continue;
		size_t n = scan_region(mem, from, to);
		bool safe = strstr(line, " lo") && strstr(line, " dd");

		found += n;
		outside += safe ? 0 : n;
		if (n)
			printf("%zu in %s  %s", n, region, line);
	}
	printf("%zu found, %zu outside\n", found, outside);
	if (outside)
		return 1;
	return found ? 0 : 3;
}

/* --- files ---------------------------------------------------------------------------------------- */

static void base64_piece(const uint8_t *in, char *out)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t n = 0;

	for (size_t i = 0; i + 3 <= PIECE; i += 3) {
		uint32_t v = (uint32_t)in[i] << 16 | (uint32_t)in[i + 1] << 8 | in[i + 2];

		for (int shift = 18; shift >= 0; shift -= 6)
			out[n++] = digits[v >> shift & 63];
	}
	out[n] = '\0';
}

/* Whatever a key's piece may look like: found in one pass, for cores are large. */
struct needle {
	char text[2 * PIECE + 1];
	size_t len;
};
static struct needle needles[3 * PIECES_MAX];
static size_t needle_count;
static bool begins[1 << 16]; /* first two bytes of a needle */

static void add_needle(const void *text, size_t len)
{
	struct needle *n = &needles[needle_count++];
	const uint8_t *bytes = text;

	memcpy(n->text, text, len);
	n->len = len;
	begins[bytes[0] << 8 | bytes[1]] = true;
}

static void make_needles(void)
{
	char hex[2 * PIECE + 1], base64[32];

	for (size_t i = 0; i < piece_count; i++) {
		for (size_t k = 0; k < PIECE; k++)
			snprintf(hex + 2 * k, 3, "%02x", pieces[i][k]);
		base64_piece(pieces[i], base64);
		add_needle(pieces[i], PIECE);
		add_needle(hex, 2 * (size_t)PIECE);
		add_needle(base64, strlen(base64));
	}
}

static size_t count_needles(const uint8_t *bytes, size_t len)
{
	size_t found = 0;

	for (size_t at = 0; at + 1 < len; at++) {
		if (!begins[bytes[at] << 8 | bytes[at + 1]])
			continue;
		for (size_t i = 0; i < needle_count; i++)
			found += needles[i].len <= len - at &&
				 memcmp(bytes + at, needles[i].text, needles[i].len) == 0;
	}
	return found;
}

static int scan_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	uint8_t *bytes = size < 0 ? NULL : malloc((size_t)size + 1);
	size_t found;

	if (!bytes || pread(fd, bytes, (size_t)size, 0) != size) {
		perror(path);
		exit(2);
	}
	found = count_needles(bytes, (size_t)size);
	if (found)
		printf("%s: %zu found\n", path, found);
	free(bytes);
	close(fd);
	return found ? 1 : 0;
}

int main(int argc, char **argv)
{
	int rc = 0;

	if (argc == 5 && strcmp(argv[1], "memory") == 0)
		return take_keys(argv[3], argv[4]) ? 2 : scan_memory(argv[2]);
	if (argc < 4 || strcmp(argv[1], "file") != 0 || take_keys(argv[2], "all")) {
		fprintf(stderr,
			"usage: keyscan memory PID KEYFILE nodeid|sealing|all | keyscan file "
			"KEYFILE FILE...\n");
		return 2;
	}
	make_needles();
	for (int i = 3; i < argc; i++)
		rc |= scan_file(argv[i]);
	return rc;
}
