/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_waits.c - what waits holds up no other request: not on its own queue, not on another, least of all on the
 * high-priority one.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"
#include "rig.h"

#define QUIET_MS 50

/* --- what holds up what ------------------------------------------------------------------------------------------ */

#define SOON_MS 10000 /* of a loaded machine; what waits here waits for longer */

static void others_go_on(struct fefuse *f, unsigned queue)
{
	struct fuse_entry_out entry;

	f->queue = queue;
	f->timeout_ms = SOON_MS;
	for (unsigned i = 0; i < 100; i++)
		CHECK_OK(fecall_getattr(f, ROOT, NULL));
	CHECK_OK(fecall_lookup(f, ROOT, "file", &entry));
	CHECK_OK(fecall_forget(f, 12345678, 1));
	f->timeout_ms = FEFUSE_TIMEOUT_MS;
}

static void all_wait(struct rig *rig, const int *slots, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		CHECK_EQ(fefuse_receive(&rig->f, slots[i], QUIET_MS), -ETIMEDOUT);
}

static void all_end(struct rig *rig, const int *slots, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		CHECK_OK(fefuse_receive(&rig->f, slots[i], FEFUSE_TIMEOUT_MS));
}

/* Sends a request of one argument struct, and data behind it. */
static int send_args(struct rig *rig, unsigned queue, uint32_t opcode, uint64_t nodeid,
		     const void *args, size_t len, const void *data, size_t data_len)
{
	const struct fefuse_request r = { .opcode = opcode,
					  .nodeid = nodeid,
					  .in = { { (void *)(uintptr_t)args, len },
						  { (void *)(uintptr_t)data, data_len } },
					  .parts = data_len ? 2 : 1,
					  .room = FEFUSE_IO,
					  .no_reply = opcode == FUSE_FORGET };
	const int slot = fefuse_send(&rig->f, queue, &r);

	CHECK(slot >= 0);
	return slot;
}
#define SEND(rig, queue, opcode, nodeid, args, data, len)                                          \
	send_args(rig, queue, opcode, nodeid, &(args), sizeof(args), data, len)

static void wait_for_locks(struct rig *rig, const char *option, bool flock)
{
	struct fecall_lock first = { .owner = 1, .end = 9, .type = F_WRLCK, .flock = flock };
	struct fecall_lock second = { .owner = 2, .end = 9, .type = F_WRLCK, .flock = flock };
	uint64_t unique;
	int slot;

	rig_put(rig, "file", "content\n", 8);
	rig_start(rig, option, NULL);
	rig_connect(rig, NULL);
	first.nodeid = second.nodeid = rig_lookup(rig, "file");
	CHECK_OK(fecall_open(&rig->f, first.nodeid, O_RDWR, &first.fh));
	second.fh = first.fh;
	for (unsigned i = 0; i < 3; i++) {
		CHECK_OK(fecall_setlk(&rig->f, &first));
		CHECK_EQ(fecall_setlk(&rig->f, &second), -EAGAIN);
		slot = fecall_setlkw_send(&rig->f, 1, &second, &unique);
		CHECK(slot >= 0);
		others_go_on(&rig->f, 1);
		CHECK_EQ(fefuse_receive(&rig->f, slot, QUIET_MS), -ETIMEDOUT);
		if (i % 2 == 0) {
			CHECK_OK(fecall_interrupt(&rig->f, unique));
			CHECK_EQ(fefuse_receive(&rig->f, slot, FEFUSE_TIMEOUT_MS), -EINTR);
		}
		first.type = F_UNLCK;
		CHECK_OK(fecall_setlk(&rig->f, &first));
		first.type = F_WRLCK;
		if (i % 2)
			CHECK_OK(fefuse_receive(&rig->f, slot, FEFUSE_TIMEOUT_MS));
		second.type = F_UNLCK;
		CHECK_OK(fecall_setlk(&rig->f, &second));
		second.type = F_WRLCK;
	}
	rig_disconnect(rig);
	CHECK_EQ(rig_wait(rig), 0);
}

static void test_locks(struct rig *rig)
{
	wait_for_locks(rig, "--posix-lock", false);
	wait_for_locks(rig, "--flock", true);
}

/* --- a file system that is frozen ---------------------------------------------------------------------------------- */

/* The share's file system stands still: whatever writes to it waits. A child thaws it, whatever happens to us. */
static pid_t freeze(const struct rig *rig, int *fd)
{
	pid_t guard;

	*fd = open(rig->share, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(*fd >= 0);
	guard = fork();
	CHECK(guard >= 0);
	if (guard == 0) {
		(void)signal(SIGTERM, SIG_IGN);
		for (unsigned i = 0; i < 200 && getppid() != 1; i++)
			(void)poll(NULL, 0, 100);
		(void)ioctl(*fd, FITHAW, 0);
		_exit(0);
	}
	CHECK_OK(ioctl(*fd, FIFREEZE, 0));
	return guard;
}

/* What goes to the pool by what it is: twice each. */
static void send_long(struct rig *rig, uint64_t nodeid, uint64_t fh, int slots[6])
{
	static uint8_t data[FEFUSE_IO];
	const struct fuse_fallocate_in allocate = { .fh = fh, .length = 4096 };
	const struct fuse_write_in large = { .fh = fh, .size = sizeof(data) };
	const struct fuse_write_in through = { .fh = fh, .size = 3, .flags = O_WRONLY | O_DSYNC };

	for (unsigned i = 0; i < 2; i++) {
		*slots++ = SEND(rig, 1, FUSE_WRITE, nodeid, large, data, sizeof(data));
		*slots++ = SEND(rig, 1, FUSE_FALLOCATE, nodeid, allocate, NULL, 0);
		*slots++ = SEND(rig, 1, FUSE_WRITE, nodeid, through, "abc", 3);
	}
}

/* What may be short, and mostly is: more of it than the pool has threads. */
static void send_short(struct rig *rig, uint64_t nodeid, uint64_t fh, int slots[9])
{
	const struct fuse_write_in small = { .fh = fh, .size = 3 };
	const struct fuse_mkdir_in dir = { .mode = 0755 };
	const struct fuse_setattr_in mode = { .valid = FATTR_MODE, .mode = 0600 };
	const struct fuse_setattr_in size = { .valid = FATTR_SIZE, .size = 100 };

	*slots++ = SEND(rig, 1, FUSE_WRITE, nodeid, small, "abc", 3);
	others_go_on(&rig->f, 1);
	*slots++ = SEND(rig, 1, FUSE_MKDIR, ROOT, dir, "dir", 4);
	*slots++ = SEND(rig, 1, FUSE_SETATTR, nodeid, mode, NULL, 0);
	*slots++ = SEND(rig, 1, FUSE_SETATTR, nodeid, size, NULL, 0);
	*slots++ = send_args(rig, 1, FUSE_UNLINK, ROOT, "other", 6, NULL, 0);
	for (unsigned i = 0; i < 4; i++)
		*slots++ = SEND(rig, 1, FUSE_WRITE, nodeid, small, "abc", 3);
}

static void test_blocking(struct rig *rig)
{
	const struct fedevice_options options = { .request_queues = 2 };
	struct fefuse second; /* with memory of its own for requests */
	uint64_t nodeid;
	uint64_t fh;
	pid_t guard;
	int slots[9];
	int fd;

	rig_put(rig, "file", "content\n", 8);
	rig_put(rig, "other", "content\n", 8);
	rig_start(rig, NULL, NULL);
	rig_connect(rig, &options);
	CHECK_OK(fefuse_open(&second, &rig->dev, 0, 4));
	nodeid = rig_lookup(rig, "file");
	CHECK_OK(fecall_open(&rig->f, nodeid, O_RDWR, &fh));
	for (unsigned round = 0; round < 3; round++) {
		const unsigned count = round ? 9 : 6;

		guard = freeze(rig, &fd);
		if (round)
			send_short(rig, nodeid, fh, slots);
		else
			send_long(rig, nodeid, fh, slots);
		/* On the same queue, on the other, and the high-priority one. */
		others_go_on(&rig->f, 1);
		others_go_on(&second, 2);
		all_wait(rig, slots, count);
		CHECK_OK(ioctl(fd, FITHAW, 0));
		all_end(rig, slots, count);
		(void)kill(guard, SIGKILL);
		(void)waitpid(guard, NULL, 0);
		(void)fd_close(fd);
		rig->f.queue = 1;
		if (round)
			CHECK_OK(fecall_rmdir(&rig->f, ROOT, "dir"));
		rig_put(rig, "other", "content\n", 8);
	}
	rig_disconnect(rig);
	CHECK_EQ(rig_wait(rig), 0);
}

/* --- a lease on the host --------------------------------------------------------------------------------------------- */

/* A process that has a lease on the file, and gives it back when `end` is closed. */
static pid_t take_lease(const struct rig *rig, int *end)
{
	char path[4096];
	int ready[2];
	int done[2];
	char byte;
	pid_t pid;

	(void)snprintf(path, sizeof(path), "%s/file", rig->share);
	CHECK_OK(pipe(ready));
	CHECK_OK(pipe(done));
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		int fd = open(path, O_RDWR | O_CLOEXEC);

		(void)signal(SIGIO, SIG_IGN);
		(void)close(done[1]);
		if (fcntl(fd, F_SETLEASE, F_WRLCK) == 0 && write(ready[1], "", 1) == 1)
			(void)!read(done[0], &byte, 1);
		(void)fcntl(fd, F_SETLEASE, F_UNLCK);
		_exit(0);
	}
	(void)close(ready[1]);
	CHECK_EQ(read(ready[0], &byte, 1), 1);
	(void)close(ready[0]);
	(void)close(done[0]);
	*end = done[1];
	return pid;
}

static void test_lease(struct rig *rig)
{
	const struct fuse_open_in reading = { .flags = O_RDONLY };
	const struct fuse_open_in truncating = { .flags = O_WRONLY | O_TRUNC };
	const struct fuse_create_in creating = { .flags = O_RDWR, .mode = 0644 };
	uint64_t nodeid;
	int slots[3];
	pid_t pid;
	int end;

	rig_put(rig, "file", "content\n", 8);
	pid = take_lease(rig, &end);
	rig_start(rig, NULL, NULL);
	rig_connect(rig, NULL);
	nodeid = rig_lookup(rig, "file");
	slots[0] = SEND(rig, 1, FUSE_OPEN, nodeid, reading, NULL, 0);
	slots[1] = SEND(rig, 1, FUSE_OPEN, nodeid, truncating, NULL, 0);
	slots[2] = SEND(rig, 1, FUSE_CREATE, ROOT, creating, "file", 5);
	others_go_on(&rig->f, 1);
	all_wait(rig, slots, ARRAY_LEN(slots));
	CHECK_OK(close(end));
	all_end(rig, slots, ARRAY_LEN(slots));
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	rig_disconnect(rig);
	CHECK_EQ(rig_wait(rig), 0);
}

#define LIES 14

/* Memory that is no file's, nor the guest's. */
static long own_kb(pid_t pid)
{
	char path[64];
	char line[256];
	long kb = -1;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	CHECK(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "RssAnon: %ld", &kb) == 1)
			break;
	(void)fclose(f);
	CHECK(kb > 0);
	return kb;
}

/* The pool waits, and is sent a megabyte with each request of a kind that goes there: nothing is kept of it. */
static void test_bytes(struct rig *rig)
{
	static const uint8_t junk[FEFUSE_IO];
	const struct fuse_open_in reading = { .flags = O_RDONLY };
	const struct fuse_fsync_in sync = { 0 };
	const struct fuse_copy_file_range_in copy = { 0 };
	int slots[LIES];
	int waits;
	uint64_t nodeid;
	long before;
	pid_t pid;
	int end;

	rig_put(rig, "file", "content\n", 8);
	pid = take_lease(rig, &end);
	rig_start(rig, "--thread-pool-size=1", NULL);
	rig_connect(rig, NULL);
	nodeid = rig_lookup(rig, "file");
	waits = SEND(rig, 1, FUSE_OPEN, nodeid, reading, NULL, 0);
	others_go_on(&rig->f, 1);
	/* What a queue has once touched it keeps. */
	slots[0] = SEND(rig, 1, FUSE_GETATTR, nodeid, sync, junk, sizeof(junk));
	CHECK_EQ(fefuse_receive(&rig->f, slots[0], SOON_MS), -EINVAL);
	before = own_kb(rig->inside);
	for (unsigned i = 0; i < LIES; i++)
		slots[i] = i % 2 ? SEND(rig, 1, FUSE_FSYNC, nodeid, sync, junk, sizeof(junk))
				 : SEND(rig, 1, FUSE_COPY_FILE_RANGE, nodeid, copy, junk,
					sizeof(junk));
	others_go_on(&rig->f, 1);
	CHECK(own_kb(rig->inside) < before + LIES * 1024 / 2);
	for (unsigned i = 0; i < LIES; i++)
		CHECK_EQ(fefuse_receive(&rig->f, slots[i], SOON_MS), -EINVAL);
	all_wait(rig, &waits, 1);
	CHECK_OK(close(end));
	all_end(rig, &waits, 1);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	rig_disconnect(rig);
	CHECK_EQ(rig_wait(rig), 0);
}

/* --- a disk that stands still ------------------------------------------------------------------------------------------ */

/* The case has put the share on a disk that is stopped by files (tests/tools/slowdisk.c): $HOLD.read, $HOLD.write. */
static void hold(const char *what, bool on)
{
	char path[4096];

	CHECK(getenv("HOLD"));
	(void)snprintf(path, sizeof(path), "%s.%s", getenv("HOLD"), what);
	if (on)
		(void)fd_close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	else
		CHECK_OK(unlink(path));
}

/* Deleted, and held by nothing but the guest's lookups: with the FORGET of these the host deletes it. */
static uint64_t make_nameless(struct rig *rig, const char *name)
{
	const uint64_t nodeid = rig_lookup(rig, name);

	CHECK_OK(fecall_unlink(&rig->f, ROOT, name));
	return nodeid;
}

/* Nothing below "cold" and of the data of "data" and "big*" is in memory. */
static void wait_for_reads(struct rig *rig)
{
	const uint64_t cold = rig_lookup(rig, "cold");
	const uint64_t data = rig_lookup(rig, "data");
	const struct fuse_forget_in forget = { .nlookup = 9 };
	struct fuse_read_in read = { .size = 4096 };
	const uint64_t gone[2] = { make_nameless(rig, "big1"), make_nameless(rig, "big2") };
	int slots[6];

	CHECK_OK(fecall_open(&rig->f, data, O_RDONLY, &read.fh));
	hold("read", true);
	slots[0] = SEND(rig, 0, FUSE_FORGET, gone[0], forget, NULL, 0);
	slots[1] = SEND(rig, 0, FUSE_FORGET, gone[1], forget, NULL, 0);
	slots[2] = send_args(rig, 1, FUSE_LOOKUP, cold, "file", 5, NULL, 0);
	slots[3] = SEND(rig, 1, FUSE_READ, data, read, NULL, 0);
	read.size = FEFUSE_IO;
	slots[4] = SEND(rig, 1, FUSE_READ, data, read, NULL, 0);
	slots[5] = send_args(rig, 1, FUSE_LOOKUP, cold, "other", 6, NULL, 0);
	rig->f.timeout_ms = SOON_MS;
	CHECK_OK(fecall_interrupt(&rig->f, 4711));
	others_go_on(&rig->f, 1);
	all_wait(rig, slots, ARRAY_LEN(slots));
	hold("read", false);
	all_end(rig, slots, ARRAY_LEN(slots));
}

static void wait_for_writes(struct rig *rig)
{
	const uint64_t nodeid = rig_lookup(rig, "file");
	struct fuse_fsync_in sync = { 0 };
	const struct fuse_syncfs_in all = { 0 };
	int slots[3];

	CHECK_OK(fecall_open(&rig->f, nodeid, O_RDWR, &sync.fh));
	CHECK_EQ(fecall_write(&rig->f, nodeid, sync.fh, 0, "changed", 7), 7);
	hold("write", true);
	slots[0] = SEND(rig, 1, FUSE_FSYNC, nodeid, sync, NULL, 0);
	sync.fsync_flags = 1;
	slots[1] = SEND(rig, 1, FUSE_FSYNC, nodeid, sync, NULL, 0);
	slots[2] = SEND(rig, 1, FUSE_SYNCFS, ROOT, all, NULL, 0);
	others_go_on(&rig->f, 1);
	all_wait(rig, slots, ARRAY_LEN(slots));
	hold("write", false);
	all_end(rig, slots, ARRAY_LEN(slots));
}

static void test_disk(struct rig *rig)
{
	rig_start(rig, NULL, NULL);
	rig_connect(rig, NULL);
	(void)rig_lookup(rig, "file");
	wait_for_reads(rig);
	wait_for_writes(rig);
	rig_disconnect(rig);
	CHECK_EQ(rig_wait(rig), 0);
}

#define FILES 64
#define LET_GO_MS 7000 /* every five seconds the daemon lets go of what the host has deleted */

/* What the host deletes while the daemon holds the last descriptor of it goes with that, as slowly as the disk is. */
static void test_deleted(struct rig *rig)
{
	char path[4096];
	uint64_t nodeid;
	uint64_t end;
	uint64_t fh;

	rig_start(rig, NULL, NULL);
	rig_connect(rig, NULL);
	nodeid = rig_lookup(rig, "big1");
	CHECK_OK(fecall_open(&rig->f, nodeid, O_RDONLY, &fh));
	CHECK_OK(fecall_release(&rig->f, nodeid, fh));
	for (unsigned i = 0; i < FILES; i++) {
		(void)snprintf(path, sizeof(path), "f%u", i);
		(void)rig_lookup(rig, path);
	}
	(void)snprintf(path, sizeof(path), "%s/big1", rig->share);
	CHECK_OK(unlink(path));
	hold("read", true);
	rig->f.timeout_ms = SOON_MS;
	for (end = clock_ns() + LET_GO_MS * 1000000ULL; clock_ns() < end; (void)poll(NULL, 0, 50)) {
		for (unsigned i = 0; i < FILES; i++) {
			(void)snprintf(path, sizeof(path), "f%u", i);
			(void)rig_lookup(rig, path);
		}
	}
	hold("read", false);
	rig_disconnect(rig);
	CHECK_EQ(rig_wait(rig), 0);
}

static const struct rig_test tests[] = {
	{ "locks", test_locks }, { "blocking", test_blocking }, { "lease", test_lease },
	{ "bytes", test_bytes }, { "disk", test_disk },		{ "deleted", test_deleted },
};

int main(int argc, char **argv)
{
	return rig_main(argc, argv, tests, ARRAY_LEN(tests));
}
