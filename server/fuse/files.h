/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * files.h - the table of open files and directories: what a guest's fh means.
 *
 * fh = slot | generation of the slot << 32. A guessed, closed or foreign fh, one of another nodeid or of
 * the other kind, is -EBADF. The generations of a table begin at a random number, so that an fh of an
 * earlier daemon does not fit by accident.
 */
#ifndef HOLDFAST_FUSE_FILES_H
#define HOLDFAST_FUSE_FILES_H

#include <pthread.h>
#include <sys/types.h>

#include "export/export.h"

enum file_kind { FILE_ANY, FILE_REGULAR, FILE_DIRECTORY };

/* What is open. All but the position is fixed while a reference is held. */
struct open_file {
	nodeid_t nodeid;
	struct node *node; /* a reference, given back when the file goes */
	int fd;
	int flags; /* O_* that the descriptor was opened with */
	enum file_kind kind;
	pthread_mutex_t
		position_lock; /* directories: guards lseek() with getdents64(), and what follows */
	off_t position;	       /* where the descriptor stands */
	/* Entries that were read and did not fit into a reply: what a READDIR from `ahead_at` on would read. */
	off_t ahead_at;
	uint16_t ahead_len; /* bytes; 0: none */
	uint8_t *ahead;	    /* FILE_AHEAD_MAX bytes, or NULL */
};

#define FILE_AHEAD_MAX 2048

struct file_table;

/* A table for at most `max` open files. 0, -ENOMEM, -EINVAL (max is 0). */
int file_table_new(unsigned max, struct file_table **out);
/* Takes NULL. Nothing may be open any more: file_table_clear() goes before. */
void file_table_free(struct file_table *table);
unsigned file_table_count(const struct file_table *table);
bool file_table_full(const struct file_table *table);

/* Was this fh given out by this table since the last file_table_clear(), be it closed now? */
bool file_table_gave(struct file_table *table, uint64_t fh);

/* Is it open? Once it was given out and is not, it never will be. */
bool file_table_has(struct file_table *table, uint64_t fh);

/* The end of a session: releases all that is open; files in use by other threads go when these put them. */
void file_table_clear(struct worker *w, struct file_table *table);

/* What to open: a template for the table's entry. */
struct file_spec {
	nodeid_t nodeid;
	struct node *node; /* may be NULL */
	int fd;
	int flags;
	enum file_kind kind; /* not FILE_ANY */
};

/* Takes `node` and `fd` over, and gives the fh. -ENFILE at the cap: both stay the caller's. */
int file_table_add(struct file_table *table, const struct file_spec *spec, uint64_t *fh);

/* The open file of `fh`, with a reference. -EBADF as said above. Takes no lock. */
int file_get(struct worker *w, struct file_table *table, uint64_t fh, nodeid_t nodeid,
	     enum file_kind kind, struct open_file **out);
void file_put(struct worker *w, struct file_table *table, struct open_file *file); /* takes NULL */

/* RELEASE: the fh is dead at once, the descriptor goes with the last reference. -EBADF. */
int file_release(struct worker *w, struct file_table *table, uint64_t fh, nodeid_t nodeid,
		 enum file_kind kind);

#endif
