/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * keys.c - what forgeries, storms and a rotation cost. The export is opened in this process, as a daemon would.
 *
 *   keys forged DIR FILES               cold decodes of FILES files in DIR/share beside as many forged nodeids
 *   keys storm DIR ENTRIES MOVED        a directory of ENTRIES, MOVED of which were renamed while no daemon ran, all decoded
 *                                       at once: what the cap on reconnects leaves to others
 *   keys meanwhile DIR FILES COMMAND... COMMAND is run (a rotation); decodes while it and the sealing anew that it causes
 *                                       go on, beside those of a quiet time
 *
 * State in DIR/state, the ring there too, or in the directory that RUN names in the environment. Times are of the wall: what waits counts.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/secret_heap.h"
#include "base/util.h"
#include "export.h"
#include "export/core.h"
#include "shuffle.h"

#define NS 1000000000ULL
#define QUIET_NS (3 * NS)
#define STORM_NS (3 * NS)
#define SAMPLES 4000000

struct opened {
	struct export *x;
	struct worker *w;
};

static int fail(const char *what, int error)
{
	fprintf(stderr, "keys: %s: %s\n", what, strerror(-error));
	return 1;
}

static int open_export(const char *dir, struct opened *o)
{
	return bench_open(dir, getenv("RUN"), NULL, &o->x, &o->w);
}

static void close_export(struct opened *o)
{
	worker_free(o->w);
	export_close(o->x);
}

/* --- times -------------------------------------------------------------------------------------- */

struct samples {
	uint32_t *ns; /* SAMPLES; longer than four seconds counts as that */
	size_t n;
	uint64_t sum;
};

static int samples_new(struct samples *s)
{
	*s = (struct samples){ .ns = malloc(SAMPLES * sizeof(*s->ns)) };
	return s->ns ? 0 : -ENOMEM;
}

static void samples_add(struct samples *s, uint64_t ns)
{
	if (s->n == SAMPLES)
		return;
	s->ns[s->n++] = ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
	s->sum += ns;
}

static int compare(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* And begins anew. */
static void samples_say(struct samples *s, const char *what)
{
	if (s->n) {
		qsort(s->ns, s->n, sizeof(*s->ns), compare);
		printf("%-26s %9zu decodes  mean %8.1f us  p50 %8.1f  p99 %8.1f  max %10.1f\n",
		       what, s->n, (double)s->sum / (double)s->n / 1e3, s->ns[s->n / 2] / 1e3,
		       s->ns[s->n * 99 / 100] / 1e3, s->ns[s->n - 1] / 1e3);
	} else {
		printf("%-26s none\n", what);
	}
	fflush(stdout);
	s->n = 0;
	s->sum = 0;
}

/* --- objects ------------------------------------------------------------------------------------ */

/* Files or directories DIR/PREFIXn of the share, made and looked up: their nodeids. */
static int take(struct opened *o, const char *dir, const char *prefix, bool dirs, long n,
		nodeid_t *out)
{
	struct node *parent = NULL, *root = NULL;
	struct entry e;
	char path[128];
	int ret = node_get(o->w, NODEID_ROOT, &root);

	if (ret)
		return ret;
	if (mkdirat(o->x->root_dir, dir, 0755) && errno != EEXIST)
		return errno_neg();
	ret = export_lookup(o->w, root, dir, &e);
	if (!ret)
		ret = node_get(o->w, e.nodeid, &parent);
	for (long i = 0; !ret && i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s%ld", dir, prefix, i);
		if (dirs ? mkdirat(o->x->root_dir, path, 0755) && errno != EEXIST
			 : mknodat(o->x->root_dir, path, S_IFREG | 0644, 0) && errno != EEXIST)
			return errno_neg();
		ret = export_lookup(o->w, parent, strrchr(path, '/') + 1, &e);
		if (!ret) {
			out[i] = e.nodeid;
			export_forget(o->w, e.nodeid, 1);
		}
		/* The ring is not to be filled faster than it is drained. */
		if (!ret && i % 4096 == 4095)
			ret = ring_wait_drained(o->x->ring, ring_tail(o->x->ring), 60000);
	}
	node_put(o->w, parent);
	node_put(o->w, root);
	ring_wake(o->x->ring);
	return ret ? ret : ring_wait_drained(o->x->ring, ring_tail(o->x->ring), 60000);
}

/* As the kernel decodes a handle. */
static int decode(struct opened *o, nodeid_t id, uint64_t *ns)
{
	uint64_t begun = clock_ns();
	struct entry e;
	int ret;

	worker_begin(o->w, false); /* nothing waits for a scan: another thread would */
	ret = export_lookup_self(o->w, id, &e);
	if (ret == 0)
		export_forget(o->w, id, 1);
	*ns = clock_ns() - begun;
	return ret;
}

/* --- forged ------------------------------------------------------------------------------------- */

static int bench_forged(struct opened *o, long n, nodeid_t *t, struct samples *s)
{
	int ret = take(o, "forged", "f", false, n, t);
	uint64_t ns;

	if (ret)
		return ret;
	shuffle(t, (size_t)n, sizeof(*t));
	for (int round = 0; round < 3; round++) {
		for (long i = 0; i < n; i++) {
			ret = decode(o, t[i], &ns);
			if (ret)
				return ret;
			samples_add(s, ns);
		}
		samples_say(s, "honest, cold");
		for (long i = 0; i < n; i++) {
			nodeid_t id = t[i];

			id.v ^= 1ULL << (i % 64);
			ret = decode(o, id, &ns);
			if (ret != -ESTALE)
				return ret ? ret : -EEXIST;
			samples_add(s, ns);
		}
		samples_say(s, "forged, one bit turned");
		for (long i = 0; i < n; i++) {
			nodeid_t id;

			if (getrandom(&id, sizeof(id), 0) != sizeof(id))
				return -EIO;
			ret = decode(o, id, &ns);
			if (ret != -ESTALE)
				return ret ? ret : -EEXIST;
			samples_add(s, ns);
		}
		samples_say(s, "forged, random");
	}
	return 0;
}

/* --- a storm ------------------------------------------------------------------------------------ */

static int storm_run(struct opened *o, nodeid_t *t, long n, const long moved, struct samples *s)
{
	long left = moved;
	struct samples again, found, stale;
	uint64_t begun, now, ns;
	int ret = samples_new(&again);

	if (!ret)
		ret = samples_new(&found);
	if (!ret)
		ret = samples_new(&stale);
	begun = now = clock_ns();
	for (long i = 0; !ret && left && now - begun < STORM_NS; i++) {
		/* One in turn of the moved that are not yet found, and one of the others, whose user must not suffer. */
		const long at = i % left;
		int got = decode(o, t[at], &ns);

		samples_add(got == 0 ? &found : got == -ESTALE ? &stale : &again, ns);
		if (got == 0)
			t[at] = t[--left];
		ret = decode(o, t[moved + i % (n - moved)], &ns);
		samples_add(s, ns);
		now = clock_ns();
	}
	if (!ret) {
		printf("%ld of %ld found again in %.1f s\n", moved - left, moved,
		       (double)(now - begun) / 1e9);
		samples_say(&found, "moved: opened by handle");
		samples_say(&again, "moved: try again");
		samples_say(&stale, "moved: stale");
		samples_say(s, "not moved, meanwhile");
	}
	free(again.ns);
	free(found.ns);
	free(stale.ns);
	return ret;
}

static int bench_storm(struct opened *o, const char *dir, long n, long moved, nodeid_t *t,
		       struct samples *s)
{
	char from[64], to[64];
	uint64_t ns;
	int ret;

	if (moved < 1 || moved >= n)
		return -EINVAL;
	ret = take(o, "storm", "d", true, n, t);
	for (long i = moved; !ret && i < n; i++) {
		ret = decode(o, t[i], &ns);
		samples_add(s, ns);
	}
	if (ret)
		return ret;
	samples_say(s, "not moved, before");
	close_export(o);
	ret = open(dir, O_PATH | O_CLOEXEC);
	for (long i = 0; i < moved; i++) {
		snprintf(from, sizeof(from), "share/storm/d%ld", i);
		snprintf(to, sizeof(to), "share/storm/moved%ld", i);
		if (renameat(ret, from, ret, to))
			return errno_neg();
	}
	fd_close(ret);
	ret = open_export(dir, o);
	return ret ? ret : storm_run(o, t, n, moved, s);
}

/* --- while a rotation goes on --------------------------------------------------------------------- */

static int decodes_until(struct opened *o, const nodeid_t *t, long n, struct samples *s,
			 uint64_t until, pid_t child)
{
	struct export_stats stats = { .resealing = true };
	int status = 0;

	for (long i = 0; until ? clock_ns() < until : child || stats.resealing; i++) {
		uint64_t ns;
		int ret = decode(o, t[i % n], &ns);

		if (ret)
			return ret;
		samples_add(s, ns);
		if (until || i % 1024)
			continue;
		if (child && waitpid(child, &status, WNOHANG) == child)
			child = 0;
		export_stats(o->x, &stats);
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ECHILD;
}

static int bench_meanwhile(struct opened *o, long n, char **command, nodeid_t *t, struct samples *s)
{
	struct export_stats before, after;
	uint64_t begun;
	pid_t child;
	int ret = take(o, "meanwhile", "f", false, n, t);

	if (ret)
		return ret;
	shuffle(t, (size_t)n, sizeof(*t));
	ret = decodes_until(o, t, n, s, clock_ns() + QUIET_NS, 0);
	if (ret)
		return ret;
	samples_say(s, "quiet");
	export_stats(o->x, &before);
	begun = clock_ns();
	child = fork();
	if (child == 0) {
		(void)execv(command[0], command);
		_exit(127);
	}
	ret = child < 0 ? errno_neg() : decodes_until(o, t, n, s, 0, child);
	if (ret)
		return ret;
	export_stats(o->x, &after);
	if (after.sealing_key == before.sealing_key)
		return -ENOKEY;
	samples_say(s, "meanwhile");
	printf("sealed anew: %llu rows in %.1f s, %.0f rows a second\n",
	       (unsigned long long)(after.resealed - before.resealed),
	       (double)(clock_ns() - begun) / 1e9,
	       (double)(after.resealed - before.resealed) / ((double)(clock_ns() - begun) / 1e9));
	return 0;
}

int main(int argc, char **argv)
{
	struct opened o = { 0 };
	struct samples s = { 0 };
	const char *what = argc > 3 ? argv[1] : "";
	long n = argc > 3 ? strtol(argv[3], NULL, 10) : 0;
	nodeid_t *t = n > 0 ? calloc((size_t)n, sizeof(*t)) : NULL;
	uint64_t begun;
	int ret;

	if (secret_heap_init())
		return fail("memory", -EBUSY);
	log_init(LOG_LEVEL_ERROR, false);
	if (!t) {
		fprintf(stderr, "keys: usage: keys forged DIR FILES | keys storm DIR ENTRIES MOVED "
				"| keys meanwhile DIR FILES COMMAND...\n");
		return 2;
	}
	ret = samples_new(&s);
	begun = clock_ns();
	if (!ret)
		ret = open_export(argv[2], &o);
	if (ret)
		return fail("open", ret);
	printf("opened in %.1f ms\n", (double)(clock_ns() - begun) / 1e6);
	if (strcmp(what, "forged") == 0 && argc == 4)
		ret = bench_forged(&o, n, t, &s);
	else if (strcmp(what, "storm") == 0 && argc == 5)
		ret = bench_storm(&o, argv[2], n, strtol(argv[4], NULL, 10), t, &s);
	else if (strcmp(what, "meanwhile") == 0 && argc > 4)
		ret = bench_meanwhile(&o, n, argv + 4, t, &s);
	else
		ret = -EINVAL;
	close_export(&o);
	free(s.ns);
	free(t);
	return ret ? fail(what, ret) : 0;
}
