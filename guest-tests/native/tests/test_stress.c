/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_stress.c - two queues that do everything to the same few objects at once, while a third thread forgets them over the
 * high-priority queue and the share's own users rename them. What comes of it is not asked, but that each reply has its
 * form, that the errors are those that names and files can give, and that all works in the end. Made to be run with
 * ThreadSanitizer behind the socket; it is quick enough for all builds.
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
#include "rig.h"

#define WORKERS 2
#define ROUNDS 4000
#define NAMES 6
#define BYTES 8192

struct stress {
	struct rig *rig;
	_Atomic(uint64_t) nodeids[NAMES]; /* that were seen last under these names; 0 */
	_Atomic(uint64_t) dir;
	atomic_bool over;
	int share; /* directory of the host */
};

struct worker_arg {
	struct stress *s;
	struct fefuse f;
	uint64_t random;
	unsigned done;
};

static uint32_t below(uint64_t *random, uint32_t n)
{
	*random = *random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(*random >> 33) % n;
}

/* Whatever two who do not know of each other can do to a name or a file. */
static int allowed(int ret)
{
	switch (ret < 0 ? ret : 0) {
	case 0:
	case -ENOENT:
	case -EEXIST:
	case -ESTALE:
	case -ENOMEM:
	case -ENOTDIR:
	case -EISDIR:
	case -ENOTEMPTY:
	case -EINVAL:
	case -EBADF:
	case -EAGAIN:
	case -ENODATA:
	case -ENXIO:
		return ret;
	default:
		rig_fail(__FILE__, __LINE__, "a request gave %s", strerror(-ret));
	}
}

static void text_of(unsigned i, char out[4])
{
	(void)snprintf(out, 4, "n%u", i % 10);
}

static void by_file(struct worker_arg *a, uint64_t nodeid)
{
	static const struct fecall_lock none;
	struct fecall_lock lock = none;
	uint8_t bytes[BYTES];
	uint64_t fh;

	if (allowed(fecall_open(&a->f, nodeid, O_RDWR, &fh)))
		return;
	memset(bytes, (int)below(&a->random, 256), sizeof(bytes));
	allowed(fecall_write(&a->f, nodeid, fh, below(&a->random, 1 << 16), bytes, sizeof(bytes)));
	allowed(fecall_read(&a->f, nodeid, fh, below(&a->random, 1 << 16), bytes, sizeof(bytes)));
	lock = (struct fecall_lock){ .nodeid = nodeid,
				     .fh = fh,
				     .owner = 1 + a->f.queue,
				     .end = UINT64_MAX,
				     .type = F_WRLCK };
	allowed(fecall_setlk(&a->f, &lock));
	allowed(fecall_flush(&a->f, nodeid, fh, lock.owner));
	allowed(fecall_fsync(&a->f, nodeid, fh, true));
	allowed(fecall_release(&a->f, nodeid, fh));
}

static void by_directory(struct worker_arg *a, uint64_t dir)
{
	uint8_t bytes[BYTES];
	uint64_t fh;

	if (allowed(fecall_opendir(&a->f, dir, &fh)))
		return;
	allowed(fecall_readdirplus(&a->f, dir, fh, 0, bytes, sizeof(bytes)));
	allowed(fecall_readdir(&a->f, dir, fh, 0, bytes, sizeof(bytes)));
	allowed(fecall_releasedir(&a->f, dir, fh));
}

static void by_name(struct worker_arg *a, uint64_t parent, unsigned i)
{
	struct fuse_entry_out e;
	char name[4], other[4];
	uint64_t fh;

	text_of(i, name);
	text_of(below(&a->random, NAMES), other);
	switch (below(&a->random, 7)) {
	case 0:
		if (!allowed(fecall_create(&a->f, parent, name, O_RDWR, 0644, &e, &fh)))
			allowed(fecall_release(&a->f, e.nodeid, fh));
		break;
	case 1:
		allowed(fecall_unlink(&a->f, parent, name));
		break;
	case 2:
		allowed(fecall_rename2(&a->f, parent, name, ROOT, other, 0));
		break;
	case 3:
		allowed(fecall_rename2(&a->f, ROOT, name, parent, other, RENAME_EXCHANGE));
		break;
	case 4:
		allowed(fecall_mkdir(&a->f, parent, "d", 0755, &e));
		break;
	case 5:
		allowed(fecall_rmdir(&a->f, parent, "d"));
		break;
	default:
		if (!allowed(fecall_lookup(&a->f, parent, name, &e)))
			atomic_store(&a->s->nodeids[i], e.nodeid);
		if (!allowed(fecall_lookup(&a->f, ROOT, "dir", &e)))
			atomic_store(&a->s->dir, e.nodeid);
		break;
	}
}

static void *work(void *arg)
{
	struct worker_arg *a = arg;
	struct stress *s = a->s;

	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned which = below(&a->random, NAMES);
		uint64_t dir = below(&a->random, 2) ? ROOT : atomic_load(&s->dir);
		uint64_t nodeid = atomic_load(&s->nodeids[which]);
		struct fuse_entry_out e;

		if (!dir)
			dir = ROOT;
		by_name(a, dir, which);
		if (nodeid && below(&a->random, 2))
			allowed(fecall_lookup(&a->f, nodeid, ".", &e));
		if (nodeid && below(&a->random, 4) == 0)
			by_file(a, nodeid);
		if (below(&a->random, 8) == 0)
			by_directory(a, dir);
		a->done++;
	}
	return NULL;
}

/* The host's own users, and FORGET from a session of its own slots. */
static void *disturb(void *arg)
{
	struct worker_arg *a = arg;
	struct stress *s = a->s;

	while (!atomic_load(&s->over)) {
		char name[8], other[8];

		(void)snprintf(name, sizeof(name), "n%u", below(&a->random, NAMES));
		(void)snprintf(other, sizeof(other), "dir/n%u", below(&a->random, NAMES));
		(void)renameat(s->share, name, s->share, other);
		(void)renameat(s->share, other, s->share, name);
		if (below(&a->random, 50) == 0) {
			(void)renameat(s->share, "dir", s->share, "dir2");
			(void)renameat(s->share, "dir2", s->share, "dir");
		}
		(void)fecall_forget(&a->f, atomic_load(&s->nodeids[below(&a->random, NAMES)]), 3);
		(void)usleep(200);
	}
	return NULL;
}

static void two_queues(struct rig *rig)
{
	const struct fedevice_options options = { .request_queues = WORKERS };
	static struct worker_arg args[WORKERS + 1];
	struct stress s = { .rig = rig };
	pthread_t threads[WORKERS + 1];
	struct fuse_entry_out e;

	rig_start(rig, "--sandbox=none", "--posix-lock");
	rig_connect(rig, &options);
	s.share = open(rig->share, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(s.share >= 0);
	CHECK_OK(fecall_mkdir(&rig->f, ROOT, "dir", 0755, &e));
	atomic_store(&s.dir, e.nodeid);
	for (unsigned i = 0; i <= WORKERS; i++) {
		args[i].s = &s;
		args[i].random = i + 1;
		CHECK_OK(fefuse_open(&args[i].f, &rig->dev, 0, 2));
		args[i].f.queue = i < WORKERS ? i + 1 : 1;
	}
	for (unsigned i = 0; i <= WORKERS; i++)
		CHECK_OK(pthread_create(&threads[i], NULL, i < WORKERS ? work : disturb, &args[i]));
	for (unsigned i = 0; i < WORKERS; i++)
		CHECK_OK(pthread_join(threads[i], NULL));
	atomic_store(&s.over, true);
	CHECK_OK(pthread_join(threads[WORKERS], NULL));
	(void)close(s.share);

	CHECK_OK(fecall_mkdir(&rig->f, ROOT, "end", 0755, &e));
	CHECK_OK(fecall_rmdir(&rig->f, ROOT, "end"));
	rig_disconnect(rig);
	CHECK_EQ(rig_wait(rig), 0);
}

int main(int argc, char **argv)
{
	static const struct rig_test tests[] = { { "two_queues", two_queues } };

	return rig_main(argc, argv, tests, ARRAY_LEN(tests));
}
