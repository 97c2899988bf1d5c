/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * storm - creates, writes, appends, truncates, changes modes, renames, links and removes at random, against a model in memory.
 *
 *   storm run DIR SEED STEPS [SECONDS [CRASHES]]
 *                                         makes DIR and works in it alone: every call must succeed, everything that is
 *                                         read must be what the model has; for SECONDS, if given, however many steps.
 *                                         A call that was done when the server crashed and not answered is done again:
 *                                         so many may find the name there, or gone, already
 *   storm home DIR SEED STEPS [...]       the same, but what is no directory stays in the one it was made in, by all its names
 *   storm share DIR SEED STEPS            works in DIR together with others, so that names may come and go: a call may find
 *                                         a name missing or taken, nothing else
 *   storm list DIR                        "PATH TYPE MODE LINKS SIZE HASH" of everything in DIR, to be sorted and compared
 *
 * Exits with 1 at the first difference and shows the last steps.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NAMES_MAX 150
#define DATA_MAX 20000
#define KEPT 16
#define DEPTH_MAX 8
#define LATE_TRIES 100 /* ten seconds */
#define PATH_ROOM 4096

enum type { TYPE_FILE, TYPE_DIR, TYPE_LINK };

struct object {
	enum type type;
	mode_t mode;
	unsigned links;
	size_t len;
	uint8_t *data; /* of a file: DATA_MAX bytes; of a symlink: its target */
};

struct name {
	struct object *object; /* NULL: not used */
	int parent;	       /* -1: the top */
	char name[24];
};

static struct name names[NAMES_MAX];
static const char *top;
static uint64_t random_state;
static unsigned step, serial;
static char kept[KEPT][160];
static bool shared, home;
static unsigned crashes;
static unsigned late;

static uint32_t rnd(uint32_t below)
{
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(random_state >> 33) % below;
}

__attribute__((format(printf, 1, 2))) static void note(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(kept[step % KEPT], sizeof(kept[0]), format, ap);
	va_end(ap);
}

__attribute__((noreturn, format(printf, 1, 2))) static void differs(const char *format, ...)
{
	va_list ap;

	printf("storm: step %u: ", step);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	printf(" (errno: %s); the last steps:\n", strerror(errno));
	for (unsigned i = step < KEPT ? 0 : step - KEPT + 1; i <= step; i++)
		printf("  %u: %s\n", i, kept[i % KEPT]);
	exit(1);
}

/* Did it work, or was it done before by itself, by what `error` says? */
static bool done(int rc, int error)
{
	if (rc >= 0)
		return true;
	if (errno != error || !crashes)
		return false;
	crashes--;
	printf("storm: step %u was done twice: %s\n", step, kept[step % KEPT]);
	return true;
}

static void path_of(char path[PATH_ROOM], int n)
{
	int chain[DEPTH_MAX + 2];
	int depth = 0;
	size_t len = (size_t)snprintf(path, PATH_ROOM, "%s", top);

	for (; n >= 0 && depth < DEPTH_MAX + 2; n = names[n].parent)
		chain[depth++] = n;
	while (depth-- && len < PATH_ROOM)
		len += (size_t)snprintf(path + len, PATH_ROOM - len, "/%s",
					names[chain[depth]].name);
}

static int depth_of(int n)
{
	int depth = 0;

	for (; n >= 0; n = names[n].parent)
		depth++;
	return depth;
}

static bool is_below(int n, int above)
{
	for (; n >= 0; n = names[n].parent)
		if (n == above)
			return true;
	return false;
}

static bool is_empty(int dir)
{
	for (int n = 0; n < NAMES_MAX; n++)
		if (names[n].object && names[n].parent == dir)
			return false;
	return true;
}

/* A used name of this type, or -1. */
static int pick(enum type type)
{
	int begin = (int)rnd(NAMES_MAX);

	for (int i = 0; i < NAMES_MAX; i++) {
		int n = (begin + i) % NAMES_MAX;

		if (names[n].object && names[n].object->type == type)
			return n;
	}
	return -1;
}

static int pick_dir(void)
{
	int n = rnd(4) ? pick(TYPE_DIR) : -1;

	return depth_of(n) < DEPTH_MAX ? n : -1;
}

static int slot_free(void)
{
	for (int n = 0; n < NAMES_MAX; n++)
		if (!names[n].object)
			return n;
	return -1;
}

static int name_new(struct object *object)
{
	int n = slot_free();

	if (n < 0)
		return -1;
	names[n].parent = pick_dir();
	snprintf(names[n].name, sizeof(names[n].name), "%c%u", "fdl"[object->type], serial++);
	names[n].object = object;
	object->links++;
	return n;
}

static void name_drop(int n)
{
	struct object *o = names[n].object;

	names[n].object = NULL;
	if (!--o->links) {
		free(o->data);
		free(o);
	}
}

static struct object *object_new(enum type type, mode_t mode)
{
	struct object *o = calloc(1, sizeof(*o));

	if (!o || !(o->data = calloc(1, DATA_MAX + 1)))
		err(1, "storm");
	o->type = type;
	o->mode = mode;
	return o;
}

/* ---- steps: each changes the file system, then the model ------------------------------------------------- */

static void do_create(enum type type)
{
	static const mode_t modes[] = { 0644, 0600, 0755, 0700, 0666 };
	struct object *o;
	char path[PATH_ROOM];
	int n;
	int fd;

	if (slot_free() < 0)
		return;
	o = object_new(type, modes[rnd(5)]);
	n = name_new(o);
	path_of(path, n);
	note("create %s", path);
	if (type == TYPE_DIR) {
		o->mode |= 0700;
		if (!done(mkdir(path, o->mode), EEXIST))
			differs("mkdir %s", path);
	} else if (type == TYPE_LINK) {
		o->len = (size_t)snprintf((char *)o->data, 64, "../target/%u", rnd(1000));
		o->mode = 0777;
		if (!done(symlink((const char *)o->data, path), EEXIST))
			differs("symlink %s", path);
	} else {
		o->mode |= 0600;
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, o->mode);
		if (!done(fd, EEXIST) || (fd < 0 ? chmod(path, o->mode) : close(fd)))
			differs("create %s", path);
	}
}

static void do_write(bool append)
{
	int n = pick(TYPE_FILE);
	struct object *o;
	char path[PATH_ROOM];
	size_t at;
	size_t len;
	int fd;

	if (n < 0)
		return;
	o = names[n].object;
	at = append ? o->len : rnd((uint32_t)o->len + 1);
	len = 1 + rnd(3000);
	if (at + len > DATA_MAX)
		return;
	path_of(path, n);
	note("write %s at %zu, %zu bytes", path, at, len);
	for (size_t i = 0; i < len; i++)
		o->data[at + i] = (uint8_t)('a' + rnd(26));
	if (at + len > o->len)
		o->len = at + len;
	fd = open(path, O_WRONLY | O_CLOEXEC | (append ? O_APPEND : 0));
	if (fd < 0 ||
	    (append ? write(fd, o->data + at, len) : pwrite(fd, o->data + at, len, (off_t)at)) !=
		    (ssize_t)len ||
	    close(fd))
		differs("write %s", path);
}

static void do_truncate(void)
{
	int n = pick(TYPE_FILE);
	struct object *o;
	char path[PATH_ROOM];
	size_t to;

	if (n < 0)
		return;
	o = names[n].object;
	to = rnd(2) ? rnd((uint32_t)o->len + 1) : rnd(DATA_MAX);
	path_of(path, n);
	note("truncate %s to %zu", path, to);
	if (to < o->len)
		memset(o->data + to, 0, o->len - to);
	o->len = to;
	if (truncate(path, (off_t)to))
		differs("truncate %s", path);
}

static void do_chmod(void)
{
	int n = pick(rnd(3) ? TYPE_FILE : TYPE_DIR);
	char path[PATH_ROOM];

	if (n < 0)
		return;
	path_of(path, n);
	names[n].object->mode = 0600 | (rnd(2) ? 0100 : 0) | rnd(0100);
	if (names[n].object->type == TYPE_DIR)
		names[n].object->mode |= 0700;
	note("chmod %s %o", path, (unsigned)names[n].object->mode);
	if (chmod(path, names[n].object->mode))
		differs("chmod %s", path);
}

static void do_link(void)
{
	int n = pick(TYPE_FILE);
	char from[PATH_ROOM];
	char to[PATH_ROOM];
	int added;

	if (n < 0)
		return;
	path_of(from, n);
	added = name_new(names[n].object);
	if (added < 0)
		return;
	if (home)
		names[added].parent = names[n].parent;
	path_of(to, added);
	note("link %s %s", from, to);
	if (!done(link(from, to), EEXIST))
		differs("link %s %s", from, to);
}

/* To a new name, or over another file. */
static void do_rename(void)
{
	int n = pick((enum type)rnd(3));
	int over = rnd(3) ? -1 : pick(TYPE_FILE);
	int parent = pick_dir();
	char from[PATH_ROOM];
	char to[PATH_ROOM];

	if (n < 0)
		return;
	if (over >= 0 &&
	    (names[n].object->type == TYPE_DIR || names[over].object == names[n].object ||
	     (home && names[over].parent != names[n].parent)))
		over = -1;
	if (home && names[n].object->type != TYPE_DIR)
		parent = names[n].parent;
	if (over < 0 && (is_below(parent, n) || names[n].object->type == TYPE_DIR) && parent != -1)
		parent = -1; /* directories move to the top, so that the tree stays flat */
	path_of(from, n);
	if (over >= 0) {
		path_of(to, over);
		note("rename %s over %s", from, to);
		if (!done(rename(from, to), ENOENT))
			differs("rename %s %s", from, to);
		names[n].parent = names[over].parent;
		memcpy(names[n].name, names[over].name, sizeof(names[n].name));
		name_drop(over);
		return;
	}
	names[n].parent = parent;
	snprintf(names[n].name, sizeof(names[n].name), "r%u", serial++);
	path_of(to, n);
	note("rename %s %s", from, to);
	if (!done(rename(from, to), ENOENT))
		differs("rename %s %s", from, to);
}

static void do_remove(void)
{
	int n = pick((enum type)rnd(3));
	char path[PATH_ROOM];

	if (n < 0 || (names[n].object->type == TYPE_DIR && !is_empty(n)))
		return;
	path_of(path, n);
	note("remove %s", path);
	if (!done(names[n].object->type == TYPE_DIR ? rmdir(path) : unlink(path), ENOENT))
		differs("remove %s", path);
	name_drop(n);
}

/*
 * Linux's NFSv3 client keeps the number of links of a file for some seconds after another of its names was replaced or removed
 * under it: seen with a local ext4 exported, too. What is right in the end is right, and counted.
 */
static bool links_late(const char *path, unsigned links, struct stat *st)
{
	const struct timespec moment = { .tv_nsec = 100000000 };

	for (unsigned i = 0; i < LATE_TRIES && st->st_nlink != links; i++) {
		nanosleep(&moment, NULL);
		if (lstat(path, st))
			return false;
	}
	late++;
	return st->st_nlink == links;
}

static void check(int n)
{
	static uint8_t got[DATA_MAX + 1];
	const struct object *o = names[n].object;
	char path[PATH_ROOM];
	struct stat st;
	ssize_t len;
	int fd;

	path_of(path, n);
	note("check %s", path);
	if (lstat(path, &st))
		differs("stat %s", path);
	errno = 0;
	if ((st.st_mode & 07777) != o->mode ||
	    (o->type != TYPE_DIR && st.st_nlink != o->links && !links_late(path, o->links, &st)))
		differs("%s has mode %o, %lu links, not %o, %u", path, st.st_mode & 07777,
			(unsigned long)st.st_nlink, (unsigned)o->mode, o->links);
	if (o->type == TYPE_DIR)
		return;
	if ((size_t)st.st_size != o->len)
		differs("%s has %ld bytes, not %zu", path, (long)st.st_size, o->len);
	if (o->type == TYPE_LINK) {
		len = readlink(path, (char *)got, DATA_MAX);
	} else {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		len = fd < 0 ? -1 : read(fd, got, DATA_MAX + 1);
		if (fd >= 0)
			close(fd);
	}
	if (len != (ssize_t)o->len || memcmp(got, o->data, o->len) != 0)
		differs("%s: its content, %zd bytes, is not what was written", path, len);
}

static void step_own(void)
{
	int n;

	switch (rnd(16)) {
	case 0:
	case 1:
	case 2:
		do_create(TYPE_FILE);
		break;
	case 3:
		do_create(TYPE_DIR);
		break;
	case 4:
		do_create(TYPE_LINK);
		break;
	case 5:
	case 6:
		do_write(true);
		break;
	case 7:
		do_write(false);
		break;
	case 8:
		do_truncate();
		break;
	case 9:
		do_chmod();
		break;
	case 10:
		do_link();
		break;
	case 11:
	case 12:
		do_rename();
		break;
	case 13:
		do_remove();
		break;
	default:
		n = pick((enum type)rnd(3));
		if (n >= 0)
			check(n);
	}
}

/* ---- together with others -------------------------------------------------------------------------------- */

/* What a name that somebody else has changed meanwhile may make of a call. (ELOOP: a symlink.) */
static void expect_race(int rc, const char *what, const char *path)
{
	static const int races[] = { ENOENT, EEXIST, ENOTEMPTY, EISDIR, ENOTDIR,
				     ESTALE, EINVAL, EBUSY,	EPERM,	ELOOP };

	if (rc >= 0)
		return;
	for (size_t i = 0; i < sizeof(races) / sizeof(races[0]); i++)
		if (errno == races[i])
			return;
	differs("%s %s", what, path);
}

static void shared_path(char path[PATH_ROOM])
{
	if (rnd(3))
		snprintf(path, PATH_ROOM, "%s/s%u", top, rnd(12));
	else
		snprintf(path, PATH_ROOM, "%s/s%u/s%u", top, rnd(12), rnd(12));
}

/*
 * A new file, or one more write to what is there. With O_CREAT alone Linux 6.1's NFSv3 client asks for a file under any name; where
 * another client has just made a directory of that name, its kernel oopses (path_openat() of a dentry without an inode).
 */
static int open_shared(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
	return fd;
}

static void step_shared(void)
{
	char path[PATH_ROOM];
	char other[PATH_ROOM];
	int fd;

	shared_path(path);
	shared_path(other);
	note("shared %s %s", path, other);
	switch (rnd(8)) {
	case 0:
		expect_race(mkdir(path, 0755), "mkdir", path);
		break;
	case 1:
		expect_race(rename(path, other), "rename", path);
		break;
	case 2:
		expect_race(link(path, other), "link", path);
		break;
	case 3:
		expect_race(rnd(2) ? unlink(path) : rmdir(path), "remove", path);
		break;
	case 4:
		expect_race(symlink("nowhere", path), "symlink", path);
		break;
	case 5:
		expect_race(chmod(path, 0700 | rnd(0100)), "chmod", path);
		break;
	default:
		fd = open_shared(path);
		expect_race(fd, "open", path);
		if (fd >= 0) {
			expect_race((int)write(fd, path, 10), "write", path);
			close(fd);
		}
	}
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int run(unsigned steps, double seconds)
{
	double until = now() + seconds;
	unsigned objects = 0;

	umask(0);
	if (mkdir(top, 0755) && !(shared && errno == EEXIST))
		err(1, "%s", top);
	for (step = 0; seconds > 0 ? now() < until : step < steps; step++) {
		if (shared)
			step_shared();
		else
			step_own();
	}
	for (int n = 0; n < NAMES_MAX; n++) {
		if (names[n].object) {
			check(n);
			objects++;
		}
	}
	printf("storm: %u steps, %u objects at the end%s; %u numbers of links that came late\n",
	       step, objects, shared ? "" : ", all as they should be", late);
	return 0;
}

/* ---- the list --------------------------------------------------------------------------------------------- */

static int list_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	static char data[1 << 16];
	uint64_t hash = 14695981039346656037ULL;
	ssize_t n = 0;
	int fd;

	(void)ftw;
	if (type == FTW_NS || type == FTW_DNR)
		err(1, "list %s", path);
	if (S_ISLNK(st->st_mode)) {
		n = readlink(path, data, sizeof(data));
	} else if (S_ISREG(st->st_mode)) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		n = fd < 0 ? -1 : read(fd, data, sizeof(data));
		if (fd >= 0)
			close(fd);
	}
	if (n < 0)
		err(1, "list %s", path);
	for (ssize_t i = 0; i < n; i++)
		hash = (hash ^ (uint8_t)data[i]) * 1099511628211ULL;
	printf(".%s %o %lu %ld %016lx\n", path + strlen(top), st->st_mode,
	       S_ISDIR(st->st_mode) ? 0UL : (unsigned long)st->st_nlink,
	       S_ISDIR(st->st_mode) ? 0L : (long)st->st_size, (unsigned long)hash);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		errx(2, "run|home|share DIR SEED STEPS | list DIR");
	top = argv[2];
	if (!strcmp(argv[1], "list"))
		return nftw(top, list_one, 32, FTW_PHYS) ? 1 : 0;
	if (argc < 5)
		errx(2, "run|home|share DIR SEED STEPS");
	crashes = argc > 6 ? (unsigned)strtoul(argv[6], NULL, 10) : 0;
	shared = !strcmp(argv[1], "share");
	home = !strcmp(argv[1], "home");
	random_state = strtoull(argv[3], NULL, 10) * 7919 + 17;
	return run((unsigned)strtoul(argv[4], NULL, 10), argc > 5 ? strtod(argv[5], NULL) : 0);
}
