/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * catalogue - remembers every object of a tree by its file handle, and checks later what the handles open.
 *
 *   catalogue take DIR FILE [N]          walks DIR, writes a catalogue; with the content of every Nth file (1)
 *   catalogue check MOUNT FILE [option]  opens every handle, compares inode, type, birth time, content
 *       --retry-enomem=SECONDS  ENOMEM means "try again": do, for that long in all
 *       --shuffle=SEED          in another order
 *       --sample=N              only N of them (evenly spread)
 *       --times=N               each N times in a row
 *       --expect-stale          every handle must be ESTALE
 *       --allow-stale           stale is as good as same (wrong is not)
 *       --no-content            do not compare content
 *       --no-btime              do not compare birth times: Linux before 6.6 has none on FUSE
 *       --attributes            the handle may be taken of a different mount: skip the inode number
 *   catalogue get PATH                   prints the handle of PATH
 *   catalogue open MOUNT HANDLE          prints "TYPE INODE" and, of a file, its content
 *
 * `check` prints "same=N stale=N again=N wrong=N other=N" and exits with 0 if it is as it should be.
 * `open` exits with 11 for ESTALE, 12 for ENOMEM, 1 for everything else.
 */
#include <ftw.h>
#include <getopt.h>

#include "handle.h"

#define SHOWN_MAX 10 /* offenders that are named */

static FILE *take_out;
static size_t take_prefix;
static unsigned long take_count;
static unsigned long take_nth;

static void take_content(const char *path, struct object *o)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n;

	if (fd < 0)
		err(1, "take: %s", path);
	n = read(fd, o->content, CONTENT_MAX);
	if (n < 0)
		err(1, "take: read %s", path);
	o->content_len = (int)n;
	close(fd);
}

static int take_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	struct object o = { .content_len = -1 };
	int rc;

	(void)st;
	(void)ftw;
	if (flag == FTW_NS || flag == FTW_DNR)
		errx(1, "take: cannot read %s", path);
	rc = handle_take(AT_FDCWD, path, 0, &o);
	if (!rc)
		rc = object_stat(AT_FDCWD, path, 0, &o);
	if (rc)
		errx(1, "take: %s: %s", path, strerror(-rc));
	if (o.type == 'f' && take_count % take_nth == 0)
		take_content(path, &o);
	object_print(take_out, &o, path[take_prefix] ? path + take_prefix + 1 : ".");
	take_count++;
	return 0;
}

static int take(const char *dir, const char *file, const char *nth)
{
	take_nth = strtoul(nth, NULL, 10);
	take_out = fopen(file, "we");
	if (!take_out)
		err(1, "take: %s", file);
	take_prefix = strlen(dir);
	if (nftw(dir, take_one, 64, FTW_PHYS))
		err(1, "take: walk of %s", dir);
	if (fclose(take_out))
		err(1, "take: write %s", file);
	printf("taken=%lu\n", take_count);
	return 0;
}

struct check {
	int mount;
	double retry_enomem;
	unsigned times;
	bool expect_stale, allow_stale, no_content, no_btime, attributes;
	unsigned long same, stale, again, wrong, other;
	unsigned shown;
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int open_retrying(const struct check *c, struct object *o, int flags, double until)
{
	for (;;) {
		int fd = open_by_handle_at(c->mount, &o->handle.fh, flags);

		if (fd >= 0 || errno != ENOMEM || now() >= until)
			return fd;
		usleep(20000);
	}
}

/* NULL if the descriptor is the object, else what differs. */
static const char *difference(const struct check *c, int fd, const struct object *want)
{
	struct object got = { .content_len = -1 };
	uint8_t content[CONTENT_MAX];
	ssize_t n;

	if (object_stat(fd, "", AT_EMPTY_PATH, &got))
		return "statx fails";
	if (got.type != want->type)
		return "another type";
	if (!c->attributes && got.ino != want->ino)
		return "another inode";
	if (!c->no_btime && got.has_btime != want->has_btime)
		return "birth time there or not";
	if (!c->no_btime && got.has_btime &&
	    (got.btime_sec != want->btime_sec || got.btime_nsec != want->btime_nsec))
		return "another birth time";
	if (want->type != 'f' || want->content_len < 0 || c->no_content)
		return NULL;
	n = pread(fd, content, CONTENT_MAX, 0);
	if (n < 0)
		return "read fails";
	if (n != want->content_len || memcmp(content, want->content, (size_t)n) != 0)
		return "another content";
	return NULL;
}

static void show(struct check *c, const char *path, const char *what)
{
	if (c->shown++ < SHOWN_MAX)
		printf("  %s: %s\n", path, what);
}

static void check_one(struct check *c, struct object *o, const char *path, double until)
{
	/* Nothing to be read: the object alone, as far as a name would lead. */
	bool reads = o->type != 'f' || (o->content_len >= 0 && !c->no_content);
	int fd = open_retrying(c, o, reads ? open_flags_of(o->type) : O_PATH | O_CLOEXEC, until);
	const char *diff;

	if (fd < 0 && errno == ESTALE) {
		c->stale++;
		if (!c->expect_stale && !c->allow_stale)
			show(c, path, "stale");
	} else if (fd < 0 && errno == ENOMEM) {
		c->again++;
		show(c, path, "ENOMEM");
	} else if (fd < 0) {
		c->other++;
		show(c, path, strerror(errno));
	} else {
		diff = difference(c, fd, o);
		if (diff) {
			c->wrong++;
			show(c, path, diff);
		} else {
			c->same++;
			if (c->expect_stale)
				show(c, path, "opens");
		}
		close(fd);
	}
}

/* All lines of the file; *count of them. */
static char **lines_read(const char *file, size_t *count)
{
	FILE *in = fopen(file, "re");
	char **lines = NULL;
	char *line = NULL;
	size_t cap = 0;
	size_t room = 0;

	if (!in)
		err(1, "check: %s", file);
	*count = 0;
	while (getline(&line, &cap, in) > 0) {
		if (!strchr(line, '\n'))
			break; /* a writer was killed in the middle */
		if (*count == room) {
			room = room ? 2 * room : 1024;
			lines = realloc(lines, room * sizeof(*lines));
			if (!lines)
				err(1, "check");
		}
		lines[(*count)++] = strdup(line);
	}
	free(line);
	fclose(in);
	return lines;
}

static void shuffle(char **lines, size_t n, uint64_t seed)
{
	uint64_t state = seed * 2 + 1;

	for (size_t i = n; i > 1; i--) {
		size_t j = random_next(&state) % i;
		char *t = lines[i - 1];

		lines[i - 1] = lines[j];
		lines[j] = t;
	}
}

static bool check_good(const struct check *c)
{
	if (c->wrong || c->other || c->again)
		return false;
	if (c->expect_stale)
		return c->stale && !c->same;
	if (c->allow_stale)
		return c->same + c->stale > 0;
	return c->same && !c->stale;
}

/* The options into *c, *sample and *seed; false if there is one that it does not know. */
static bool check_options(int argc, char **argv, struct check *c, size_t *sample, uint64_t *seed)
{
	static const struct option options[] = {
		{ "retry-enomem", required_argument, NULL, 'r' },
		{ "shuffle", required_argument, NULL, 'u' },
		{ "sample", required_argument, NULL, 'n' },
		{ "times", required_argument, NULL, 't' },
		{ "expect-stale", no_argument, NULL, 's' },
		{ "allow-stale", no_argument, NULL, 'a' },
		{ "no-content", no_argument, NULL, 'c' },
		{ "no-btime", no_argument, NULL, 'b' },
		{ "attributes", no_argument, NULL, 'i' },
		{ NULL, 0, NULL, 0 },
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 'r':
			c->retry_enomem = strtod(optarg, NULL);
			break;
		case 'u':
			*seed = strtoull(optarg, NULL, 10);
			break;
		case 'n':
			*sample = strtoul(optarg, NULL, 10);
			break;
		case 't':
			c->times = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 's':
			c->expect_stale = true;
			break;
		case 'a':
			c->allow_stale = true;
			break;
		case 'b':
			c->no_btime = true;
			break;
		case 'c':
			c->no_content = true;
			break;
		case 'i':
			c->attributes = true;
			break;
		default:
			return false;
		}
	}
	return true;
}

static int check(int argc, char **argv)
{
	struct check c = { .times = 1 };
	size_t n;
	size_t sample = 0;
	uint64_t seed = 0;
	double until;
	char **lines;

	if (!check_options(argc, argv, &c, &sample, &seed))
		return 2;
	if (argc - optind != 2)
		errx(2, "check MOUNT FILE");
	c.mount = open(argv[optind], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c.mount < 0)
		err(1, "check: %s", argv[optind]);
	lines = lines_read(argv[optind + 1], &n);
	if (seed)
		shuffle(lines, n, seed);
	until = now() + c.retry_enomem;
	for (size_t i = 0; i < n; i++) {
		struct object o;
		char *path;

		if (sample && sample < n && i * sample / n == (i + 1) * sample / n)
			continue;
		if (!object_parse(lines[i], &o, &path))
			errx(1, "check: line %zu of %s is no object", i + 1, argv[optind + 1]);
		for (unsigned time = 0; time < c.times; time++)
			check_one(&c, &o, path, until);
	}
	printf("same=%lu stale=%lu again=%lu wrong=%lu other=%lu\n", c.same, c.stale, c.again,
	       c.wrong, c.other);
	for (size_t i = 0; i < n; i++)
		free(lines[i]);
	free(lines);
	close(c.mount);
	return check_good(&c) ? 0 : 1;
}

static int get(const char *path)
{
	struct object o;
	int rc = handle_take(AT_FDCWD, path, 0, &o);

	if (rc)
		errx(1, "get: %s: %s", path, strerror(-rc));
	handle_print(stdout, &o);
	putchar('\n');
	return 0;
}

static int open_handle(const char *mount, char *text)
{
	struct object o;
	char buf[4096];
	ssize_t n;
	int dir = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd;

	if (dir < 0)
		err(1, "open: %s", mount);
	if (!handle_parse(text, &o))
		errx(2, "open: no handle: %s", text);
	fd = open_by_handle_at(dir, &o.handle.fh, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && object_stat(fd, "", AT_EMPTY_PATH, &o) == 0) {
		printf("%c %llu\n", o.type, (unsigned long long)o.ino);
		close(fd);
		fd = open_by_handle_at(dir, &o.handle.fh, open_flags_of(o.type));
	}
	if (fd < 0) {
		warn("open");
		return errno == ESTALE ? 11 : errno == ENOMEM ? 12 : 1;
	}
	while (o.type == 'f' && (n = read(fd, buf, sizeof(buf))) > 0)
		fwrite(buf, 1, (size_t)n, stdout);
	close(fd);
	close(dir);
	return 0;
}

int main(int argc, char **argv)
{
	if ((argc == 4 || argc == 5) && !strcmp(argv[1], "take"))
		return take(argv[2], argv[3], argc == 5 ? argv[4] : "1");
	if (argc >= 4 && !strcmp(argv[1], "check"))
		return check(argc - 1, argv + 1);
	if (argc == 3 && !strcmp(argv[1], "get"))
		return get(argv[2]);
	if (argc == 4 && !strcmp(argv[1], "open"))
		return open_handle(argv[2], argv[3]);
	errx(2, "take DIR FILE [N] | check MOUNT FILE [option...] | get PATH | open MOUNT HANDLE");
}
