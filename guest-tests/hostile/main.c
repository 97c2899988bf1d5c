/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * main.c - hostile [OPTION...] SOCKET SHARE [PATTERN...]: tries all cases, or those whose area or name holds a PATTERN, on the
 * device at SOCKET, which serves SHARE with --persist.
 *
 *   --pid=PID        the process that serves: it must stay, and keep no descriptors and no memory
 *   --log=FILE       its log
 *   --other=SOCKET   a device of another share
 *   --revoke=COMMAND raises the root generation of the export
 *   --caps           the device was started with small caps
 *   --growth=KB      memory that it may have more at the end (default 16384)
 *   --spawn=COMMAND  instead: starts another device for each case, and counts what it survives
 *   --list           names the cases
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/util.h"
#include "run.h"
#include "watch.h"

#define CASE_SECONDS 90
#define WARM_UP 10 /* cases before memory is looked at first */
#define GROWTH_KB 16384
#define FDS_SPARE 64 /* files that the caches of the daemon may hold */

static const struct hostile_area *const areas[] = {
	&area_wire,    &area_opcode, &area_size, &area_extension, &area_name,
	&area_fh,      &area_object, &area_node, &area_chain,	  &area_ring,
	&area_message, &area_record, &area_form, &area_race,	  &area_resource,
};

struct tally {
	unsigned passed, failed, skipped, started, lived, served, right;
	unsigned tried;
	long memory; /* kB, after the warm-up */
	struct watch_fds fds;
	bool dead;
};

static char running[512];

static void on_alarm(int number)
{
	static const char text[] = " FAIL: hangs\n";

	(void)number;
	/* Nothing can be done about it if that fails. */
	if (write(STDOUT_FILENO, running, strlen(running)) < 0 ||
	    write(STDOUT_FILENO, text, sizeof(text) - 1) < 0)
		_exit(1);
	_exit(1);
}

/* --- the share ------------------------------------------------------------------------------------------------ */

/* Failures show in the cases that are about the object; some may be there from the last run. */
static void make_share(struct hostile *h)
{
	char path[4096];
	bool ok = host_write(h, KNOWN, KNOWN_TEXT) == 0 && host_write(h, OTHER, OTHER_TEXT) == 0 &&
		  host_write(h, "../secret", SECRET_TEXT) == 0;

	(void)host_path(h, path, sizeof(path), "dir");
	ok = ok && (mkdir(path, 0755) == 0 || errno == EEXIST);
	ok = ok && host_write(h, "dir/inside", "inside\n") == 0 &&
	     host_write(h, "dir/x", "x\n") == 0;
	(void)host_path(h, path, sizeof(path), "link");
	ok = ok && (symlink("../secret", path) == 0 || errno == EEXIST);
	(void)host_path(h, path, sizeof(path), "fifo");
	ok = ok && (mkfifo(path, 0644) == 0 || errno == EEXIST);
	(void)host_path(h, path, sizeof(path), "device");
	ok = ok && (mknod(path, S_IFCHR | 0644, makedev(1, 3)) == 0 || errno == EEXIST);
	if (!ok) {
		(void)fprintf(stderr, "hostile: the share cannot be made in %s: %s\n", h->share,
			      strerror(errno));
		exit(2);
	}
}

/* --- cases ---------------------------------------------------------------------------------------------------- */

static bool matches(const char *area, const char *name, char **patterns, int count)
{
	for (int i = 0; i < count; i++)
		if (strcmp(area, patterns[i]) == 0 || strstr(name, patterns[i]))
			return true;
	return count == 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	/* The share itself stays. */
	return at->level ? remove(path) : 0;
}

static void one_foreign(struct hostile *h, const struct hostile_case *c, struct tally *t)
{
	struct foreign_result r;

	if (c->need == NEED_OTHER || c->need == NEED_REVOKE || c->need == NEED_CAPS)
		return;
	/* It may have renamed what is needed. */
	(void)nftw(h->share, remove_entry, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	make_share(h);
	run_foreign(h, c, &r);
	t->started += r.started;
	t->lived += r.lived;
	t->served += r.served;
	t->right += r.right;
	(void)printf("%-75s %s  %.80s\n", c->name,
		     !r.started	 ? "not begun"
		     : !r.lived	 ? "DIED"
		     : !r.served ? "WEDGED"
		     : r.right	 ? "right"
				 : "served",
		     h->said);
}

static void one(struct hostile *h, const struct hostile_case *c, struct tally *t)
{
	static const char *const words[] = {
		[PASSED] = "pass", [FAILED] = "FAIL", [DEAD] = "FAIL", [SKIPPED] = "skip"
	};
	const uint64_t began = clock_ns();
	enum verdict verdict;

	(void)alarm(CASE_SECONDS);
	(void)snprintf(running, sizeof(running), "%.400s:", c->name);
	verdict = run_case(h, c);
	(void)alarm(0);
	if (verdict == DEAD)
		say(h, "the daemon is dead");
	(void)printf("%-75s %s: %.300s (%u ms)\n", c->name, words[verdict], h->said,
		     (unsigned)((clock_ns() - began) / 1000000U));
	t->passed += verdict == PASSED;
	t->failed += verdict == FAILED || verdict == DEAD;
	t->skipped += verdict == SKIPPED;
	t->dead = verdict == DEAD;
	if (++t->tried == WARM_UP && h->pid) {
		t->memory = watch_memory(h->pid);
		(void)watch_fds(h->pid, &t->fds);
	}
}

static void all(struct hostile *h, char **patterns, int count, bool list, struct tally *t)
{
	for (size_t a = 0; a < ARRAY_LEN(areas); a++) {
		for (unsigned i = 0; i < areas[a]->count && !t->dead; i++) {
			const struct hostile_case *c = &areas[a]->cases[i];

			if (!matches(areas[a]->name, c->name, patterns, count))
				continue;
			if (list)
				(void)printf("%s: %s\n", areas[a]->name, c->name);
			else if (h->spawn)
				one_foreign(h, c, t);
			else
				one(h, c, t);
			(void)fflush(stdout);
			t->tried += h->spawn || list;
		}
	}
}

/* Over the whole run: the number of descriptors and memory. */
static void whole_run(struct hostile *h, struct tally *t, long growth)
{
	struct watch_fds now;
	long memory = watch_memory(h->pid);
	bool ok;

	if (t->dead || t->tried < WARM_UP || watch_fds(h->pid, &now))
		return;
	ok = now.all <= t->fds.all + FDS_SPARE && memory - t->memory <= growth;
	(void)printf(
		"%-75s %s: %u descriptors, %u at the beginning; %ld kB, %ld at the beginning\n",
		"the whole run leaves no descriptors and no memory behind", ok ? "pass" : "FAIL",
		now.all, t->fds.all, memory, t->memory);
	t->passed += ok;
	t->failed += !ok;
}

static int conclude(struct hostile *h, struct tally *t, long growth)
{
	if (h->spawn) {
		(void)printf("%u cases: %u begun, survived %u, served on after %u, right in %u\n",
			     t->tried, t->started, t->lived, t->served, t->right);
		return 0;
	}
	if (h->pid)
		whole_run(h, t, growth);
	(void)printf("%u passed, %u failed", t->passed, t->failed);
	if (t->skipped)
		(void)printf(", %u skipped", t->skipped);
	(void)printf("\n");
	return t->failed || !t->passed;
}

/* --- options -------------------------------------------------------------------------------------------------- */

static const struct option option_defs[] = {
	{ "pid", required_argument, NULL, 'p' },
	{ "log", required_argument, NULL, 'l' },
	{ "other", required_argument, NULL, 'o' },
	{ "revoke", required_argument, NULL, 'r' },
	{ "caps", no_argument, NULL, 'c' },
	{ "growth", required_argument, NULL, 'g' },
	{ "spawn", required_argument, NULL, 's' },
	{ "list", no_argument, NULL, 'L' },
	{ NULL, 0, NULL, 0 },
};

int main(int argc, char **argv)
{
	static struct hostile h;
	struct tally t = { 0 };
	long growth = GROWTH_KB;
	bool list = false;
	int o;

	while ((o = getopt_long(argc, argv, "", option_defs, NULL)) != -1) {
		switch (o) {
		case 'p':
			h.pid = (int)strtol(optarg, NULL, 10);
			break;
		case 'l':
			h.log = optarg;
			break;
		case 'o':
			h.other = optarg;
			break;
		case 'r':
			h.revoke = optarg;
			break;
		case 'c':
			h.caps = true;
			break;
		case 'g':
			growth = strtol(optarg, NULL, 10);
			break;
		case 's':
			h.spawn = optarg;
			break;
		case 'L':
			list = true;
			break;
		default:
			return 2;
		}
	}
	if (list) {
		all(&h, argv + optind, argc - optind, true, &t);
		return printf("%u cases\n", t.tried) < 0;
	}
	if (argc - optind < 2)
		return fprintf(stderr, "hostile [OPTION...] SOCKET SHARE [PATTERN...]\n") < 0 ? 3
											      : 2;
	h.socket = argv[optind];
	h.share = argv[optind + 1];
	h.dev.fe.sock = -1;
	h.dev.inflight_fd = -1;
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGALRM, on_alarm);
	make_share(&h);
	if (!h.spawn && session_open(&h, RUNNING, NULL)) {
		(void)printf("the first connection: %s\n0 passed, 1 failed\n", h.said);
		return 1;
	}
	all(&h, argv + optind + 2, argc - optind - 2, false, &t);
	o = conclude(&h, &t, growth);
	session_close(&h);
	return o;
}
