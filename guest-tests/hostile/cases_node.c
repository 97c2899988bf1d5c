/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_node.c - nodeids that were never given out, or not by this export, or are of what is gone; FORGET and INTERRUPT of
 * anything.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "hostile.h"

static struct wire w;

/* Every kind of request on a nodeid is ESTALE. */
static int all_stale(struct hostile *h, uint64_t nodeid)
{
	struct fuse_entry_out entry;
	struct fuse_attr attr;
	uint64_t fh;

	if (expect(h, "GETATTR", fecall_getattr(&h->f, nodeid, &attr), -ESTALE) ||
	    expect(h, "LOOKUP .", fecall_lookup(&h->f, nodeid, ".", &entry), -ESTALE) ||
	    expect(h, "LOOKUP ..", fecall_lookup(&h->f, nodeid, "..", &entry), -ESTALE) ||
	    expect(h, "LOOKUP", fecall_lookup(&h->f, nodeid, "inside", &entry), -ESTALE) ||
	    expect(h, "OPEN", fecall_open(&h->f, nodeid, O_RDONLY, &fh), -ESTALE) ||
	    expect(h, "OPENDIR", fecall_opendir(&h->f, nodeid, &fh), -ESTALE) ||
	    expect(h, "MKDIR", fecall_mkdir(&h->f, nodeid, "made-dir", 0755, &entry), -ESTALE) ||
	    expect(h, "UNLINK", fecall_unlink(&h->f, nodeid, "inside"), -ESTALE) ||
	    expect(h, "RENAME2", fecall_rename2(&h->f, FUSE_ROOT_ID, KNOWN, nodeid, "moved", 0),
		   -ESTALE))
		return -1;
	return expect(h, "LINK", fecall_link(&h->f, nodeid, FUSE_ROOT_ID, "made-link", &entry),
		      -ESTALE);
}

static int guessed(struct hostile *h, const struct hostile_case *c)
{
	return all_stale(h, c->arg);
}

static int off_by_one(struct hostile *h, const struct hostile_case *c)
{
	return all_stale(h, h->known + (c->arg ? 1 : UINT64_MAX));
}

static int bits_turned(struct hostile *h, const struct hostile_case *c)
{
	struct fuse_attr attr;

	(void)c;
	for (unsigned bit = 0; bit < 64; bit++) {
		const uint64_t nodeid = h->known ^ 1ULL << bit;
		int got = nodeid ? fecall_getattr(&h->f, nodeid, &attr) : -ESTALE;

		if (got != -ESTALE)
			return wrong(h, "with bit %u turned: %s", bit, result_name(got));
	}
	return expect(h, "GETATTR with any bit turned", -ESTALE, -ESTALE);
}

static int many_guesses(struct hostile *h, const struct hostile_case *c)
{
	uint64_t x = 88172645463325252ULL;
	struct fuse_attr attr;

	(void)c;
	for (unsigned i = 0; i < 20000; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		if (fecall_getattr(&h->f, x, &attr) != -ESTALE)
			return wrong(h, "%llx is not stale", (unsigned long long)x);
	}
	say(h, "20000 guesses: ESTALE");
	return 0;
}

/* The nodeid that a device of another share gave out. */
static int of_another_export(struct hostile *h, const struct hostile_case *c)
{
	static struct hostile other;
	uint64_t nodeid;

	(void)c;
	other = (struct hostile){ .socket = h->other, .share = h->share };
	other.dev.fe.sock = -1;
	other.dev.inflight_fd = -1;
	if (session_open(&other, RUNNING, NULL)) {
		session_close(&other);
		return wrong(h, "the other device: %.200s", other.said);
	}
	nodeid = other.dir;
	session_close(&other);
	return all_stale(h, nodeid) || all_stale(h, other.known) ? -1 : 0;
}

/* The command raises the root generation: what was given out before it is stale, in the running daemon too. */
static int of_an_earlier_root(struct hostile *h, const struct hostile_case *c)
{
	const uint64_t before[] = { h->known, h->other_file, h->dir };
	struct fuse_entry_out entry;

	(void)c;
	if (system(h->revoke) != 0) /* NOLINT(cert-env33-c): the test's own command */
		return wrong(h, "the command failed");
	for (size_t i = 0; i < ARRAY_LEN(before); i++)
		if (all_stale(h, before[i]))
			return -1;
	if (fecall_lookup(&h->f, FUSE_ROOT_ID, KNOWN, &entry))
		return wrong(h, "the file cannot be looked up anew");
	return entry.nodeid == before[0] ? wrong(h, "it has the same nodeid") : 0;
}

/* While the share is searched for the object the answer is "try again". */
static int wait_for_scan(struct hostile *h, uint64_t nodeid)
{
	const uint64_t end = clock_ns() + CASE_TIMEOUT_MS * 1000000ULL;
	struct fuse_attr attr;

	while (fecall_getattr(&h->f, nodeid, &attr) == -ENOMEM) {
		if (clock_ns() > end)
			return wrong(h, "GETATTR: ENOMEM for ever");
		(void)poll(NULL, 0, 50);
	}
	return 0;
}

/* The object is deleted, its inode number is used again. */
static int deleted(struct hostile *h, const struct hostile_case *c)
{
	struct fuse_entry_out entry;
	char path[4096];
	struct stat st;
	ino_t ino;
	unsigned tries = 0;

	(void)c;
	(void)host_path(h, path, sizeof(path), "goes");
	if (host_write(h, "goes", "old") || stat(path, &st) ||
	    fecall_lookup(&h->f, FUSE_ROOT_ID, "goes", &entry))
		return wrong(h, "the file cannot be made");
	ino = st.st_ino;
	if (fecall_forget(&h->f, entry.nodeid, 1))
		return wrong(h, "FORGET failed");
	(void)unlink(path);
	do {
		char other[4096];

		(void)snprintf(other, sizeof(other), "%.3900s/again-%u", h->share, tries);
		if (host_write(h, other + strlen(h->share) + 1, "new") || stat(other, &st))
			return wrong(h, "a file cannot be made");
	} while (st.st_ino != ino && ++tries < 200);
	if (wait_for_scan(h, entry.nodeid) || all_stale(h, entry.nodeid))
		return -1;
	say(h, "ESTALE%s", st.st_ino == ino ? ", its inode number is another file's" : "");
	for (unsigned i = 0; i <= tries && i < 200; i++) {
		(void)snprintf(path, sizeof(path), "%.3900s/again-%u", h->share, i);
		(void)unlink(path);
	}
	return 0;
}

static int above_the_root(struct hostile *h, const struct hostile_case *c)
{
	struct fuse_entry_out entry;
	uint64_t at = h->dir;

	(void)c;
	for (unsigned i = 0; i < 10; i++) {
		if (expect(h, "LOOKUP ..", fecall_lookup(&h->f, at, "..", &entry), 0))
			return -1;
		if (entry.nodeid != FUSE_ROOT_ID)
			return wrong(h, ".. of the root is another node");
		at = entry.nodeid;
	}
	return fecall_lookup(&h->f, at, "secret", &entry) == -ENOENT
		       ? 0
		       : wrong(h, "what is beside the share is found");
}

/* --- FORGET ------------------------------------------------------------------------------------------------------------- */

static int forget(struct hostile *h, uint64_t nodeid, uint64_t count)
{
	const struct fuse_forget_in in = { .nlookup = count };
	int got;

	wire_begin(&w, FUSE_FORGET, nodeid);
	wire_add(&w, &in, sizeof(in));
	got = wire_send(h, &w, 64);
	return expect(h, "FORGET", got, BARE);
}

static int forget_too_much(struct hostile *h, const struct hostile_case *c)
{
	struct fuse_attr attr;

	for (unsigned i = 0; i < 2; i++)
		if (forget(h, h->known, c->arg))
			return -1;
	/* Its nodeid is right for as long as the file is there. */
	return expect(h, "GETATTR after FORGET", fecall_getattr(&h->f, h->known, &attr), 0);
}

static int forget_root(struct hostile *h, const struct hostile_case *c)
{
	struct fuse_attr attr;

	(void)c;
	for (unsigned i = 0; i < 100; i++)
		if (forget(h, FUSE_ROOT_ID, i % 2 ? 1 : UINT64_MAX))
			return -1;
	return expect(h, "GETATTR of the root", fecall_getattr(&h->f, FUSE_ROOT_ID, &attr), 0);
}

static int forget_unknown(struct hostile *h, const struct hostile_case *c)
{
	(void)c;
	return forget(h, 0x123456789, 1) || forget(h, UINT64_MAX, UINT64_MAX) || forget(h, 0, 1) ||
			       forget(h, 2, 0)
		       ? -1
		       : 0;
}

static int forget_open(struct hostile *h, const struct hostile_case *c)
{
	struct fuse_entry_out entry;
	char text[64] = "";
	uint64_t fh;
	int n;

	(void)c;
	if (host_write(h, "unlinked", "still here") ||
	    fecall_lookup(&h->f, FUSE_ROOT_ID, "unlinked", &entry) ||
	    fecall_open(&h->f, entry.nodeid, O_RDONLY, &fh) ||
	    fecall_unlink(&h->f, FUSE_ROOT_ID, "unlinked"))
		return wrong(h, "no file");
	if (forget(h, entry.nodeid, UINT64_MAX))
		return -1;
	n = fecall_read(&h->f, entry.nodeid, fh, 0, text, sizeof(text));
	if (n != 10 || memcmp(text, "still here", 10) != 0)
		return wrong(h, "READ after FORGET: %s", result_name(n));
	return expect(h, "RELEASE", fecall_release(&h->f, entry.nodeid, fh), 0);
}

static int batch_of_one(struct hostile *h, const struct hostile_case *c)
{
	struct fuse_forget_one all[2000];
	struct fuse_attr attr;

	(void)c;
	for (unsigned i = 0; i < ARRAY_LEN(all); i++)
		all[i] = (struct fuse_forget_one){ i % 3   ? h->known
						   : i % 2 ? FUSE_ROOT_ID
							   : i,
						   i % 5 ? 1 : UINT64_MAX };
	if (expect(h, "BATCH_FORGET", fecall_batch_forget(&h->f, all, ARRAY_LEN(all)), 0))
		return -1;
	return expect(h, "GETATTR after it", fecall_getattr(&h->f, h->known, &attr), 0);
}

/* --- INTERRUPT ------------------------------------------------------------------------------------------------------------ */

static int interrupt(struct hostile *h, uint64_t unique)
{
	const struct fuse_interrupt_in in = { .unique = unique };

	wire_begin(&w, FUSE_INTERRUPT, 0);
	wire_add(&w, &in, sizeof(in));
	return wire_send(h, &w, 64);
}

static int interrupt_unknown(struct hostile *h, const struct hostile_case *c)
{
	for (uint64_t i = 0; i < c->arg; i++) {
		int got = interrupt(h, i * 0x9e3779b97f4a7c15ULL);

		if (got != BARE)
			return expect(h, "INTERRUPT", got, BARE);
	}
	say(h, "%llu, each a bare completion", (unsigned long long)c->arg);
	return 0;
}

static int interrupt_itself(struct hostile *h, const struct hostile_case *c)
{
	(void)c;
	if (expect(h, "INTERRUPT of itself", interrupt(h, h->f.unique + 2), BARE))
		return -1;
	return expect(h, "INTERRUPT of what was answered", interrupt(h, h->f.unique), BARE);
}

/* A lock that is waited for is interrupted, once and again, and before it begins. */
static int interrupt_lock(struct hostile *h, const struct hostile_case *c)
{
	struct fecall_lock lock = { h->known, 0, 1, 0, 100, F_WRLCK, false };
	uint64_t unique;
	int slot;

	(void)c;
	if (fecall_open(&h->f, h->known, O_RDWR, &lock.fh) || fecall_setlk(&h->f, &lock))
		return wrong(h, "no lock");
	lock.owner = 2;
	for (unsigned i = 0; i < 20; i++) {
		slot = fecall_setlkw_send(&h->f, 1, &lock, &unique);
		if (slot < 0)
			return wrong(h, "SETLKW was not sent");
		for (unsigned k = 0; k < 3; k++)
			if (fecall_interrupt(&h->f, unique))
				return wrong(h, "INTERRUPT failed");
		if (expect(h, "SETLKW", fefuse_receive(&h->f, slot, CASE_TIMEOUT_MS), -EINTR))
			return -1;
	}
	return 0;
}

static const struct hostile_case cases[] = {
	{ .name = "nodeid 2", .run = guessed, .arg = 2 },
	{ .name = "nodeid 0x100000001", .run = guessed, .arg = 0x100000001 },
	{ .name = "nodeid 2^63", .run = guessed, .arg = 1ULL << 63 },
	{ .name = "nodeid 2^64-1", .run = guessed, .arg = UINT64_MAX },
	{ .name = "nodeid of a node and one", .run = off_by_one, .arg = 1 },
	{ .name = "nodeid of a node less one", .run = off_by_one, .arg = 0 },
	{ .name = "nodeids with one bit turned", .run = bits_turned },
	{ .name = "twenty thousand guessed nodeids", .run = many_guesses, .lines = 20 },
	{ .name = "nodeids of another export",
	  .run = of_another_export,
	  .need = NEED_OTHER,
	  .lines = 4 },
	{ .name = "nodeids of an earlier root generation",
	  .run = of_an_earlier_root,
	  .need = NEED_REVOKE,
	  .lines = 20,
	  .sets_next = true },
	{ .name = "the nodeid of a deleted file whose inode number is used again", .run = deleted },
	{ .name = "LOOKUP .. above the root", .run = above_the_root },
	{ .name = "FORGET of more than was looked up", .run = forget_too_much, .arg = 1000 },
	{ .name = "FORGET of 2^64-1", .run = forget_too_much, .arg = UINT64_MAX },
	{ .name = "FORGET of the root", .run = forget_root },
	{ .name = "FORGET of unknown nodes", .run = forget_unknown },
	{ .name = "FORGET of an open node", .run = forget_open },
	{ .name = "BATCH_FORGET of one node two thousand times", .run = batch_of_one },
	{ .name = "INTERRUPT of an unknown request", .run = interrupt_unknown, .arg = 1 },
	{ .name = "INTERRUPT of ten thousand unknown requests",
	  .run = interrupt_unknown,
	  .arg = 10000 },
	{ .name = "INTERRUPT of itself and of what was answered", .run = interrupt_itself },
	{ .name = "INTERRUPT of a lock that is waited for",
	  .run = interrupt_lock,
	  .need = NEED_LOCKS },
};

const struct hostile_area area_node = { "node", cases, ARRAY_LEN(cases) };
