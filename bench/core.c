/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * core.c - what the core costs beside the bare primitives it is made of, in one run.
 *
 *   core decode DIR FILES   cold decodes of FILES files in DIR/share, state in DIR/state
 *   core first DIR FILES    first lookups of FILES files there, which no map knows, and once more with their rows in the map
 *   core rows DIR ROWS      a map of ROWS rows: bytes a row, time to the first answer, resident memory
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/secret_heap.h"
#include "base/util.h"
#include "export.h"
#include "export/core.h"
#include "shuffle.h"

#define ROUNDS 5

static int fail(const char *what, int error)
{
	fprintf(stderr, "core: %s: %s\n", what, strerror(-error));
	return 1;
}

/* HELPER=1: the sealing key in a process of its own. */
static int open_export(const char *dir, struct export **x, struct worker **w)
{
	static struct keysource key;
	int ret = bench_open(dir, NULL, getenv("HELPER") ? &key : NULL, x, w);

	return !ret && (!*x || !*w) ? -ENOMEM : ret;
}

static uint64_t cpu_ns(clockid_t clock)
{
	struct timespec t = { 0 };

	(void)clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

/* Of this thread: what others do on the machine is no matter. */
static uint64_t thread_ns(void)
{
	return cpu_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* --- cold decodes ---------------------------------------------------------------------------------------------- */

struct target {
	nodeid_t nodeid;
	rowid_t rowid;
	struct identity id;
	char name[32];
};

static int take_targets(struct export *x, struct worker *w, struct target *t, long n)
{
	char path[64];

	for (long i = 0; i < n; i++) {
		struct node *root, *child;
		struct looked looked;
		int fd, ret;

		snprintf(t[i].name, sizeof(t[i].name), "file-%ld", i);
		snprintf(path, sizeof(path), "%s", t[i].name);
		fd = openat(x->root_dir, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		if (fd < 0)
			return -errno;
		fd_close(fd);
		ret = node_get(w, NODEID_ROOT, &root);
		if (!ret)
			ret = entry_look(w, root, t[i].name, -1, &looked, &child);
		if (ret < 0)
			return ret;
		t[i].nodeid = cache_nodeid(child);
		t[i].rowid = cache_rowid(child);
		t[i].id = looked.id;
		node_put(w, child);
		node_put(w, root);
	}
	ring_wake(x->ring);
	return ring_wait_drained(x->ring, ring_tail(x->ring), 20000);
}

static double time_decodes(struct worker *w, const struct target *t, long n)
{
	uint64_t begun = thread_ns();

	for (long i = 0; i < n; i++) {
		struct node *node;

		if (node_get(w, t[i].nodeid, &node) < 0 || node_fd(w, node) < 0)
			return -1;
		node_put(w, node);
	}
	return (double)(thread_ns() - begun) / (double)n;
}

/* openat, name_to_handle_at, statx, close */
static double time_calls(struct export *x, const struct target *t, long n)
{
	struct {
		struct file_handle head;
		char bytes[128];
	} h;
	uint64_t begun = thread_ns();

	for (long i = 0; i < n; i++) {
		int fd = openat(x->root, t[i].name, O_PATH | O_NOFOLLOW | O_CLOEXEC), mount;
		struct statx stx;

		h.head.handle_bytes = 128;
		if (fd < 0 || name_to_handle_at(fd, "", &h.head, &mount, AT_EMPTY_PATH) < 0 ||
		    statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_BASIC_STATS | STATX_BTIME,
			  &stx) < 0)
			return -1;
		fd_close(fd);
	}
	return (double)(thread_ns() - begun) / (double)n;
}

/* One SELECT and one envelope, in a snapshot that is there. */
static double time_rows(struct export *x, struct worker *w, const struct target *t, long n)
{
	uint64_t begun = thread_ns(), position;
	struct row row;

	if (map_reader_snapshot(w->reader, x->ring, 0, true, &position) < 0)
		return -1;
	for (long i = 0; i < n; i++)
		if (map_get(w->reader, t[i].rowid, &row) < 0)
			return -1;
	return (double)(thread_ns() - begun) / (double)n;
}

static int bench_decode(const char *dir, long n)
{
	struct target *t = calloc((size_t)n, sizeof(*t));
	struct export *x = NULL;
	struct worker *w = NULL;
	struct helper *helper;
	int ret = t ? open_export(dir, &x, &w) : -ENOMEM;

	if (!ret)
		ret = take_targets(x, w, t, n);
	if (ret) {
		free(t);
		return fail("decode", ret);
	}
	shuffle(t, (size_t)n, sizeof(*t));
	printf("cold decode of %ld nodeids to O_PATH descriptors, CPU time, ns each\n", n);
	printf("%10s %10s %10s %8s\n", "decode", "calls", "row", "ratio");
	for (int i = 0; i < ROUNDS; i++) {
		double calls = time_calls(x, t, n), row = time_rows(x, w, t, n);
		double decode = time_decodes(w, t, n);

		if (calls < 0 || row < 0 || decode < 0)
			ret = fail("decode", -EIO);
		printf("%10.0f %10.0f %10.0f %8.2f\n", decode, calls, row, decode / (calls + row));
	}
	worker_free(w);
	helper = x->config.helper;
	export_close(x);
	helper_free(helper);
	free(t);
	return ret;
}

/* --- first lookups ------------------------------------------------------------------------------------------------- */

static int make_files(const char *dir, long n)
{
	char path[4096];

	for (long i = 0; i < n; i++) {
		int fd;

		snprintf(path, sizeof(path), "%s/share/file-%ld", dir, i);
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		if (fd < 0)
			return -errno;
		fd_close(fd);
	}
	return 0;
}

/* statx and name_to_handle_at by name: what a look costs at least. CPU time, ns. */
static int time_looks(struct export *x, long n, double *out)
{
	struct {
		struct file_handle head;
		char bytes[128];
	} h;
	uint64_t begun = thread_ns();
	char name[32];

	for (long i = 0; i < n; i++) {
		struct statx stx;
		int mount;

		snprintf(name, sizeof(name), "file-%ld", i);
		h.head.handle_bytes = 128;
		if (name_to_handle_at(x->root, name, &h.head, &mount, 0) < 0 ||
		    statx(x->root, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
			  STATX_BASIC_STATS | STATX_BTIME, &stx) < 0)
			return -errno;
	}
	*out = (double)(thread_ns() - begun) / (double)n;
	return 0;
}

/* Looks all files up, drains, and says what it cost beside what the looks alone do. */
static int time_first(const char *dir, const char *what, long n)
{
	struct export *x = NULL;
	struct worker *w = NULL;
	struct node *root = NULL;
	uint64_t thread, process;
	double looks = 0;
	int ret = open_export(dir, &x, &w);

	if (!ret)
		ret = time_looks(x, n, &looks);
	if (!ret)
		ret = node_get(w, NODEID_ROOT, &root);
	if (ret)
		return ret;
	thread = thread_ns();
	process = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
	for (long i = 0; !ret && i < n; i++) {
		struct entry e;
		char name[32];

		snprintf(name, sizeof(name), "file-%ld", i);
		worker_begin(w, false);
		ret = export_lookup(w, root, name, &e);
		if (!ret)
			export_forget(w, e.nodeid, 1);
	}
	thread = thread_ns() - thread;
	if (!ret)
		ret = ring_wait_drained(x->ring, ring_tail(x->ring), 20000);
	process = cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - process;
	node_put(w, root);
	worker_free(w);
	export_close(x);
	if (!ret)
		printf("%12s %10.0f %10.0f %10.0f %10.0f\n", what, looks,
		       (double)thread / (double)n, (double)(process - thread) / (double)n,
		       (double)process / (double)n);
	return ret;
}

static int bench_first(const char *dir, long n)
{
	char path[4096];
	int ret = make_files(dir, n);

	printf("first lookups of %ld files, CPU time, ns each\n", n);
	printf("%12s %10s %10s %10s %10s\n", "", "looks", "worker", "drainer", "both");
	for (int i = 0; !ret && i < ROUNDS; i++) {
		/* With the key, or the loss of the map would be mended by a scan. */
		const char *const files[] = { KEY_FILE, MAP_FILE, MAP_FILE "-wal", MAP_FILE "-shm",
					      RING_FILE };

		for (size_t k = 0; k < ARRAY_LEN(files); k++) {
			snprintf(path, sizeof(path), "%s/state/%s", dir, files[k]);
			(void)unlink(path);
		}
		ret = time_first(dir, "new", n);
		if (!ret)
			ret = time_first(dir, "row in map", n);
	}
	return ret ? fail("first", ret) : 0;
}

/* --- a map of many rows ------------------------------------------------------------------------------------------- */

static long resident_kb(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	long kb = -1;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmRSS: %ld", &kb) == 1)
			break;
	if (f)
		fclose(f);
	return kb;
}

/* Rows as ext4's would be: inode numbers in order, 8 bytes of handle, names of a dozen bytes. */
static int fill_rows(struct export *x, struct worker *w, long rows)
{
	struct map_writer *writer;
	struct record rec = { .kind = RECORD_SEEN };
	uint64_t said = clock_ns();
	int ret = map_writer_new(w->epoch->map, &writer);

	rec.row.identity = x->root_look.id;
	rec.row.type = 8;
	for (long i = 0; !ret && i < rows; i++) {
		struct minted minted;
		char name[32];

		put_le32(rec.row.identity.handle, (uint32_t)(i + 100000));
		put_le32(rec.row.identity.handle + 4, (uint32_t)(i * 2654435761U) | 1);
		rec.row.ino = (uint64_t)i + 100000;
		snprintf(name, sizeof(name), "file-%07ld", i);
		ret = mint_identity(w->mint, &rec.row.identity, rec.row.ino, 0, &minted);
		if (!ret)
			ret = name_set(&rec.row.name, ROWID_ROOT, name);
		if (!ret && i % 1024 == 0)
			ret = map_begin(writer);
		rec.rowid = minted.rowid;
		if (!ret)
			ret = map_apply(writer, &rec);
		if (ret == -EEXIST) /* a clash of these made-up objects: no matter here */
			ret = 0;
		if (ret >= 0 && (i % 1024 == 1023 || i == rows - 1)) {
			ret = map_commit(writer, ring_drained(x->ring));
			if (!ret)
				ret = map_checkpoint(writer);
		}
		ret = ret > 0 ? 0 : ret;
		if (clock_ns() - said > 2000000000ULL) {
			fprintf(stderr, "core: %ld of %ld rows\n", i, rows);
			said = clock_ns();
		}
	}
	map_writer_free(writer);
	return ret;
}

/* Opens the export and looks one name up: how long it takes. */
static int first_answer(const char *dir, double *ms, long *kb)
{
	uint64_t begun = clock_ns();
	struct export *x = NULL;
	struct worker *w = NULL;
	struct node *root, *child;
	struct looked looked;
	int ret = open_export(dir, &x, &w);

	if (!ret)
		ret = node_get(w, NODEID_ROOT, &root);
	if (!ret)
		ret = entry_look(w, root, "one", -1, &looked, &child);
	if (ret)
		return ret;
	*ms = (double)(clock_ns() - begun) / 1e6;
	node_put(w, child);
	node_put(w, root);

	/* Some thousand probes all over the map, so that the memory is what it comes to. */
	for (uint64_t i = 1; i < 20000; i++) {
		struct row row;
		uint64_t position;

		if (map_reader_snapshot(w->reader, x->ring, 100, false, &position) < 0)
			break;
		map_get(w->reader, (rowid_t){ i * 0x9e3779b97f4a7c15ULL }, &row);
	}
	*kb = resident_kb();
	worker_free(w);
	export_close(x);
	return 0;
}

static int bench_rows(const char *dir, long rows)
{
	char path[4096];
	struct export *x = NULL;
	struct worker *w = NULL;
	struct stat st;
	double empty, full;
	long kb_empty, kb_full;
	int ret, fd;

	snprintf(path, sizeof(path), "%s/share/one", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	fd_close(fd);
	ret = open_export(dir, &x, &w); /* the first run makes the key */
	if (ret)
		return fail("rows", ret);
	worker_free(w);
	export_close(x);
	ret = first_answer(dir, &empty, &kb_empty);
	if (!ret)
		ret = open_export(dir, &x, &w);
	if (!ret)
		ret = fill_rows(x, w, rows);
	if (ret)
		return fail("rows", ret);
	worker_free(w);
	export_close(x);
	ret = first_answer(dir, &full, &kb_full);
	if (ret)
		return fail("rows", ret);
	snprintf(path, sizeof(path), "%s/state/%s", dir, MAP_FILE);
	if (stat(path, &st) < 0)
		return fail(path, -errno);
	printf("%ld rows: %.1f bytes a row; first answer after %.1f ms, with none %.1f ms; "
	       "resident %ld KiB, "
	       "with none %ld KiB\n",
	       rows, (double)st.st_size / (double)rows, full, empty, kb_full, kb_empty);
	return 0;
}

int main(int argc, char **argv)
{
	if (secret_heap_init())
		return fail("memory", -EBUSY);
	log_init(LOG_LEVEL_WARN, false);
	if (argc == 4 && strcmp(argv[1], "decode") == 0)
		return bench_decode(argv[2], atol(argv[3]));
	if (argc == 4 && strcmp(argv[1], "rows") == 0)
		return bench_rows(argv[2], atol(argv[3]));
	if (argc == 4 && strcmp(argv[1], "first") == 0)
		return bench_first(argv[2], atol(argv[3]));
	fprintf(stderr,
		"core: usage: core decode DIR FILES | core first DIR FILES | core rows DIR ROWS\n");
	return 2;
}
