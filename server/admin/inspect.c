/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inspect.c - `holdfast inspect HANDLE`: what a FUSE handle or a sealed handle names.
 *
 * Works on the export's files with a worker of its own, beside any daemons. Needs the key. Main thread.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "admin/commands.h"
#include "admin/handle_text.h"
#include "admin/tool.h"
#include "base/log.h"
#include "holdfast/exit.h"

/* Bytes of a name or path on one line. */
static void show_text(const char *what, const char *text)
{
	(void)printf("%s", what);
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (*p < ' ' || *p == 0x7f || *p == '\\')
			(void)printf("\\x%02x", *p);
		else
			(void)putchar(*p);
	}
	(void)putchar('\n');
}

static void show_birth(int64_t ns)
{
	char birth[64] = "not known to the file system";

	if (ns != IDENTITY_BTIME_NONE) {
		int64_t seconds = ns / 1000000000;
		int64_t rest = ns % 1000000000;

		if (rest < 0) {
			rest += 1000000000;
			seconds--;
		}
		tool_format_time(seconds, (uint32_t)rest, birth);
	}
	(void)printf("birth: %s\n", birth);
}

static void show_row(const struct export_inspection *in)
{
	const struct row *row = &in->row;

	(void)printf("type: %s\ninode: %" PRIu64 "\n", tool_type_name(DTTOIF((unsigned)row->type)),
		     row->ino);
	show_birth(row->identity.btime_ns);
	if (nodeid_is_root(in->nodeid))
		return;
	if (row->name.len)
		show_text("last name: ", row->name.text);
	else
		(void)puts("last name: none is known");
}

/* The end of each inspection: where the object is, or why it is nowhere. Gives the exit code. */
static int show_outcome(const struct export_inspection *in, bool right)
{
	switch (in->resolve_error) {
	case 0:
		show_text("path: ", in->path[0] ? in->path : ".");
		return right ? HOLDFAST_EXIT_OK : HOLDFAST_EXIT_STALE;
	case -ENOMEM:
		(void)puts("path: cannot be said now (a rebuild is running or due); try again");
		return HOLDFAST_EXIT_FAILURE;
	default:
		(void)puts("path: none; the object is gone, moved out of the share, or its file "
			   "system is not "
			   "mounted");
		return HOLDFAST_EXIT_STALE;
	}
}

static int fail(int err)
{
	log_error("inspect: %s", strerror(-err));
	return err == -ESTALE ? HOLDFAST_EXIT_STALE : HOLDFAST_EXIT_FAILURE;
}

static int inspect_pair(struct worker *w, struct handle_pair pair)
{
	struct export_inspection in;
	bool right = false;
	int err;

	memset(&in, 0, sizeof(in));
	err = export_inspect_nodeid(w, pair.nodeid, &in);
	if (err)
		return fail(err);
	(void)printf("nodeid: 0x%016" PRIx64 "%s\n", pair.nodeid.v,
		     nodeid_is_root(pair.nodeid) ? " (the root)" : "");
	if (!in.known) {
		(void)printf("known: no; %s\n", in.resolve_error == -ENOMEM
							? "but a rebuild is running or due"
							: "nothing in this export has it");
		return in.resolve_error == -ENOMEM ? HOLDFAST_EXIT_FAILURE : HOLDFAST_EXIT_STALE;
	}
	right = pair.generation.v == in.generation.v;
	(void)printf("generation: 0x%08" PRIx32 ", %s\nknown: yes\n", pair.generation.v,
		     right ? "right" : "wrong: the guest's kernel refuses the handle");
	show_row(&in);
	return show_outcome(&in, right);
}

static int inspect_sealed(struct worker *w, const struct handle_text *h)
{
	struct export_inspection in;
	int err;

	memset(&in, 0, sizeof(in));
	err = export_inspect_sealed(w, h->bytes, h->len, &in);
	if (err)
		return fail(err);
	(void)printf("kind: sealed handle\nauthentic: %s\n",
		     in.known ? "yes" : "no: forged, of another export, or revoked");
	if (!in.known)
		return HOLDFAST_EXIT_STALE;
	if (in.has_row) {
		(void)printf("nodeid: 0x%016" PRIx64 "%s\ngeneration: 0x%08" PRIx32 "\n",
			     in.nodeid.v, nodeid_is_root(in.nodeid) ? " (the root)" : "",
			     in.generation.v);
		show_row(&in);
	} else {
		show_birth(in.row.identity.btime_ns);
	}
	return show_outcome(&in, true);
}

static int inspect(struct worker *w, const struct handle_text *h)
{
	struct handle_pair pairs[2];
	unsigned n = handle_text_fuse(h, pairs);
	int exit_code;

	if (n == 0)
		return inspect_sealed(w, h);
	(void)printf("kind: FUSE handle%s\n", n == 2 ? " with its parent's" : "");
	exit_code = inspect_pair(w, pairs[0]);
	if (n == 2) {
		(void)puts("parent:");
		(void)inspect_pair(w, pairs[1]);
	}
	return exit_code;
}

int command_inspect(const struct config *c)
{
	struct handle_text h;
	struct handle_pair pairs[2];
	struct export *x = NULL;
	struct worker *w = NULL;
	struct state *s;
	int exit_code, err;

	if (handle_text_parse(c->operand[0], &h) || (h.typed && !handle_text_fuse(&h, pairs))) {
		log_error("inspect: \"%.100s\" is neither a FUSE handle (TYPE:HEX, as `holdfast "
			  "handle get` prints) nor "
			  "a sealed one (hex digits)",
			  c->operand[0]);
		return HOLDFAST_EXIT_USAGE;
	}
	exit_code = tool_state(c, STATE_EXISTING, &s);
	if (exit_code)
		return exit_code;
	exit_code = tool_export(s, &x);
	if (exit_code)
		goto out;
	err = worker_new(x, &w);
	if (err) {
		exit_code = fail(err);
		goto out;
	}
	worker_begin(w, true);
	exit_code = inspect(w, &h);
	if (fflush(stdout))
		exit_code = HOLDFAST_EXIT_FAILURE;
out:
	worker_free(w);
	export_close(x);
	state_free(s);
	return exit_code;
}
