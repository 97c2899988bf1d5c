/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * farheld URL DIRS FILES N FROM - the files of `held make`, held open by an NFS client in user space (libnfs).
 *
 * URL: "nfs://SERVER/EXPORT?version=3". Commands on stdin, one a line; an answer of one line, "ok=N stale=N error=N wrong=N", to
 * each, and the first offenders on stderr:
 *   check        every line of every held file begins with its id
 *   write TAG    a line "ID TAG" behind each
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <nfsc/libnfs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONTENT_MAX 16384
#define ID_MAX 64
#define SHOWN_MAX 6

struct held {
	struct nfsfh *fh;
	uint64_t size;
	char id[ID_MAX];
};

struct result {
	unsigned ok, stale, error, wrong;
};

static struct nfs_context *nfs;

static unsigned number(const char *text)
{
	return (unsigned)strtoul(text, NULL, 10);
}

/* Is the handle stale? libnfs makes EIO of that; what GETATTR says of it has the protocol's own word. */
static bool is_stale(const struct held *h)
{
	struct nfs_stat_64 st;

	return nfs_fstat64(nfs, h->fh, &st) && strstr(nfs_get_error(nfs), "STALE");
}

static void failed(struct result *r, const char *what, const struct held *h)
{
	if (is_stale(h))
		r->stale++;
	else
		r->error++;
	if (r->stale + r->error <= SHOWN_MAX)
		fprintf(stderr, "  %s %s: %s\n", what, h->id, nfs_get_error(nfs));
}

static bool lines_are_of(const char *id, const char *text)
{
	size_t want = strlen(id);

	for (; *text; text = strchr(text, '\n') ? strchr(text, '\n') + 1 : text + strlen(text))
		if (strncmp(text, id, want) != 0 || (text[want] != ' ' && text[want] != '\n'))
			return false;
	return true;
}

static void check(const struct held *h, struct result *r)
{
	static char text[CONTENT_MAX + 1];
	int n = nfs_pread(nfs, h->fh, 0, CONTENT_MAX, text);

	if (n < 0) {
		failed(r, "read", h);
		return;
	}
	text[n] = 0;
	if ((uint64_t)n == h->size && lines_are_of(h->id, text)) {
		r->ok++;
		return;
	}
	r->wrong++;
	fprintf(stderr, "  read %s: %.200s\n", h->id, text);
}

static void append(struct held *h, struct result *r, const char *tag)
{
	char line[2 * ID_MAX];
	int len = snprintf(line, sizeof(line), "%s %.40s\n", h->id, tag);
	int n = nfs_pwrite(nfs, h->fh, h->size, (uint64_t)len, line);

	if (n != len) {
		failed(r, "write", h);
		return;
	}
	h->size += (uint64_t)len;
	r->ok++;
}

static void serve(struct held *held, unsigned n)
{
	char line[128];

	while (fgets(line, sizeof(line), stdin)) {
		struct result r = { 0 };

		line[strcspn(line, "\n")] = 0;
		for (unsigned i = 0; i < n; i++) {
			if (!strncmp(line, "write ", 6))
				append(&held[i], &r, line + 6);
			else
				check(&held[i], &r);
		}
		printf("ok=%u stale=%u error=%u wrong=%u\n", r.ok, r.stale, r.error, r.wrong);
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	struct nfs_url *url;
	struct held *held;
	unsigned total, n, from;

	if (argc != 6)
		errx(2, "farheld URL DIRS FILES N FROM");
	total = number(argv[2]) * number(argv[3]);
	n = number(argv[4]);
	from = number(argv[5]);
	nfs = nfs_init_context();
	held = calloc(n, sizeof(*held));
	if (!nfs || !held)
		errx(1, "farheld: no memory");
	url = nfs_parse_url_dir(nfs, argv[1]);
	if (!url || nfs_mount(nfs, url->server, url->path))
		errx(1, "farheld: %s", nfs_get_error(nfs));
	for (unsigned i = 0; i < n; i++) {
		unsigned k = from + i * (total / n);
		struct nfs_stat_64 st;

		snprintf(held[i].id, ID_MAX, "d%03u/f%03u", k / number(argv[3]),
			 k % number(argv[3]));
		if (nfs_open(nfs, held[i].id, O_RDWR, &held[i].fh) ||
		    nfs_fstat64(nfs, held[i].fh, &st))
			errx(1, "farheld: %s: %s", held[i].id, nfs_get_error(nfs));
		held[i].size = st.nfs_size;
	}
	puts("held");
	fflush(stdout);
	serve(held, n);
	return 0;
}
