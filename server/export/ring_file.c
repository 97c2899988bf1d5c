/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring_file.c - making, checking and mapping the ring's file. Called when a daemon starts and ends.
 *
 * Two locks of the kernel (OFD locks, which a dead process cannot leave behind) order the processes:
 * byte LOCK_INIT is held while the file is made, checked or repaired; byte LOCK_USE is shared by all
 * who have it mapped. Whoever finds nobody else on LOCK_USE is alone: what a killed daemon, an earlier
 * boot or a meddler left in the mutex, the futexes and the buckets is then made anew, the records are
 * kept. A file whose magic is still zero was never finished and is made again.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "base/util.h"
#include "export/ring_private.h"

#define LOCK_INIT 0
#define LOCK_USE 1
#define LOCK_WAIT_MS 5000u
#define LOCK_POLL_MS 5u
#define REOPENS 16

_Static_assert(sizeof(struct ring_header) <= RING_PAGE, "the header is one page");

static size_t ring_file_size(uint64_t capacity)
{
	return RING_PAGE + (sizeof(uint64_t) << ring_bucket_bits(capacity)) + (size_t)capacity;
}

static bool capacity_sane(uint64_t capacity)
{
	return capacity >= RING_CAPACITY_MIN && capacity <= RING_CAPACITY_MAX &&
	       (capacity & (capacity - 1)) == 0;
}

/* Takes, converts or gives back one lock byte without waiting: 0, or -EAGAIN if others are on it. */
static int lock_byte(int fd, short type, off_t byte)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

	while (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
		if (errno == EINTR)
			continue;
		return errno == EACCES ? -EAGAIN : errno_neg();
	}
	return 0;
}

static int lock_init_byte(int fd)
{
	const struct timespec pause = { .tv_nsec = LOCK_POLL_MS * 1000000L };
	int err = lock_byte(fd, F_WRLCK, LOCK_INIT);

	for (unsigned waited = 0; err == -EAGAIN && waited < LOCK_WAIT_MS; waited += LOCK_POLL_MS) {
		(void)nanosleep(&pause, NULL);
		err = lock_byte(fd, F_WRLCK, LOCK_INIT);
	}
	return err == -EAGAIN ? -ETIMEDOUT : err;
}

/*
 * Opens the file and takes its init lock. A file that was unlinked while we waited is no use: the
 * next one would have another.
 */
static int open_locked(int dirfd, const char *name, int *out, struct stat *st)
{
	for (int i = 0; i < REOPENS; i++) {
		CLEANUP_FD int fd =
			openat(dirfd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK,
			       0600);
		int err;

		if (fd < 0)
			return errno_neg();
		err = lock_init_byte(fd);
		if (err)
			return err;
		if (fstat(fd, st) < 0)
			return errno_neg();
		if (st->st_nlink == 0)
			continue;
		if (!S_ISREG(st->st_mode))
			return -EBADMSG;
		if ((st->st_uid != geteuid() && st->st_uid != 0) ||
		    (st->st_mode & (S_IRWXG | S_IRWXO)))
			return -EPERM;
		*out = fd_take(&fd);
		return 0;
	}
	return -EBUSY;
}

/* Gives every block of the file its place on the disk; without fallocate(2), by writing zeros. */
static int allocate(int fd, size_t size)
{
	static const uint8_t zeros[RING_PAGE * 16];

	if (fallocate(fd, 0, 0, (off_t)size) == 0)
		return 0;
	if (errno != EOPNOTSUPP)
		return errno_neg();
	for (size_t done = 0; done < size;) {
		size_t len = size - done < sizeof(zeros) ? size - done : sizeof(zeros);
		int err = pwrite_full(fd, zeros, len, (off_t)done);

		if (err)
			return err;
		done += len;
	}
	return 0;
}

static int ring_map(struct ring *r, int fd, uint64_t capacity)
{
	size_t size = ring_file_size(capacity);
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);

	if (p == MAP_FAILED)
		return errno_neg();
	r->header = p;
	r->mapped = size;
	r->capacity = capacity;
	r->bucket_bits = ring_bucket_bits(capacity);
	r->buckets = (uint64_t *)(void *)((uint8_t *)p + RING_PAGE);
	r->data = (uint8_t *)p + RING_PAGE + (sizeof(uint64_t) << r->bucket_bits);

	/* Write faults now, where a full disk is an error and not SIGBUS. Older kernels: EINVAL. */
	if (madvise(p, size, MADV_POPULATE_WRITE) < 0 && errno != EINVAL) {
		int err = errno == EFAULT ? ENOSPC : errno;

		(void)munmap(p, size);
		r->header = NULL;
		return -err;
	}
	return 0;
}

int ring_mutex_init(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attr;
	int err = pthread_mutexattr_init(&attr);

	assert(lock);
	if (err)
		return -err;
	err = pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	if (!err)
		err = pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	if (!err) {
		memset(lock, 0, sizeof(*lock));
		err = pthread_mutex_init(lock, &attr);
	}
	(void)pthread_mutexattr_destroy(&attr);
	return -err;
}

/* For the only user: everything but records, positions and shared numbers is made anew. */
static int repair(struct ring *r)
{
	struct ring_header *h = r->header;

	__atomic_store_n(&h->work_sleeping, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&h->drained_waiting, 0, __ATOMIC_SEQ_CST);
	ring_reindex(r);
	return ring_mutex_init(&h->lock);
}

static int ring_make(struct ring *r, int fd, const uint8_t uuid[HOLDFAST_UUID_LEN], size_t capacity)
{
	struct ring_header *h;
	int err;

	/* Truncated first: what is left of an unfinished file must read as zeros. */
	if (ftruncate(fd, 0) < 0)
		return errno_neg();
	err = allocate(fd, ring_file_size(capacity));
	if (!err)
		err = ring_map(r, fd, capacity);
	if (!err)
		err = repair(r);
	if (err) {
		/* If this fails too, what is left has no magic: the next open makes it again. */
		int ignored = ftruncate(fd, 0);

		(void)ignored;
		return err;
	}
	h = r->header;
	memcpy(h->uuid, uuid, HOLDFAST_UUID_LEN);
	h->capacity = capacity;
	__atomic_signal_fence(
		__ATOMIC_SEQ_CST); /* a killed process leaves its stores in program order */
	memcpy(h->magic, RING_MAGIC, sizeof(h->magic));
	return 0;
}

/* Maps a file that is there, if it is a ring of this export and its numbers can be true. */
static int ring_take(struct ring *r, int fd, const struct stat *st,
		     const uint8_t uuid[HOLDFAST_UUID_LEN], const struct ring_header *seen,
		     bool alone)
{
	uint64_t tail;
	int err;

	if (memcmp(seen->magic, RING_MAGIC, sizeof(seen->magic)) != 0 ||
	    memcmp(seen->uuid, uuid, HOLDFAST_UUID_LEN) != 0 || !capacity_sane(seen->capacity) ||
	    st->st_size < 0 || (uint64_t)st->st_size != ring_file_size(seen->capacity))
		return -EBADMSG;
	/* A file with holes (copied, restored) is filled; where it has none this costs nothing. */
	err = allocate(fd, ring_file_size(seen->capacity));
	if (!err)
		err = ring_map(r, fd, seen->capacity);
	if (err)
		return err;
	/* drained first: while we look, both may grow, and tail never falls behind it */
	uint64_t drained = shared_load(&r->header->drained);

	tail = shared_load(&r->header->tail);
	if (!ring_positions_sane(r, tail, drained))
		return -EBADMSG;
	return alone ? repair(r) : 0;
}

int ring_open(int dirfd, const char *name, const uint8_t uuid[HOLDFAST_UUID_LEN], size_t size,
	      struct ring **out, bool *created)
{
	CLEANUP_FD int fd = -1;
	struct ring_header seen;
	struct ring *r = NULL;
	struct stat st = { 0 };
	bool make, alone;
	int err;

	if (!capacity_sane(size))
		return -EINVAL;
	err = open_locked(dirfd, name, &fd, &st);
	if (err)
		return err;
	err = lock_byte(fd, F_WRLCK, LOCK_USE);
	if (err && err != -EAGAIN)
		return err;
	alone = !err;

	memset(&seen, 0, sizeof(seen));
	if (st.st_size >= (off_t)sizeof(seen)) {
		err = pread_full(fd, &seen, sizeof(seen), 0);
		if (err)
			return err;
	}
	static const uint8_t unfinished[sizeof(seen.magic)];
	make = alone &&
	       (st.st_size == 0 || (st.st_size >= (off_t)sizeof(seen) &&
				    memcmp(seen.magic, unfinished, sizeof(unfinished)) == 0));

	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->fd = -1;
	err = make ? ring_make(r, fd, uuid, size) : ring_take(r, fd, &st, uuid, &seen, alone);
	if (!err)
		err = lock_byte(fd, F_RDLCK, LOCK_USE);
	if (!err)
		err = lock_byte(fd, F_UNLCK, LOCK_INIT);
	if (err) {
		ring_close(r);
		return err;
	}
	r->fd = fd_take(&fd);
	*out = r;
	if (created)
		*created = make;
	return 0;
}

void ring_close(struct ring *r)
{
	if (!r)
		return;
	if (r->header)
		(void)munmap(r->header, r->mapped);
	(void)fd_close(r->fd);
	free(r);
}
