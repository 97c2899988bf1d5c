/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * forge MOUNT CATALOGUE N SEED - invents N file handles and opens them; not one may open.
 *
 * Half are random; the others start from a handle of the catalogue: one bit turned over, nodeid one up or
 * down, the generation of another object or 0, another type or length, the halves of two handles. A handle that
 * is by chance a real one (it stands in the catalogue) is left out. Prints "tried=N stale=N refused=N
 * again=N opened=N"; exits with 1 if one opened.
 */
#include "handle.h"

#define FUSE_HANDLE_LEN 12
#define FUSE_HANDLE_TYPE 0x81
#define FUSE_HANDLE_PARENT_TYPE 0x82

struct fuse_handle {
	uint32_t word[3]; /* nodeid high, nodeid low, generation */
};

static struct fuse_handle *known;
static size_t known_count;

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct fuse_handle));
}

static void known_read(const char *file)
{
	FILE *in = fopen(file, "re");
	char *line = NULL;
	size_t cap = 0;
	size_t room = 0;

	if (!in)
		err(1, "forge: %s", file);
	while (getline(&line, &cap, in) > 0) {
		struct object o;
		char *path;

		if (!object_parse(line, &o, &path) || o.handle.fh.handle_bytes < FUSE_HANDLE_LEN)
			continue;
		if (known_count == room) {
			room = room ? 2 * room : 1024;
			known = realloc(known, room * sizeof(*known));
			if (!known)
				err(1, "forge");
		}
		memcpy(&known[known_count++], o.handle.fh.f_handle, FUSE_HANDLE_LEN);
	}
	free(line);
	fclose(in);
	if (!known_count)
		errx(1, "forge: no FUSE handle in %s", file);
	qsort(known, known_count, sizeof(*known), compare);
}

static struct fuse_handle pick(uint64_t *state)
{
	return known[random_next(state) % known_count];
}

static uint64_t nodeid_of(const struct fuse_handle *h)
{
	return (uint64_t)h->word[0] << 32 | h->word[1];
}

static void nodeid_set(struct fuse_handle *h, uint64_t id)
{
	h->word[0] = (uint32_t)(id >> 32);
	h->word[1] = (uint32_t)id;
}

static struct fuse_handle invent(uint64_t *state)
{
	static const uint64_t odd[] = {
		0, 2, 3, UINT64_MAX, 1ULL << 63, UINT32_MAX, 0x100000001ULL, 0x8000000000000001ULL
	};
	struct fuse_handle h = pick(state);
	uint64_t r = random_next(state);

	switch (r % 8) {
	case 0:
		h.word[(r >> 8) % 3] ^= 1U << ((r >> 16) % 32);
		break;
	case 1:
		nodeid_set(&h, nodeid_of(&h) + ((r >> 8) & 1 ? 1 : UINT64_MAX));
		break;
	case 2:
		h.word[2] = pick(state).word[2];
		break;
	case 3:
		h.word[0] = pick(state).word[0];
		break;
	case 4:
		nodeid_set(&h, odd[(r >> 8) % (sizeof(odd) / sizeof(odd[0]))]);
		break;
	default:
		nodeid_set(&h, random_next(state));
		h.word[2] = (uint32_t)random_next(state);
	}
	return h;
}

/* The same three words as another type, or with a length that lies. */
static void shape_vary(struct file_handle *fh, const struct fuse_handle *h, uint64_t r)
{
	memcpy(fh->f_handle, h, sizeof(*h));
	memcpy(fh->f_handle + FUSE_HANDLE_LEN, h, sizeof(*h));
	fh->handle_type = FUSE_HANDLE_TYPE;
	fh->handle_bytes = FUSE_HANDLE_LEN;
	switch (r % 16) {
	case 0:
		fh->handle_type = FUSE_HANDLE_PARENT_TYPE;
		fh->handle_bytes = 2 * FUSE_HANDLE_LEN;
		break;
	case 1:
		fh->handle_bytes = (unsigned)(r >> 8) % FUSE_HANDLE_LEN;
		break;
	case 2:
		fh->handle_type = (int)((r >> 8) & 0xff);
		break;
	default:
		break;
	}
}

int main(int argc, char **argv)
{
	unsigned long n;
	unsigned long stale = 0;
	unsigned long refused = 0;
	unsigned long again = 0;
	unsigned long opened = 0;
	uint64_t state;
	int mount;

	if (argc != 5)
		errx(2, "MOUNT CATALOGUE N SEED");
	mount = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mount < 0)
		err(1, "forge: %s", argv[1]);
	known_read(argv[2]);
	n = strtoul(argv[3], NULL, 10);
	state = strtoull(argv[4], NULL, 10) * 2 + 1;
	for (unsigned long i = 0; i < n; i++) {
		union {
			struct file_handle fh;
			char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
		} u = { 0 };
		struct fuse_handle h = invent(&state);
		int fd;

		if (bsearch(&h, known, known_count, sizeof(h), compare))
			continue;
		shape_vary(&u.fh, &h, random_next(&state));
		fd = open_by_handle_at(mount, &u.fh, O_PATH | O_CLOEXEC);
		if (fd >= 0) {
			opened++;
			printf("  opened: type 0x%x, %08x%08x generation %08x\n",
			       (unsigned)u.fh.handle_type, h.word[0], h.word[1], h.word[2]);
			close(fd);
		} else if (errno == ESTALE) {
			stale++;
		} else if (errno == ENOMEM) {
			again++;
		} else {
			refused++;
		}
	}
	printf("tried=%lu stale=%lu refused=%lu again=%lu opened=%lu\n", n, stale, refused, again,
	       opened);
	free(known);
	return opened ? 1 : 0;
}
