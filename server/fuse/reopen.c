/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * reopen.c - from an fh of an earlier daemon to one of ours: a hash table, guarded by its mutex, which nobody holds while
 * a file is opened. Called by all threads that serve requests.
 */
#include "fuse/reopen.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/util.h"
#include "fuse/ops.h"

#define BUCKETS 256
/* Entries beyond twice what is open, from which on those are looked for that are left over. */
#define SPARE 64

struct entry_of {
	uint64_t fh, own;
	struct entry_of *next;
};

struct reopened {
	pthread_mutex_t lock;
	struct entry_of *buckets[BUCKETS];
	unsigned count;
};

int reopened_new(struct reopened **out)
{
	struct reopened *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	pthread_mutex_init(&r->lock, NULL);
	*out = r;
	return 0;
}

void reopened_clear(struct reopened *r)
{
	pthread_mutex_lock(&r->lock);
	r->count = 0;
	for (unsigned i = 0; i < BUCKETS; i++) {
		struct entry_of *e = r->buckets[i];

		r->buckets[i] = NULL;
		while (e) {
			struct entry_of *next = e->next;

			free(e);
			e = next;
		}
	}
	pthread_mutex_unlock(&r->lock);
}

void reopened_free(struct reopened *r)
{
	if (!r)
		return;
	reopened_clear(r);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

/* Where the entry of an fh is, or would be added. With the lock held. */
static struct entry_of **find(struct reopened *r, uint64_t fh)
{
	struct entry_of **at = &r->buckets[(fh ^ fh >> 32) % BUCKETS];

	while (*at && (*at)->fh != fh)
		at = &(*at)->next;
	return at;
}

static bool find_own(struct reopened *r, uint64_t fh, uint64_t *own)
{
	const struct entry_of *e;

	pthread_mutex_lock(&r->lock);
	e = *find(r, fh);
	if (e)
		*own = e->own;
	pthread_mutex_unlock(&r->lock);
	return e != NULL;
}

/* Takes the entry out that *at points to. With the lock held. */
static void take_out(struct reopened *r, struct entry_of **at)
{
	struct entry_of *e = *at;

	*at = e->next;
	r->count--;
	free(e);
}

/*
 * Drops what is open no more: a guest may release our own fh instead of the one that it had, and that entry is left over. As
 * often as their number doubles, so that each costs the same. With the lock held.
 */
static void drop_closed(struct reopened *r, struct file_table *table)
{
	if (r->count < 2 * file_table_count(table) + SPARE)
		return;
	for (unsigned i = 0; i < BUCKETS; i++) {
		struct entry_of **at = &r->buckets[i];

		while (*at) {
			if (file_table_has(table, (*at)->own))
				at = &(*at)->next;
			else
				take_out(r, at);
		}
	}
}

/* Enters *own, or gives the one that another thread has entered first. */
static int enter(struct reopened *r, struct file_table *table, uint64_t fh, uint64_t *own)
{
	struct entry_of *made = malloc(sizeof(*made));
	struct entry_of **at;

	if (!made)
		return -ENOMEM;
	*made = (struct entry_of){ .fh = fh, .own = *own };
	pthread_mutex_lock(&r->lock);
	drop_closed(r, table);
	at = find(r, fh);
	if (*at) {
		*own = (*at)->own;
	} else {
		*at = made;
		made = NULL;
		r->count++;
	}
	pthread_mutex_unlock(&r->lock);
	free(made);
	return 0;
}

/* Whatever kind the request is for: it is not served if that is another one. */
static int open_anew(struct fuse_thread *t, nodeid_t nodeid, uint64_t *own)
{
	CLEANUP_HELD struct held held = { .t = t };
	int flags = O_RDWR;
	int fd = -EROFS;
	int error = held_get(t, nodeid.v, &held);
	bool directory;

	if (error)
		return error;
	directory = node_type(held.node) == S_IFDIR;
	if (!directory && node_type(held.node) != S_IFREG)
		return -EBADF;
	if (!directory && check_writable(t) == 0)
		fd = node_open(t->worker, held.node, flags);
	if (fd == -EROFS || fd == -EACCES || fd == -EPERM || fd == -ETXTBSY) {
		flags = O_RDONLY;
		fd = node_open(t->worker, held.node, flags);
	}
	if (fd < 0)
		return fd;
	return directory ? open_enter_dir(t, held.node, fd, own)
			 : open_enter(t, held.node, fd, flags, own);
}

unsigned reopened_count(struct reopened *r)
{
	unsigned count;

	pthread_mutex_lock(&r->lock);
	count = r->count;
	pthread_mutex_unlock(&r->lock);
	return count;
}

int reopen_get(struct fuse_thread *t, struct reopened *r, uint64_t fh, nodeid_t nodeid,
	       enum file_kind kind, struct open_file **out)
{
	struct file_table *table = fuse_server_files(t->server);
	uint64_t made;
	uint64_t own;
	int error;

	if (file_table_gave(table, fh))
		return -EBADF;
	if (find_own(r, fh, &own))
		return file_get(t->worker, table, own, nodeid, kind, out);
	error = open_anew(t, nodeid, &made);
	if (error)
		return error;
	own = made;
	error = enter(r, table, fh, &own);
	if (error || own != made)
		(void)file_release(t->worker, table, made, nodeid, FILE_ANY);
	return error ? error : file_get(t->worker, table, own, nodeid, kind, out);
}

int reopen_release(struct fuse_thread *t, struct reopened *r, uint64_t fh, nodeid_t nodeid,
		   enum file_kind kind)
{
	struct file_table *table = fuse_server_files(t->server);
	struct entry_of **at;
	uint64_t own;
	int error;

	if (file_table_gave(table, fh))
		return -EBADF;
	if (!find_own(r, fh, &own))
		return 0;
	error = file_release(t->worker, table, own, nodeid, kind);
	if (error)
		return error;
	pthread_mutex_lock(&r->lock);
	at = find(r, fh);
	if (*at)
		take_out(r, at);
	pthread_mutex_unlock(&r->lock);
	return 0;
}
