/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_probe.c - what a forged nodeid costs: one look into the B-tree of the map at most, and nothing of the share.
 *
 * SQLite itself counts: each connection that is opened in the process gets a trace of its statements, and its pages
 * are counted by sqlite3_db_status().
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "export/core.h"
#include "holdfast/exit.h"

#define FILES 3000
#define FORGED 10000
#define CONNECTIONS 16
#define DEPTH 4 /* pages of a look: the tree of a map of 10 million rows has so many levels */

struct probe {
	char dir[64], share[80], state[80];
	int statedir;
	struct export *x;
	struct worker *w;
};

static sqlite3 *connections[CONNECTIONS];
static atomic_uint connection_count, selects, others;

static int on_statement(unsigned kind, void *context, void *statement, void *sql)
{
	const char *text = sqlite3_sql(statement);

	(void)kind;
	(void)context;
	(void)sql;
	if (text && strncmp(text, "SELECT", 6) == 0 && strstr(text, "node"))
		atomic_fetch_add(&selects, 1);
	else
		atomic_fetch_add(&others, 1);
	return 0;
}

static int on_open(sqlite3 *db, const char **error, const struct sqlite3_api_routines *api)
{
	unsigned n = atomic_fetch_add(&connection_count, 1);

	(void)error;
	(void)api;
	if (n < CONNECTIONS)
		connections[n] = db;
	return sqlite3_trace_v2(db, SQLITE_TRACE_STMT, on_statement, NULL);
}

/* Pages that all connections have looked at, in their caches or not. */
static uint64_t pages_seen(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < CONNECTIONS && i < atomic_load(&connection_count); i++) {
		int hits = 0, misses = 0, high;

		(void)sqlite3_db_status(connections[i], SQLITE_DBSTATUS_CACHE_HIT, &hits, &high, 0);
		(void)sqlite3_db_status(connections[i], SQLITE_DBSTATUS_CACHE_MISS, &misses, &high,
					0);
		sum += (uint64_t)hits + (uint64_t)misses;
	}
	return sum;
}

static int setup(void **state)
{
	struct probe *p = calloc(1, sizeof(*p));
	struct export_config config = { .handles = HANDLES_MANDATORY,
					.max_nodes = 10000,
					.max_fds = 100 };
	int code = 0;

	assert_non_null(p);
	log_init(LOG_LEVEL_OFF, false);
	(void)snprintf(p->dir, sizeof(p->dir), "test-probe.XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	(void)snprintf(p->share, sizeof(p->share), "%s/share", p->dir);
	(void)snprintf(p->state, sizeof(p->state), "%s/state", p->dir);
	assert_int_equal(mkdir(p->share, 0755), 0);
	assert_int_equal(mkdir(p->state, 0700), 0);
	p->statedir = open(p->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	config.share = p->share;
	config.statedir = config.rundir = p->statedir;
	config.statepath = p->state;
	*state = p;
	if (export_open(&config, &p->x, &code)) {
		p->x = NULL;
		return code == HOLDFAST_EXIT_HANDLES ? 0 : -1;
	}
	return worker_new(p->x, &p->w);
}

static int rm_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	struct probe *p = *state;

	if (p->x) {
		worker_free(p->w);
		export_close(p->x);
	}
	fd_close(p->statedir);
	(void)nftw(p->dir, rm_one, 16, FTW_DEPTH | FTW_PHYS);
	free(p);
	return 0;
}

/* Files that the map then has; *first is the nodeid of one. */
static void fill(struct probe *p, nodeid_t *first)
{
	char path[160], name[16];
	struct entry e = { .nodeid = NODEID_ROOT };
	struct node *root;

	assert_int_equal(node_get(p->w, NODEID_ROOT, &root), 0);
	for (unsigned i = 0; i < FILES; i++) {
		(void)snprintf(name, sizeof(name), "f%u", i);
		(void)snprintf(path, sizeof(path), "%s/%s", p->share, name);
		fd_close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
		assert_int_equal(export_lookup(p->w, root, name, &e), 0);
		export_forget(p->w, e.nodeid, 1);
	}
	node_put(p->w, root);
	*first = e.nodeid;
	ring_wake(p->x->ring);
	assert_int_equal(ring_wait_drained(p->x->ring, ring_tail(p->x->ring), 20000), 0);
}

static nodeid_t forge(unsigned i, nodeid_t real, uint64_t *random)
{
	*random = *random * 6364136223846793005ULL + 1442695040888963407ULL;
	switch (i % 4) {
	case 0:
		return (nodeid_t){ real.v ^ UINT64_C(1) << (*random >> 58) };
	case 1:
		return (nodeid_t){ real.v + 1 + (*random >> 32) % 1000 };
	default:
		return (nodeid_t){ *random ^ *random >> 29 };
	}
}

static void test_a_forged_nodeid_costs_one_probe_at_most(void **state)
{
	struct probe *p = *state;
	struct export_stats before, after;
	uint64_t random = 1, pages, ns;
	unsigned probes, more;
	nodeid_t real;

	if (!p->x) {
		print_message("skipped: no handles that persist here\n");
		skip();
	}
	worker_begin(p->w, true);
	fill(p, &real);
	export_stats(p->x, &before);
	atomic_store(&selects, 0);
	atomic_store(&others, 0);
	pages = pages_seen();
	ns = clock_ns();
	for (unsigned i = 0; i < FORGED; i++) {
		struct entry e;

		worker_begin(p->w, true);
		assert_int_equal(export_lookup_self(p->w, forge(i, real, &random), &e), -ESTALE);
	}
	ns = clock_ns() - ns;
	export_stats(p->x, &after);
	probes = atomic_load(&selects);
	more = atomic_load(&others);
	pages = pages_seen() - pages;
	print_message(
		"%d forged nodeids: %u probes, %u other statements, %.1f pages and %.1f us each\n",
		FORGED, probes, more, (double)pages / FORGED, (double)ns / FORGED / 1000);

	assert_true(probes <= FORGED);
	/* Snapshots are renewed by the clock, not by the guest. */
	assert_true(more <= 16 + 40 * (ns / 1000000000 + 1));
	assert_true(pages <= (uint64_t)FORGED * DEPTH);
	assert_int_equal(after.unknown - before.unknown, FORGED);
	assert_int_equal(after.nodes, before.nodes);
	/* Nothing in the share was looked at for it. */
	assert_int_equal(after.resolved_by_name, before.resolved_by_name);
	assert_int_equal(after.resolved_by_handle, before.resolved_by_handle);
	assert_int_equal(after.scans, before.scans);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_forged_nodeid_costs_one_probe_at_most, setup,
						teardown),
	};

	if (sqlite3_auto_extension((void (*)(void))on_open) != SQLITE_OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
