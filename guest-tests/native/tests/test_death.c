/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_death.c - daemons killed with -9 under a device: requests in flight, and handles.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"
#include "rig.h"

/* --- requests in flight -------------------------------------------------------------------------------------- */

#define WAITING 3 /* for a lock that nobody gives back */
#define LOOKUPS 12

/* How many heads of a queue the record says are in flight: its layout is the specification's. */
static unsigned recorded(const struct fedevice *dev, unsigned queue)
{
	struct head {
		uint64_t features;
		uint16_t version, size, last_batch, used_idx;
	} head;
	struct entry {
		uint8_t inflight, padding[5];
		uint16_t next;
		uint64_t counter;
	} entry;
	/* The queues' parts are alike; behind them is the daemon's note. */
	const uint64_t part = (dev->inflight.inflight.size - 64) / dev->inflight.inflight.queues;
	off_t at = (off_t)(dev->inflight.inflight.offset + queue * part);
	unsigned n = 0;

	CHECK_OK(pread_full(dev->inflight_fd, &head, sizeof(head), at));
	CHECK_EQ(head.version, 1);
	CHECK_EQ(head.size, dev->options.size);
	for (unsigned i = 0; i < head.size; i++) {
		CHECK_OK(pread_full(dev->inflight_fd, &entry, sizeof(entry),
				    at + (off_t)(sizeof(head) + i * sizeof(entry))));
		n += entry.inflight;
	}
	return n;
}

/* The rings of a new back-end: a session by queue 2 first, and then what was in flight on queue 1. */
static void come_back(struct rig *rig)
{
	struct fedevice *dev = &rig->dev;

	fedevice_hang_up(dev);
	CHECK_OK(frontend_connect(&dev->fe, rig->socket, FE_TIMEOUT_MS));
	CHECK_OK(fedevice_negotiate(dev));
	CHECK_OK(fedevice_share_memory(dev));
	CHECK_OK(fedevice_share_inflight(dev));
	CHECK_OK(fedevice_ring_start(dev, 0, fering_base(&dev->rings[0])));
	CHECK_OK(fedevice_ring_start(dev, 2, fering_base(&dev->rings[2])));
	rig->f.queue = 2;
	CHECK_OK(fecall_init(&rig->f, RIG_FLAGS));
	CHECK_OK(fedevice_ring_start(dev, 1, fering_base(&dev->rings[1])));
}

static void inflight_round(struct rig *rig, unsigned round)
{
	const struct fefuse_request lookup = { .opcode = FUSE_LOOKUP,
					       .nodeid = ROOT,
					       .in = { { (void *)(uintptr_t) "file", 5 } },
					       .parts = 1,
					       .room = sizeof(struct fuse_entry_out) };
	struct fecall_lock lock = { .owner = 1, .end = 9, .type = F_WRLCK };
	int waiting[WAITING];
	int lookups[LOOKUPS];
	uint64_t unique;

	rig->f.queue = 1;
	lock.nodeid = rig_lookup(rig, "file");
	CHECK_OK(fecall_open(&rig->f, lock.nodeid, O_RDWR, &lock.fh));
	CHECK_OK(fecall_setlk(&rig->f, &lock));
	for (unsigned i = 0; i < WAITING; i++) {
		lock.owner = 2 + i;
		waiting[i] = fecall_setlkw_send(&rig->f, 1, &lock, &unique);
		CHECK(waiting[i] >= 0);
	}
	CHECK_OK(fecall_getattr(&rig->f, ROOT, NULL));
	/* These are wherever the moment finds them: not taken, in hand, answered. */
	for (unsigned i = 0; i < LOOKUPS; i++) {
		lookups[i] = fefuse_send(&rig->f, 1, &lookup);
		CHECK(lookups[i] >= 0);
		if (i < round)
			(void)fefuse_done(&rig->f, lookups[i]);
	}
	rig_kill(rig);
	CHECK(recorded(&rig->dev, 1) >= WAITING);
	rig_start(rig, "--posix-lock", NULL);
	come_back(rig);
	for (unsigned i = 0; i < LOOKUPS; i++)
		CHECK_OK(fefuse_receive(&rig->f, lookups[i], FEFUSE_TIMEOUT_MS));
	/* Served again, and refused: the file was open in a session that is no more. */
	for (unsigned i = 0; i < WAITING; i++)
		CHECK_EQ(fefuse_receive(&rig->f, waiting[i], FEFUSE_TIMEOUT_MS), -EBADF);
	CHECK_EQ(rig->dev.rings[1].in_flight, 0);
	CHECK_EQ(recorded(&rig->dev, 1), 0);
	CHECK_EQ(fering_ready(&rig->dev.rings[1]), 0);
}

static void test_inflight(struct rig *rig)
{
	const struct fedevice_options options = { .request_queues = 2, .inflight = true };

	rig_put(rig, "file", "content\n", 8);
	rig_start(rig, "--posix-lock", NULL);
	rig_connect(rig, &options);
	CHECK(rig->dev.inflight_fd >= 0);
	for (unsigned round = 0; round < 12; round++)
		inflight_round(rig, round);
	rig_disconnect(rig);
	CHECK_EQ(rig_wait(rig), 0);
}

/* Rings that begin anew on the same connection: what was in flight is nobody's, and is not served again. */
static void begin_anew(struct rig *rig, bool reset)
{
	struct fecall_lock lock = { .owner = 1, .end = 9, .type = F_WRLCK };
	uint16_t base;
	uint64_t unique;

	rig->f.queue = 2;
	lock.nodeid = rig_lookup(rig, "file");
	CHECK_OK(fecall_open(&rig->f, lock.nodeid, O_RDWR, &lock.fh));
	CHECK_OK(fecall_setlk(&rig->f, &lock));
	for (lock.owner = 2; lock.owner < 2 + WAITING; lock.owner++)
		CHECK(fecall_setlkw_send(&rig->f, 1, &lock, &unique) >= 0);
	rig->f.queue = 1;
	CHECK_OK(fecall_getattr(&rig->f, ROOT, NULL));
	CHECK_EQ(recorded(&rig->dev, 1), WAITING);
	if (reset)
		CHECK_OK(frontend_tell(&rig->dev.fe, VHOST_RESET_DEVICE, NULL, 0, NULL, 0));
	fefuse_forget_slots(&rig->f);
	for (unsigned k = 0; k < rig->dev.ring_count; k++) {
		if (!reset)
			CHECK_OK(fedevice_ring_stop(&rig->dev, k, &base));
		fering_reset(&rig->dev.rings[k]);
		CHECK_OK(fedevice_ring_start(&rig->dev, k, 0));
	}
	CHECK_EQ(recorded(&rig->dev, 1), 0);
	CHECK_OK(fecall_init(&rig->f, RIG_FLAGS));
	for (unsigned i = 0; i < LOOKUPS; i++)
		(void)rig_lookup(rig, "file");
	CHECK_EQ(rig->dev.rings[1].used->idx, LOOKUPS + 1);
	CHECK_EQ(recorded(&rig->dev, 1), 0);
}

static void test_anew(struct rig *rig)
{
	const struct fedevice_options options = { .request_queues = 2, .inflight = true };

	rig_put(rig, "file", "content\n", 8);
	rig_start(rig, "--posix-lock", NULL);
	rig_connect(rig, &options);
	for (unsigned round = 0; round < 4; round++) {
		begin_anew(rig, round % 2);
		rig_kill(rig);
		rig_start(rig, "--posix-lock", NULL);
		CHECK_OK(fedevice_reconnect(&rig->dev, rig->socket));
		(void)rig_lookup(rig, "file");
	}
	rig_disconnect(rig);
	CHECK_EQ(rig_wait(rig), 0);
}

/* --- a guest that does not notice --------------------------------------------------------------------------- */

#define LISTED 60 /* in d; a reply holds about a third */

struct open_before {
	uint64_t file, fh, other, other_fh, dir, dir_fh, gone, gone_fh;
	uint64_t cookie; /* where the listing goes on */
	unsigned listed;
};

static void make_listed(const struct rig *rig)
{
	char path[4096];

	rig_put(rig, "file", "content\n", 8);
	rig_put(rig, "other", "another\n", 8);
	rig_put(rig, "gone", "content\n", 8);
	(void)snprintf(path, sizeof(path), "%s/d", rig->share);
	CHECK_OK(mkdir(path, 0755));
	for (unsigned i = 0; i < LISTED; i++) {
		(void)snprintf(path, sizeof(path), "d/name%02u", i);
		rig_put(rig, path, "x", 1);
	}
}

/* A part of the listing, from where the last one ended. False: it was the end. */
static bool list_on(struct rig *rig, struct open_before *o)
{
	uint8_t text[800];
	int n = fecall_readdir(&rig->f, o->dir, o->dir_fh, o->cookie, text, sizeof(text));

	CHECK(n >= 0);
	for (int i = 0; i < n;) {
		struct fuse_dirent d;

		memcpy(&d, text + i, FUSE_NAME_OFFSET);
		o->listed += memcmp(text + i + FUSE_NAME_OFFSET, "name", 4) == 0;
		o->cookie = d.off;
		i += (int)FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + d.namelen);
	}
	return n > 0;
}

/* kill -9 with lookups on their way, and the same rings, memory and fhs on the next daemon: nobody says INIT. */
static void next_daemon_unnoticed(struct rig *rig, const char *option)
{
	const struct fefuse_request lookup = { .opcode = FUSE_LOOKUP,
					       .nodeid = ROOT,
					       .in = { { (void *)(uintptr_t) "file", 5 } },
					       .parts = 1,
					       .room = sizeof(struct fuse_entry_out) };
	int slots[LOOKUPS];

	for (unsigned i = 0; i < LOOKUPS; i++) {
		slots[i] = fefuse_send(&rig->f, 1, &lookup);
		CHECK(slots[i] >= 0);
	}
	rig_kill(rig);
	rig_start(rig, option, NULL);
	CHECK_OK(fedevice_reconnect(&rig->dev, rig->socket));
	for (unsigned i = 0; i < LOOKUPS; i++) {
		const int ret = fefuse_receive(&rig->f, slots[i], FEFUSE_TIMEOUT_MS);

		CHECK(ret == 0 || (option && ret == -EIO));
	}
}

static void open_all_kinds(struct rig *rig, struct open_before *o)
{
	o->file = rig_lookup(rig, "file");
	o->other = rig_lookup(rig, "other");
	o->dir = rig_lookup(rig, "d");
	o->gone = rig_lookup(rig, "gone");
	CHECK_OK(fecall_open(&rig->f, o->file, O_RDWR, &o->fh));
	CHECK_OK(fecall_open(&rig->f, o->other, O_RDONLY, &o->other_fh));
	CHECK_OK(fecall_open(&rig->f, o->gone, O_RDWR, &o->gone_fh));
	CHECK_OK(fecall_opendir(&rig->f, o->dir, &o->dir_fh));
	CHECK(list_on(rig, o));
}

static void use_all_kinds(struct rig *rig, struct open_before *o, char byte)
{
	struct fefuse *f = &rig->f;
	char text[16] = "";

	CHECK_EQ(fecall_read(f, o->dir, o->dir_fh, 0, text, 8), -EBADF);
	CHECK_EQ(fecall_write(f, o->file, o->fh, 0, &byte, 1), 1);
	CHECK_EQ(fecall_read(f, o->file, o->fh, 0, text, 8), 8);
	CHECK_EQ(text[0], byte);
	CHECK_OK(memcmp(text + 1, "ontent\n", 7));
	CHECK_EQ(rig_get(rig, "file", text, sizeof(text)), 8);
	CHECK_EQ(text[0], byte);
	CHECK_OK(fecall_fsync(f, o->file, o->fh, false));
	CHECK_EQ(fecall_read(f, o->other, o->other_fh, 0, text, 8), 8);
	CHECK_OK(memcmp(text, "another\n", 8));
	CHECK(list_on(rig, o));
	/* An fh is of its file for good. */
	CHECK_EQ(fecall_read(f, o->other, o->fh, 0, text, 8), -EBADF);
	CHECK_EQ(fecall_read(f, o->gone, o->gone_fh, 0, text, 8), -ESTALE);
}

static void test_unnoticed(struct rig *rig)
{
	const struct fedevice_options options = { .request_queues = 2, .inflight = true };
	struct open_before o = { 0 };
	char path[4096];
	uint16_t base;
	uint64_t fh;
	char byte;

	make_listed(rig);
	rig_start(rig, NULL, NULL);
	rig_connect(rig, &options);
	open_all_kinds(rig, &o);
	(void)snprintf(path, sizeof(path), "%s/gone", rig->share);
	CHECK_OK(unlink(path));
	next_daemon_unnoticed(rig, NULL);
	use_all_kinds(rig, &o, 'B');
	next_daemon_unnoticed(rig, NULL);
	use_all_kinds(rig, &o, 'C');
	while (list_on(rig, &o))
		;
	CHECK_EQ(o.listed, LISTED);
	/* Another record for the same session, as after a pause of the guest. */
	for (unsigned i = 0; i < rig->dev.ring_count; i++)
		CHECK_OK(fedevice_ring_stop(&rig->dev, i, &base));
	rig->dev.inflight_fd = fd_close(rig->dev.inflight_fd);
	CHECK_OK(fedevice_share_inflight(&rig->dev));
	for (unsigned i = 0; i < rig->dev.ring_count; i++)
		CHECK_OK(fedevice_ring_start(&rig->dev, i, fering_base(&rig->dev.rings[i])));
	next_daemon_unnoticed(rig, NULL);
	CHECK_EQ(fecall_read(&rig->f, o.file, o.fh, 0, &byte, 1), 1);
	CHECK_OK(fecall_release(&rig->f, o.file, o.fh));
	CHECK_OK(fecall_release(&rig->f, o.gone, o.gone_fh));
	CHECK_OK(fecall_releasedir(&rig->f, o.dir, o.dir_fh));
	/* What this daemon opened is as ever. */
	CHECK_OK(fecall_open(&rig->f, o.file, O_RDONLY, &fh));
	CHECK_OK(fecall_release(&rig->f, o.file, fh));
	CHECK_EQ(fecall_release(&rig->f, o.file, fh), -EBADF);
	CHECK_EQ(fecall_read(&rig->f, o.file, fh, 0, &byte, 1), -EBADF);
	/* A new session knows nothing of what was open before. */
	CHECK_OK(fecall_init(&rig->f, RIG_FLAGS));
	CHECK_EQ(fecall_read(&rig->f, o.other, o.other_fh, 0, &byte, 1), -EBADF);
	rig_disconnect(rig);
	CHECK_EQ(rig_wait(rig), 0);
}

/* Where the session cannot go on, it is as if it had never been. */
static void test_noticed(struct rig *rig)
{
	const struct fedevice_options options = { .request_queues = 2, .inflight = true };

	rig_put(rig, "file", "content\n", 8);
	rig_start(rig, NULL, NULL);
	rig_connect(rig, &options);
	/* Options by which INIT would have agreed on something else. */
	next_daemon_unnoticed(rig, "--flock");
	CHECK_EQ(fecall_getattr(&rig->f, ROOT, NULL), -EIO);
	CHECK_OK(fecall_init(&rig->f, RIG_FLAGS));
	(void)rig_lookup(rig, "file");
	next_daemon_unnoticed(rig, "--flock");
	(void)rig_lookup(rig, "file");
	/* It has said good-bye. */
	CHECK_OK(fecall_destroy(&rig->f));
	rig_kill(rig);
	rig_start(rig, "--flock", NULL);
	CHECK_OK(fedevice_reconnect(&rig->dev, rig->socket));
	CHECK_EQ(fecall_getattr(&rig->f, ROOT, NULL), -EIO);
	/* The device was reset. */
	CHECK_OK(fecall_init(&rig->f, RIG_FLAGS));
	CHECK_OK(frontend_tell(&rig->dev.fe, VHOST_RESET_DEVICE, NULL, 0, NULL, 0));
	rig_kill(rig);
	rig_start(rig, "--flock", NULL);
	CHECK_OK(fedevice_reconnect(&rig->dev, rig->socket));
	CHECK_EQ(fecall_getattr(&rig->f, ROOT, NULL), -EIO);
	rig_disconnect(rig);
	CHECK_EQ(rig_wait(rig), 0);
}

/* --- handles ------------------------------------------------------------------------------------------------- */

#define FILES 2000
#define DIRS 20

static struct {
	uint64_t nodeid, generation, parent;
	char path[64], name[32];
} files[FILES];

static void make_tree(const struct rig *rig)
{
	rig_tree(rig, DIRS, FILES);
	for (unsigned i = 0; i < FILES; i++) {
		(void)snprintf(files[i].name, sizeof(files[i].name), "f%u", i);
		(void)snprintf(files[i].path, sizeof(files[i].path), "d%u/f%u", i % DIRS, i);
	}
}

/* All of them by name, from `first` on, every `step`th: the first time their handles are kept, then they must be the same. */
static void look_up_all(struct rig *rig, unsigned first, unsigned step, bool keep)
{
	for (unsigned n = 0; n < FILES; n++) {
		const unsigned i = (first + n * step) % FILES;
		struct fuse_entry_out entry;
		char dir[32];
		uint64_t parent;

		(void)snprintf(dir, sizeof(dir), "d%u", i % DIRS);
		parent = rig_lookup(rig, dir);
		CHECK_OK(fecall_lookup(&rig->f, parent, files[i].name, &entry));
		if (keep) {
			files[i].nodeid = entry.nodeid;
			files[i].generation = entry.generation;
			files[i].parent = parent;
		}
		CHECK_EQ(entry.nodeid, files[i].nodeid);
		CHECK_EQ(entry.generation, files[i].generation);
		CHECK_EQ(parent, files[i].parent);
	}
}

/* All of them by handle, as a kernel decodes one that it does not know, in an order of its own. */
static void open_all(struct rig *rig, unsigned first, unsigned step)
{
	for (unsigned n = 0; n < FILES; n++) {
		const unsigned i = (first + n * step) % FILES;
		struct fuse_entry_out entry;
		char text[64] = "";
		uint64_t fh;

		CHECK_OK(fecall_lookup(&rig->f, files[i].nodeid, ".", &entry));
		CHECK_EQ(entry.nodeid, files[i].nodeid);
		CHECK_EQ(entry.generation, files[i].generation);
		CHECK_OK(fecall_open(&rig->f, files[i].nodeid, O_RDONLY, &fh));
		CHECK_EQ(fecall_read(&rig->f, files[i].nodeid, fh, 0, text, sizeof(text) - 1),
			 strlen(files[i].path));
		CHECK_OK(strcmp(text, files[i].path));
		CHECK_OK(fecall_release(&rig->f, files[i].nodeid, fh));
	}
}

static void next_daemon(struct rig *rig)
{
	rig_kill(rig);
	rig_disconnect(rig);
	rig_start(rig, NULL, NULL);
	rig_connect(rig, NULL);
}

static void test_handles(struct rig *rig)
{
	make_tree(rig);
	rig_start(rig, NULL, NULL);
	rig_connect(rig, NULL);
	look_up_all(rig, 0, 1, true);
	/* At once, while nothing of it can be in the map but by the ring. */
	next_daemon(rig);
	open_all(rig, 77, 1999);
	next_daemon(rig);
	look_up_all(rig, 5, 1357, false);
	open_all(rig, 9, 3);
	/* One with nothing in it that was not looked up by handle. */
	next_daemon(rig);
	open_all(rig, 1, 777);
	look_up_all(rig, 1999, 1999, false);
	rig_disconnect(rig);
	CHECK_EQ(rig_wait(rig), 0);
}

/* --- the filter of system calls ------------------------------------------------------------------------------ */

/* A thread of a device makes a call that it must not make: $FORCECALL, with the number of $FORBIDDEN. */
static void test_forbidden(struct rig *rig)
{
	const struct fefuse_request lookup = { .opcode = FUSE_LOOKUP,
					       .nodeid = ROOT,
					       .in = { { (void *)(uintptr_t) "file", 5 } },
					       .parts = 1,
					       .room = sizeof(struct fuse_entry_out) };
	const char *force = getenv("FORCECALL");
	const char *number = getenv("FORBIDDEN");
	char text[8] = "";
	char pid[16];
	pid_t tracer;
	int out[2];

	CHECK(force && number);
	rig_put(rig, "file", "content\n", 8);
	rig_start(rig, NULL, NULL);
	rig_connect(rig, NULL);
	(void)snprintf(pid, sizeof(pid), "%d", rig->inside);
	CHECK_OK(pipe(out));
	tracer = fork();
	CHECK(tracer >= 0);
	if (tracer == 0) {
		(void)dup2(out[1], STDOUT_FILENO);
		(void)execl(force, "forcecall", pid, number, NULL);
		_exit(127);
	}
	CHECK_EQ(read(out[0], text, 6), 6);
	CHECK_OK(strcmp(text, "ready\n"));
	CHECK(fefuse_send(&rig->f, 1, &lookup) >= 0);
	/* The process outside is ended as one that failed, and says why. */
	CHECK_EQ(rig_wait(rig), 1);
	CHECK_EQ(waitpid(tracer, NULL, 0), tracer);
	rig_disconnect(rig);
}

static const struct rig_test tests[] = {
	{ "inflight", test_inflight }, { "unnoticed", test_unnoticed }, { "noticed", test_noticed },
	{ "handles", test_handles },   { "forbidden", test_forbidden }, { "anew", test_anew },
};

int main(int argc, char **argv)
{
	return rig_main(argc, argv, tests, ARRAY_LEN(tests));
}
