/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * backup DIR CATALOGUE STORE - an incremental backup that knows files by their handles, run after run.
 *
 * The catalogue has a line for each file: handle, size, modification time, path. A run walks DIR for handles and paths,
 * then takes each file that it knows by its handle alone: unchanged, changed (its content goes to STORE again) or moved (content
 * stays, another path); a handle that the walk did not meet must be stale, else the tool has been told two things. The content of a
 * file is STORE/<handle>. Prints "same=N changed=N moved=N new=N gone=N" and exits with 0, or says what is wrong.
 */
#include <ftw.h>

#include "handle.h"

struct entry {
	char handle[2 * MAX_HANDLE_SZ + 16];
	char *path;
	long long size;
	long long mtime_sec;
	long mtime_nsec;
	bool met; /* by the walk of this run, or by the catalogue of the last */
};

struct list {
	struct entry *at;
	size_t n, room;
};

static struct list known, found;
static size_t prefix;

static struct entry *list_add(struct list *list)
{
	if (list->n == list->room) {
		list->room = list->room ? 2 * list->room : 256;
		list->at = realloc(list->at, list->room * sizeof(*list->at));
		if (!list->at)
			err(1, "backup");
	}
	memset(&list->at[list->n], 0, sizeof(*list->at));
	return &list->at[list->n++];
}

static int by_handle(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->handle, ((const struct entry *)b)->handle);
}

static struct entry *list_find(const struct list *list, const struct entry *like)
{
	return list->n ? bsearch(like, list->at, list->n, sizeof(*list->at), by_handle) : NULL;
}

static int walk_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	struct entry *e;
	struct object o;
	FILE *text;
	int rc;

	(void)ftw;
	if (flag != FTW_F || !S_ISREG(st->st_mode))
		return 0;
	rc = handle_take(AT_FDCWD, path, 0, &o);
	if (rc)
		errx(1, "backup: handle of %s: %s", path, strerror(-rc));
	e = list_add(&found);
	text = fmemopen(e->handle, sizeof(e->handle), "w");
	handle_print(text, &o);
	fclose(text);
	e->path = strdup(path + prefix);
	return 0;
}

static void catalogue_read(const char *file)
{
	FILE *in = fopen(file, "re");
	struct entry e = { 0 };
	char path[PATH_MAX];

	if (!in)
		return; /* the first run */
	while (fscanf(in, "%159s %lld %lld %ld %4095[^\n]", e.handle, &e.size, &e.mtime_sec,
		      &e.mtime_nsec, path) == 5) {
		e.path = strdup(path);
		*list_add(&known) = e;
	}
	fclose(in);
}

static void catalogue_write(const char *file)
{
	FILE *out = fopen(file, "we");

	if (!out)
		err(1, "backup: %s", file);
	for (size_t i = 0; i < found.n; i++) {
		const struct entry *e = &found.at[i];

		fprintf(out, "%s %lld %lld %ld %s\n", e->handle, e->size, e->mtime_sec,
			e->mtime_nsec, e->path);
	}
	if (fflush(out) || fsync(fileno(out)) || fclose(out))
		err(1, "backup: %s", file);
}

/* By the handle alone; -1 with errno. */
static int entry_open(int mount, const struct entry *e)
{
	char text[sizeof(e->handle)];
	struct object o;

	memcpy(text, e->handle, sizeof(text));
	if (!handle_parse(text, &o))
		errx(1, "backup: no handle: %s", e->handle);
	return open_by_handle_at(mount, &o.handle.fh, O_RDONLY | O_CLOEXEC);
}

static void content_store(int store, const struct entry *e, int fd)
{
	char buf[65536];
	ssize_t n;
	int out = openat(store, e->handle, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (out < 0)
		err(1, "backup: store %s", e->path);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (write(out, buf, (size_t)n) != n)
			err(1, "backup: store %s", e->path);
	if (n < 0)
		err(1, "backup: read %s", e->path);
	close(out);
}

/* One file that is there: has its content to be stored? What it is like now goes to *e. */
static bool entry_changed(struct entry *e, int fd, const struct entry *before)
{
	struct stat st;

	if (fstat(fd, &st))
		err(1, "backup: fstat %s", e->path);
	e->size = st.st_size;
	e->mtime_sec = st.st_mtim.tv_sec;
	e->mtime_nsec = st.st_mtim.tv_nsec;
	return !before || before->size != e->size || before->mtime_sec != e->mtime_sec ||
	       before->mtime_nsec != e->mtime_nsec;
}

int main(int argc, char **argv)
{
	unsigned long same = 0, changed = 0, moved = 0, fresh = 0, gone = 0;
	int mount;
	int store;

	if (argc != 4)
		errx(2, "backup DIR CATALOGUE STORE");
	mount = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	store = open(argv[3], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mount < 0 || store < 0)
		err(1, "backup: %s", mount < 0 ? argv[1] : argv[3]);
	prefix = strlen(argv[1]) + 1;
	catalogue_read(argv[2]);
	if (nftw(argv[1], walk_one, 64, FTW_PHYS))
		err(1, "backup: walk of %s", argv[1]);
	qsort(found.at, found.n, sizeof(*found.at), by_handle);
	qsort(known.at, known.n, sizeof(*known.at), by_handle);
	for (size_t i = 0; i < found.n; i++) {
		struct entry *e = &found.at[i];
		struct entry *before = list_find(&known, e);
		int fd = entry_open(mount, before ? before : e);

		if (fd < 0)
			err(1, "backup: %s by its handle", e->path);
		if (entry_changed(e, fd, before)) {
			content_store(store, e, fd);
			*(before ? &changed : &fresh) += 1;
		} else {
			*(strcmp(before->path, e->path) ? &moved : &same) += 1;
		}
		if (before)
			before->met = true;
		close(fd);
	}
	for (size_t i = 0; i < known.n; i++) {
		if (known.at[i].met)
			continue;
		if (entry_open(mount, &known.at[i]) >= 0 || errno != ESTALE)
			errx(1, "backup: %s was not met, but its handle opens", known.at[i].path);
		unlinkat(store, known.at[i].handle, 0);
		gone++;
	}
	catalogue_write(argv[2]);
	printf("same=%lu changed=%lu moved=%lu new=%lu gone=%lu\n", same, changed, moved, fresh,
	       gone);
	return 0;
}
