/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ops.h - the operations' handlers, and what they share. For ops*.c alone.
 *
 * A handler is a few lines: the work is done by a function that gives 0 or -errno, the handler then
 * answers, exactly once. Requests come through the guard: names, lengths and counts are right; nodeids, fhs,
 * flags, modes and offsets are whatever the guest likes.
 */
#ifndef HOLDFAST_FUSE_OPS_H
#define HOLDFAST_FUSE_OPS_H

#include <stdio.h>

#include "fuse/files.h"
#include "fuse/fuse.h"

#define PROC_NAME_LEN 16

/* A node for the length of a handler, and the open file that the guest named, if it did. */
struct held {
	struct fuse_thread *t;
	struct node *node;
	struct open_file *file;
};
void held_drop(struct held *held);
#define CLEANUP_HELD __attribute__((cleanup(held_drop)))

/* The node of a nodeid. Of *held only held_drop()'s argument: it is set in any case. */
int held_get(struct fuse_thread *t, uint64_t nodeid, struct held *held);
/* The open file of an fh that belongs to `nodeid`; no node. */
int held_file(struct fuse_thread *t, uint64_t nodeid, uint64_t fh, enum file_kind kind,
	      struct held *held);
/* With fi, node and open file (of either kind); without, the node. */
int held_either(struct fuse_thread *t, uint64_t nodeid, const struct fuse_file_info *fi,
		struct held *held);
/* An O_PATH descriptor, as node_fd(). */
int held_fd(const struct held *held);

static inline bool agreed(const struct fuse_thread *t, uint64_t flag)
{
	return (fuse_server_flags(t->server) & flag) != 0;
}

/* -EROFS with --readonly. */
int check_writable(const struct fuse_thread *t);

/*
 * "N" in /proc/self/fd: system calls without a descriptor's form reach an O_PATH object by it. For those that have no
 * *at() either, the thread has that directory as its working directory after creds_enter_proc().
 */
static inline const char *proc_name(int fd, char name[PROC_NAME_LEN])
{
	(void)snprintf(name, PROC_NAME_LEN, "%d", fd);
	return name;
}

/* 0 or -errno of a system call that says -1. */
int call_result(long result);

/* ops_file.c: opens a node with the guest's flags and enters it in the table; takes no reference over. */
int open_node(struct fuse_thread *t, struct node *node, int flags, uint64_t *fh);
/* The guest's open flags as the host may have them; -EINVAL, -EROFS. */
int open_flags(const struct fuse_thread *t, int guest);
/* Enters a descriptor that was opened with `flags`; it is taken over in any case. */
int open_enter(struct fuse_thread *t, struct node *node, int fd, int flags, uint64_t *fh);
int open_enter_dir(struct fuse_thread *t, struct node *node, int fd, uint64_t *fh);

/* ops_xattr.c: sets an attribute as SETXATTR does, through the map and the rules. */
int xattr_store(struct fuse_thread *t, struct node *node, const char *name, const void *value,
		size_t len, int flags);
/*
 * File capabilities go with a write, truncate or chown. The host sees to it, unless the attribute has
 * another name there (CVE-2021-20263). fd may be an O_PATH descriptor.
 */
void xattr_drop_capability(struct fuse_thread *t, int fd);

/* ops_lock.c: locks that end with a FLUSH and with a RELEASE. */
void locks_flush(struct fuse_thread *t, uint64_t nodeid, uint64_t owner);
void locks_release(struct fuse_thread *t, uint64_t nodeid, const struct fuse_release_in *in);

/* The handlers, by file; arguments as struct fuse_lowlevel_ops has them. */
void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count);
void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *list);

void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int valid,
		struct fuse_file_info *fi);
void op_access(fuse_req_t req, fuse_ino_t ino, int mask);
void op_statfs(fuse_req_t req, fuse_ino_t ino);
void op_readlink(fuse_req_t req, fuse_ino_t ino);

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi);
void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name);

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	       const char *newname, unsigned int flags);

void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
		  struct fuse_file_info *fi);
void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi);
void op_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in,
			struct fuse_file_info *fi_in, fuse_ino_t ino_out, off_t off_out,
			struct fuse_file_info *fi_out, size_t len, int flags);

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi);
void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);

void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
		 int flags);
void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);

void op_getlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock);
void op_setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock,
	      int wait);
void op_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, int op);

void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int cmd, void *arg,
	      struct fuse_file_info *fi, unsigned flags, const void *in_buf, size_t in_size,
	      size_t out_size);

#endif
