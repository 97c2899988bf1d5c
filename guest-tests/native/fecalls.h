/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fecalls.h - one function for each FUSE operation, over fefuse_call(): 0 or the reply's -errno.
 *
 * Out-parameters may be NULL. Names are strings without '/', as a kernel sends them, but nothing checks that. Uses
 * f->queue, f->uid, f->gid and f->pid; FORGET and INTERRUPT go to the high-priority queue.
 */
#ifndef HOLDFAST_NATIVE_FECALLS_H
#define HOLDFAST_NATIVE_FECALLS_H

#include "fefuse.h"

#define FECALL_FLAGS_ALL UINT64_MAX

/* A whole struct fuse_init_in of 7.38 with these flags (both words); the reply is in f->init. */
int fecall_init(struct fefuse *f, uint64_t flags);
/* Of the reply, both words. */
uint64_t fecall_init_flags(const struct fefuse *f);
int fecall_destroy(struct fefuse *f);

int fecall_lookup(struct fefuse *f, uint64_t parent, const char *name, struct fuse_entry_out *out);
int fecall_forget(struct fefuse *f, uint64_t nodeid, uint64_t count);
int fecall_batch_forget(struct fefuse *f, const struct fuse_forget_one *all, unsigned count);
int fecall_getattr(struct fefuse *f, uint64_t nodeid, struct fuse_attr *out);
int fecall_setattr(struct fefuse *f, uint64_t nodeid, const struct fuse_setattr_in *in,
		   struct fuse_attr *out);
int fecall_readlink(struct fefuse *f, uint64_t nodeid, char *out, size_t size);
int fecall_symlink(struct fefuse *f, uint64_t parent, const char *name, const char *target,
		   struct fuse_entry_out *out);
int fecall_mknod(struct fefuse *f, uint64_t parent, const char *name, uint32_t mode,
		 struct fuse_entry_out *out);
int fecall_mkdir(struct fefuse *f, uint64_t parent, const char *name, uint32_t mode,
		 struct fuse_entry_out *out);
int fecall_unlink(struct fefuse *f, uint64_t parent, const char *name);
int fecall_rmdir(struct fefuse *f, uint64_t parent, const char *name);
int fecall_rename2(struct fefuse *f, uint64_t parent, const char *name, uint64_t to_parent,
		   const char *to_name, uint32_t flags);
int fecall_link(struct fefuse *f, uint64_t nodeid, uint64_t parent, const char *name,
		struct fuse_entry_out *out);
int fecall_statfs(struct fefuse *f, uint64_t nodeid, struct fuse_kstatfs *out);
int fecall_access(struct fefuse *f, uint64_t nodeid, uint32_t mask);
int fecall_syncfs(struct fefuse *f, uint64_t nodeid);

int fecall_open(struct fefuse *f, uint64_t nodeid, uint32_t flags, uint64_t *fh);
int fecall_create(struct fefuse *f, uint64_t parent, const char *name, uint32_t flags,
		  uint32_t mode, struct fuse_entry_out *out, uint64_t *fh);
/* Bytes read or written, or -errno. */
int fecall_read(struct fefuse *f, uint64_t nodeid, uint64_t fh, uint64_t offset, void *to,
		uint32_t size);
int fecall_write(struct fefuse *f, uint64_t nodeid, uint64_t fh, uint64_t offset, const void *from,
		 uint32_t size);
int fecall_flush(struct fefuse *f, uint64_t nodeid, uint64_t fh, uint64_t owner);
int fecall_fsync(struct fefuse *f, uint64_t nodeid, uint64_t fh, bool datasync);
int fecall_release(struct fefuse *f, uint64_t nodeid, uint64_t fh);
int fecall_lseek(struct fefuse *f, uint64_t nodeid, uint64_t fh, uint64_t offset, uint32_t whence,
		 uint64_t *out);

int fecall_opendir(struct fefuse *f, uint64_t nodeid, uint64_t *fh);
/* Bytes of struct fuse_dirent (of struct fuse_direntplus), or -errno. */
int fecall_readdir(struct fefuse *f, uint64_t nodeid, uint64_t fh, uint64_t offset, void *to,
		   uint32_t size);
int fecall_readdirplus(struct fefuse *f, uint64_t nodeid, uint64_t fh, uint64_t offset, void *to,
		       uint32_t size);
int fecall_fsyncdir(struct fefuse *f, uint64_t nodeid, uint64_t fh, bool datasync);
int fecall_releasedir(struct fefuse *f, uint64_t nodeid, uint64_t fh);

/* Size of the value (of the list of names), or -errno; size 0 asks for it. */
int fecall_getxattr(struct fefuse *f, uint64_t nodeid, const char *name, void *to, uint32_t size);
int fecall_listxattr(struct fefuse *f, uint64_t nodeid, void *to, uint32_t size);
/* The long form where SETXATTR_EXT was agreed on. */
int fecall_setxattr(struct fefuse *f, uint64_t nodeid, const char *name, const void *value,
		    uint32_t size, uint32_t flags);
int fecall_removexattr(struct fefuse *f, uint64_t nodeid, const char *name);

/* POSIX locks of `owner` (of a whole file when flock): type is F_RDLCK, F_WRLCK or F_UNLCK. */
struct fecall_lock {
	uint64_t nodeid, fh, owner, start, end;
	uint32_t type;
	bool flock;
};
int fecall_setlk(struct fefuse *f, const struct fecall_lock *lock);
int fecall_getlk(struct fefuse *f, const struct fecall_lock *lock, struct fuse_file_lock *out);
/* Sends SETLKW and does not wait: the slot for fefuse_receive(), or -errno. *unique for fecall_interrupt(). */
int fecall_setlkw_send(struct fefuse *f, unsigned queue, const struct fecall_lock *lock,
		       uint64_t *unique);
int fecall_interrupt(struct fefuse *f, uint64_t unique);

#endif
