/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * verify.c - `holdfast verify`: is the database sound, does every row authenticate with the key?
 *
 * Reads only; daemons may run. Main thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "admin/commands.h"
#include "admin/tool.h"
#include "base/log.h"
#include "holdfast/exit.h"

struct tally {
	uint64_t rows, bad, unnamed, multi;
};

static bool count_row(void *arg, rowid_t rowid, bool authentic, const struct row *row)
{
	struct tally *t = arg;

	(void)rowid;
	t->rows++;
	if (!authentic)
		t->bad++;
	else if (row->name.len == 0)
		t->unnamed++;
	else if (row->multi)
		t->multi++;
	return true;
}

static int fail(const struct state *s, int err)
{
	int exit_code;
	const char *what = tool_map_error(err, &exit_code);

	log_error("verify: %s/%s: %s (%s)", s->statepath, MAP_FILE, what, strerror(-err));
	return exit_code;
}

static int verify_rows(const struct state *s, struct map *m)
{
	struct tally t = { 0 };
	struct map_reader *r = NULL;
	int64_t clashes = 0, n = 0;
	int err = map_reader_new(m, &r);

	if (!err)
		n = map_walk(r, (rowid_t){ 0 }, count_row, &t);
	if (!err && n >= 0)
		clashes = map_clash_count(r);
	map_reader_free(r);
	if (err || n < 0 || clashes < 0)
		return fail(s, err ? err : (int)(n < 0 ? n : clashes));

	(void)printf("rows: %" PRIu64 "\nwithout a name: %" PRIu64 "\nwith several names: %" PRIu64
		     "\nclashes: %" PRId64 "\nnot authentic: %" PRIu64 "\n",
		     t.rows, t.unnamed, t.multi, clashes, t.bad);
	return t.bad ? HOLDFAST_EXIT_MAP : HOLDFAST_EXIT_OK;
}

int command_verify(const struct config *c)
{
	char what[256] = "";
	struct keyring *k = NULL;
	struct map *m = NULL;
	struct state *s;
	int exit_code = tool_state(c, STATE_EXISTING, &s);
	int err;

	if (exit_code)
		return exit_code;
	exit_code = tool_key(s, &k);
	if (exit_code)
		goto out;
	(void)puts("key: ok");
	exit_code = tool_map(s, k, &m);
	if (exit_code)
		goto out;
	if (!m) {
		(void)puts("map: rows from before the last revoke; the next start drops them");
		goto out;
	}
	err = tool_map_integrity(s, what);
	if (err) {
		log_error("verify: %s/%s: %s", s->statepath, MAP_FILE,
			  what[0] ? what : strerror(-err));
		exit_code = err > 0 ? HOLDFAST_EXIT_MAP : HOLDFAST_EXIT_STATE;
		goto out;
	}
	(void)puts("database: ok");
	exit_code = verify_rows(s, m);
out:
	if (fflush(stdout) && !exit_code)
		exit_code = HOLDFAST_EXIT_FAILURE;
	map_close(m);
	keyring_free(k);
	state_free(s);
	return exit_code;
}
