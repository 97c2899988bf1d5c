/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ops_lock.c - GETLK, SETLK, SETLKW, for POSIX, OFD and flock() locks.
 *
 * Each needs a valid fh. A request that has to wait is taken out of its thread's hands and answered by a thread of
 * the lock table; the session stops those threads before it goes.
 *
 * Called by libfuse in the thread of the request.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/util.h"
#include "fuse/locks.h"
#include "fuse/ops.h"
#include "fuse/reply.h"

/* A descriptor to lock with: for writing where it can be had, as write locks want that. */
static int open_for_locking(void *arg)
{
	const struct held *held = arg;
	struct worker *w = held->t->worker;
	int fd = -EROFS;

	if (node_type(held->node) == S_IFREG && check_writable(held->t) == 0)
		fd = node_open(w, held->node, O_RDWR);
	if (fd == -EROFS || fd == -EACCES || fd == -EPERM || fd == -ETXTBSY)
		fd = node_open(w, held->node, O_RDONLY);
	return fd;
}

/* Answers a request that waited, in the lock table's thread. */
static void answer(void *later, int error)
{
	fuse_later_reply(later, error);
}

/* Lets another thread wait for the lock and answer. The lock is taken over if it is 0: `req` is used up then. */
static int wait_elsewhere(fuse_req_t req, struct lock *lock, const struct lock_op *op)
{
	struct fuse_thread *t = fuse_thread_of(req);
	struct lock_wait wait = {
		.lock = lock, .op = *op, .unique = t->request.in->unique, .group = t, .done = answer
	};
	int error;

	wait.arg = fuse_thread_detach(req);
	if (!wait.arg)
		return -ENOMEM;
	error = lock_wait_start(fuse_server_locks(t->server), &wait);
	if (error) {
		lock_put(fuse_server_locks(t->server), lock);
		fuse_later_reply(wait.arg, error);
	}
	return 0;
}

/* Does `op`; *waits: the answer will come from another thread. */
static int do_lock(fuse_req_t req, uint64_t nodeid, const struct fuse_file_info *fi,
		   const struct lock_op *op, bool unlock, bool wait, bool *waits)
{
	struct fuse_thread *t = fuse_thread_of(req);
	CLEANUP_HELD struct held held = { .t = t };
	struct lock_table *table = fuse_server_locks(t->server);
	struct lock_key key = { .nodeid = { nodeid }, .owner = fi->lock_owner };
	struct lock *lock = NULL;
	int error = held_either(t, nodeid, fi, &held);

	*waits = false;
	if (!error)
		error = lock_get(table, key, fi->fh, unlock ? NULL : open_for_locking, &held,
				 &lock);
	if (error || !lock)
		return error; /* nothing to unlock is no error */
	error = lock_try(lock, op);
	if (error == -EAGAIN && wait) {
		error = wait_elsewhere(req, lock, op);
		*waits = error == 0;
	}
	if (!*waits)
		lock_put(table, lock);
	return error;
}

static void lock_and_reply(fuse_req_t req, uint64_t nodeid, const struct fuse_file_info *fi,
			   const struct lock_op *op, bool unlock, bool wait)
{
	bool waits;
	int error = do_lock(req, nodeid, fi, op, unlock, wait, &waits);

	if (!waits)
		reply_result(req, error);
}

static bool range_type_valid(const struct flock *range)
{
	return range->l_type == F_RDLCK || range->l_type == F_WRLCK || range->l_type == F_UNLCK;
}

void op_setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock,
	      int wait)
{
	struct lock_op op = { .range = *lock };

	op.range.l_pid = 0;
	if (!agreed(fuse_thread_of(req), FUSE_POSIX_LOCKS))
		reply_result(req, -ENOSYS);
	else if (!range_type_valid(lock))
		reply_result(req, -EINVAL);
	else
		lock_and_reply(req, ino, fi, &op, lock->l_type == F_UNLCK, wait != 0);
}

void op_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, int op)
{
	int kind = op & ~LOCK_NB;
	struct lock_op lock_op = { .is_flock = true, .flock_op = kind };

	if (!agreed(fuse_thread_of(req), FUSE_FLOCK_LOCKS))
		reply_result(req, -ENOSYS);
	else if (kind != LOCK_SH && kind != LOCK_EX && kind != LOCK_UN)
		reply_result(req, -EINVAL);
	else
		lock_and_reply(req, ino, fi, &lock_op, kind == LOCK_UN, !(op & LOCK_NB));
}

/* Who would be in the way of `range`; F_UNLCK: nobody. */
static int do_getlk(struct fuse_thread *t, uint64_t nodeid, const struct fuse_file_info *fi,
		    struct flock *range)
{
	CLEANUP_HELD struct held held = { .t = t };
	CLEANUP_FD int own = -1;
	struct lock_table *table = fuse_server_locks(t->server);
	struct lock_key key = { .nodeid = { nodeid }, .owner = fi->lock_owner };
	struct lock *lock = NULL;
	int error = held_either(t, nodeid, fi, &held);

	if (!error)
		error = lock_get(table, key, fi->fh, NULL, NULL, &lock);
	if (error)
		return error;
	/* An owner without locks asks with a descriptor of the moment. */
	if (!lock)
		own = node_open(t->worker, held.node, O_RDONLY);
	if (!lock && own < 0)
		return own;
	range->l_pid = 0;
	error = call_result(fcntl(lock ? lock_fd(lock) : own, F_OFD_GETLK, range));
	lock_put(table, lock);
	/* A pid of the host means nothing in the guest. */
	range->l_pid = 0;
	return error;
}

void op_getlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock)
{
	struct fuse_thread *t = fuse_thread_of(req);
	int error = !agreed(t, FUSE_POSIX_LOCKS) ? -ENOSYS : range_type_valid(lock) ? 0 : -EINVAL;

	if (!error)
		error = do_getlk(t, ino, fi, lock);
	if (error)
		reply_result(req, error);
	else
		(void)fuse_reply_lock(req, lock);
}

void locks_flush(struct fuse_thread *t, uint64_t nodeid, uint64_t owner)
{
	lock_drop_owner(fuse_server_locks(t->server),
			(struct lock_key){ .nodeid = { nodeid }, .owner = owner });
}

void locks_release(struct fuse_thread *t, uint64_t nodeid, const struct fuse_release_in *in)
{
	if (in->release_flags & FUSE_RELEASE_FLOCK_UNLOCK)
		locks_flush(t, nodeid, in->lock_owner);
	lock_drop_fh(fuse_server_locks(t->server), (nodeid_t){ nodeid }, in->fh);
}
