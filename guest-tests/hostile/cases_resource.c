/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_resource.c - as much as there is of files, locks, lookups, requests and log lines: caps hold, others are served.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "hostile.h"
#include "watch.h"

#define FILES_MAX 200000
#define LATENCY_MS 3000

static uint64_t fhs[FILES_MAX];

static int innocent_at_cap(struct hostile *h)
{
	struct fuse_entry_out entry;
	struct fuse_attr attr;

	if (fecall_lookup(&h->f, FUSE_ROOT_ID, KNOWN, &entry) ||
	    fecall_getattr(&h->f, entry.nodeid, &attr))
		return wrong(h, "a lookup at the cap failed");
	return 0;
}

/* Opens until the cap: then ENFILE, and everything but opening goes on. */
static int open_without_end(struct hostile *h, const struct hostile_case *c)
{
	unsigned n = 0;
	int ret = 0;

	(void)c;
	while (n < FILES_MAX && (ret = fecall_open(&h->f, h->known, O_RDONLY, &fhs[n])) == 0)
		n++;
	if (expect(h, "OPEN at the cap", ret, -ENFILE) || innocent_at_cap(h))
		return -1;
	/* The first goes on, and one that is given back can be had again. */
	if (fecall_read(&h->f, h->known, fhs[0], 0, (char[8]){ 0 }, 8) != 8)
		return wrong(h, "READ at the cap failed");
	if (fecall_release(&h->f, h->known, fhs[1]) ||
	    fecall_open(&h->f, h->known, O_RDONLY, &fhs[1]))
		return wrong(h, "OPEN after RELEASE failed");
	for (unsigned i = 0; i < n; i++)
		if (fecall_release(&h->f, h->known, fhs[i]))
			return wrong(h, "RELEASE failed");
	say(h, "ENFILE after %u", n);
	return 0;
}

/* The same, and the connection ends with all of them open. */
static int leave_open(struct hostile *h, const struct hostile_case *c)
{
	unsigned n = 0;
	int ret = 0;

	(void)c;
	while (n < FILES_MAX && (ret = fecall_opendir(&h->f, FUSE_ROOT_ID, &fhs[n])) == 0)
		n++;
	if (expect(h, "OPENDIR at the cap", ret, -ENFILE))
		return -1;
	fedevice_hang_up(&h->dev);
	if (session_open(h, RUNNING, NULL))
		return -1;
	return expect(h, "OPENDIR on the next connection",
		      fecall_opendir(&h->f, FUSE_ROOT_ID, &fhs[0]), 0);
}

static int lock_without_end(struct hostile *h, const struct hostile_case *c)
{
	struct fecall_lock lock = { h->known, 0, 1, 0, 0, F_RDLCK, false };
	unsigned n = 0;
	int ret = 0;

	(void)c;
	if (fecall_open(&h->f, h->known, O_RDWR, &lock.fh))
		return wrong(h, "open failed");
	while (n < FILES_MAX && (ret = fecall_setlk(&h->f, &lock)) == 0) {
		n++;
		lock.owner++;
	}
	if (expect(h, "SETLK at the cap", ret, -ENOLCK) || innocent_at_cap(h))
		return -1;
	if (expect(h, "RELEASE drops them", fecall_release(&h->f, h->known, lock.fh), 0))
		return -1;
	say(h, "ENOLCK after %u owners", n);
	return 0;
}

/* More requests that wait for a lock than there may be: the last are refused, and all others are served. */
static int wait_without_end(struct hostile *h, const struct hostile_case *c)
{
	static struct fefuse more;
	struct fecall_lock lock = { h->known, 0, 1, 0, 0, F_WRLCK, false };
	uint64_t unique;
	unsigned refused = 0;
	int slots[16];

	(void)c;
	if (fefuse_open(&more, &h->dev, 0, ARRAY_LEN(slots)) ||
	    fecall_open(&h->f, h->known, O_RDWR, &lock.fh) || fecall_setlk(&h->f, &lock))
		return wrong(h, "no lock");
	more.unique = 1ULL << 40;
	for (unsigned i = 0; i < 56; i++) {
		lock.owner++;
		if (fecall_setlkw_send(&h->f, 1, &lock, &unique) < 0)
			return wrong(h, "SETLKW was not sent");
	}
	for (unsigned i = 0; i < ARRAY_LEN(slots); i++) {
		lock.owner++;
		slots[i] = fecall_setlkw_send(&more, 1, &lock, &unique);
	}
	if (session_innocent(h))
		return -1;
	for (unsigned i = 0; i < ARRAY_LEN(slots); i++)
		refused += slots[i] >= 0 && fefuse_receive(&more, slots[i], 100) == -ENOLCK;
	if (!refused)
		return wrong(h, "72 wait, and none was refused");
	say(h, "72 wait, %u were refused: ENOLCK", refused);
	return 0;
}

/* Many lookups that are never forgotten. */
static int look_up_without_end(struct hostile *h, const struct hostile_case *c)
{
	struct watch_fds before = { 0 };
	struct watch_fds now = { 0 };
	struct fuse_entry_out entry;
	char name[64];

	if (h->pid)
		(void)watch_fds(h->pid, &before);
	for (unsigned i = 0; i < c->arg; i++) {
		(void)snprintf(name, sizeof(name), "many-%u", i);
		if (fecall_symlink(&h->f, h->dir, name, "x", &entry))
			return wrong(h, "SYMLINK %u failed", i);
	}
	if (h->pid && (watch_fds(h->pid, &now) || now.all > before.all + 1200))
		return wrong(h, "%u descriptors, %u before", now.all, before.all);
	for (unsigned i = 0; i < c->arg; i++) {
		(void)snprintf(name, sizeof(name), "many-%u", i);
		if (fecall_lookup(&h->f, h->dir, name, &entry) ||
		    fecall_unlink(&h->f, h->dir, name) || fecall_forget(&h->f, entry.nodeid, 2))
			return wrong(h, "LOOKUP, UNLINK or FORGET %u failed", i);
	}
	say(h, "%u nodes, %u descriptors", (unsigned)c->arg, h->pid ? now.all : 0);
	return 0;
}

/* With --max-nodes=1000: what is held for the guest, and our own. */
#define DESCRIPTORS_MAX 1200

/*
 * Unlinked files that are held by their lookups alone, until a cap. Mostly a part of the cache is full first, and what was made
 * last cannot be entered; else no more of them are held, and what is unlinked then is gone. The next connection finds the room
 * that they took.
 */
static int nameless_without_end(struct hostile *h, const struct hostile_case *c)
{
	struct fuse_entry_out entry;
	struct watch_fds fds;
	char name[64];
	int ret = 0;
	unsigned n = 0;

	for (; n < c->arg && !ret; n++) {
		uint64_t fh;

		(void)snprintf(name, sizeof(name), "gone-%u", n);
		ret = fecall_create(&h->f, h->dir, name, O_RDWR, 0600, &entry, &fh);
		if (!ret)
			ret = fecall_release(&h->f, entry.nodeid, fh);
		if (!ret)
			ret = fecall_unlink(&h->f, h->dir, name);
	}
	if (!ret && h->pid && !watch_fds(h->pid, &fds) && fds.all > DESCRIPTORS_MAX)
		return wrong(h, "%u descriptors after %u files", fds.all, n);
	if (ret && expect(h, "CREATE at the cap", ret, -ENFILE))
		return -1;
	if (session_open(h, RUNNING, NULL))
		return -1;
	(void)fecall_unlink(&h->f, h->dir, name);
	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "next-%u", i);
		if (fecall_symlink(&h->f, h->dir, name, "x", &entry) ||
		    fecall_unlink(&h->f, h->dir, name))
			return wrong(h, "the next connection has no room, after %u of %u", i, n);
		if (fecall_forget(&h->f, entry.nodeid, 1))
			return wrong(h, "FORGET failed");
	}
	say(h, "%s after %u, and room for the next connection", ret ? "ENFILE" : "no more held", n);
	return 0;
}

/* --- floods ------------------------------------------------------------------------------------------------------------------ */

struct flood {
	struct hostile *h;
	struct fefuse f;
	atomic_bool stop;
	unsigned count;
};

/* Keeps queue 1 full of lookups and of reads. */
static void *flood(void *arg)
{
	struct flood *x = arg;
	int slots[16];
	struct fefuse_request r = { .opcode = FUSE_LOOKUP,
				    .nodeid = FUSE_ROOT_ID,
				    .in = { { (void *)(uintptr_t)KNOWN, sizeof(KNOWN) } },
				    .parts = 1,
				    .room = sizeof(struct fuse_entry_out) };

	while (!atomic_load(&x->stop)) {
		for (unsigned i = 0; i < 16; i++)
			slots[i] = fefuse_send(&x->f, 1, &r);
		for (unsigned i = 0; i < 16; i++)
			if (slots[i] >= 0 && fefuse_receive(&x->f, slots[i], CASE_TIMEOUT_MS) == 0)
				x->count++;
	}
	return NULL;
}

static int flood_of_requests(struct hostile *h, const struct hostile_case *c)
{
	static struct flood x;
	uint64_t worst = 0;
	pthread_t thread;
	struct fuse_attr attr;
	int ret = 0;

	x = (struct flood){ .h = h };
	if (fefuse_open(&x.f, &h->dev, 0, 16))
		return wrong(h, "no slots");
	x.f.unique = 1ULL << 40;
	if (pthread_create(&thread, NULL, flood, &x))
		return wrong(h, "no thread");
	h->f.queue = (unsigned)c->arg;
	for (unsigned i = 0; i < 200 && !ret; i++) {
		const uint64_t began = clock_ns();

		ret = fecall_getattr(&h->f, FUSE_ROOT_ID, &attr);
		if (clock_ns() - began > worst)
			worst = clock_ns() - began;
	}
	atomic_store(&x.stop, true);
	(void)pthread_join(thread, NULL);
	h->f.queue = 1;
	if (ret)
		return wrong(h, "GETATTR on the other queue: %s", result_name(ret));
	if (worst > LATENCY_MS * 1000000ULL || !x.count)
		return wrong(h, "the other queue waited %u ms", (unsigned)(worst / 1000000U));
	say(h, "%u requests there; the slowest of 200 here took %u us", x.count,
	    (unsigned)(worst / 1000U));
	return 0;
}

/* Thousands of things that are worth a line: lines by the second, not by the thing. */
static int flood_of_lines(struct hostile *h, const struct hostile_case *c)
{
	const long from = watch_size(h->log);
	const uint64_t began = clock_ns();
	struct fuse_init_in in = { .major = 6 };
	static struct wire w;
	char line[256];
	unsigned lines;
	unsigned seconds;

	for (unsigned i = 0; i < 3000; i++) {
		struct fuse_attr attr;

		(void)fecall_getattr(&h->f, 0x1234567 + i, &attr);
		if (c->arg) {
			wire_begin(&w, FUSE_INIT, 0);
			wire_add(&w, &in, sizeof(in));
			(void)wire_send(h, &w, 256);
			if (i % 2 && session_init(h))
				return wrong(h, "INIT failed");
		}
	}
	if (session_init(h))
		return wrong(h, "INIT failed");
	seconds = (unsigned)((clock_ns() - began) / 1000000000U) + 2;
	lines = watch_lines(h->log, from, line, sizeof(line));
	if (lines > 12 * seconds)
		return wrong(h, "%u lines in %u seconds", lines, seconds);
	say(h, "%u lines in %u seconds", lines, seconds);
	return 0;
}

/* Two hundred connections that end for bad input. */
static int flood_of_connections(struct hostile *h, const struct hostile_case *c)
{
	const long from = watch_size(h->log);
	const uint64_t began = clock_ns();
	char line[256];
	unsigned lines;
	unsigned seconds;

	(void)c;
	for (unsigned i = 0; i < 200; i++) {
		if (session_open(h, CONNECTED, NULL))
			return -1;
		(void)frontend_send_bytes(&h->dev.fe, "bad input to end it", 19, NULL, 0);
		if (!session_ended(h, CASE_TIMEOUT_MS))
			return wrong(h, "number %u was not ended", i);
	}
	if (session_open(h, RUNNING, NULL))
		return -1;
	seconds = (unsigned)((clock_ns() - began) / 1000000000U) + 2;
	lines = watch_lines(h->log, from, line, sizeof(line));
	if (h->log && (lines > 7 * seconds || !lines))
		return wrong(h, "%u lines in %u seconds", lines, seconds);
	say(h, "%u lines in %u seconds", lines, seconds);
	return 0;
}

/* A hundred connections that say nothing, and hang up at once. */
static int empty_connections(struct hostile *h, const struct hostile_case *c)
{
	(void)c;
	for (unsigned i = 0; i < 100; i++)
		if (session_open(h, CONNECTED, NULL))
			return -1;
	say(h, "100");
	return session_open(h, RUNNING, NULL);
}

static const struct fedevice_options two_queues = { .request_queues = 2 };

static const struct hostile_case cases[] = {
	{ .name = "files are opened without end", .run = open_without_end, .need = NEED_CAPS },
	{ .name = "directories are opened without end, and left open",
	  .run = leave_open,
	  .need = NEED_CAPS },
	{ .name = "locks are taken without end", .run = lock_without_end, .need = NEED_CAPS },
	{ .name = "nodes are looked up without end",
	  .run = look_up_without_end,
	  .need = NEED_CAPS,
	  .arg = 4000 },
	{ .name = "unlinked files are held without end",
	  .run = nameless_without_end,
	  .need = NEED_CAPS,
	  .arg = 4000,
	  .lines = 20 },
	{ .name = "locks are waited for by many", .run = wait_without_end, .need = NEED_LOCKS },
	{ .name = "a flood on one queue, and the other queue",
	  .run = flood_of_requests,
	  .options = &two_queues,
	  .arg = 2 },
	{ .name = "a flood on a request queue, and the high-priority queue",
	  .run = flood_of_requests,
	  .arg = 0 },
	{ .name = "three thousand forged nodeids are logged by the second",
	  .run = flood_of_lines,
	  .lines = 200 },
	{ .name = "three thousand refused INITs are logged by the second",
	  .run = flood_of_lines,
	  .lines = 200,
	  .arg = 1 },
	{ .name = "two hundred ended connections are logged by the second",
	  .run = flood_of_connections,
	  .lines = 200 },
	{ .name = "a hundred connections without a word", .run = empty_connections },
};

const struct hostile_area area_resource = { "resource", cases, ARRAY_LEN(cases) };
