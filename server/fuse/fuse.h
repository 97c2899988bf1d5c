/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuse.h - the FUSE layer as a transport sees it, and what its own files share.
 *
 * One `struct fuse_server` per connection to a guest's kernel (a mount, or a vhost-user device): options,
 * the table of open files, what INIT agreed on. One `struct fuse_thread` per thread that serves requests:
 * a libfuse session with custom I/O, a worker of the export, the request in hand, an I/O buffer.
 *
 *   transport -> fuse_thread_request(bytes) -> guard -> wire layer's own opcodes | libfuse -> ops_*.c
 *                                                   -> export/ -> reply -> fuse_thread's reply callback
 */
#ifndef HOLDFAST_FUSE_FUSE_H
#define HOLDFAST_FUSE_FUSE_H

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>

#include <pthread.h>
#include <stdatomic.h>
#include <sys/uio.h>

#include "export/export.h"
#include "fuse/protocol.h"

enum cache_policy { CACHE_AUTO, CACHE_ALWAYS, CACHE_METADATA, CACHE_NEVER };

struct xattrmap; /* xattrmap.h */
struct idmap;	 /* idmap.h */

/* Options, set once by the administrator's command line. */
struct fuse_config {
	enum cache_policy cache;
	bool readonly;
	bool xattr;
	const struct xattrmap *xattrmap; /* NULL: names pass unchanged */
	bool posix_acl; /* asked for; else see if_offered: then they are the host's, unmapped */
	bool security_label; /* needs xattr: a label is set as one */
	bool announce_submounts;
	const struct idmap *uidmap; /* NULL: unchanged */
	const struct idmap *gidmap;
	bool preserve_noatime;
	bool killpriv_v2;
	bool writeback;
	bool flock;		/* flock() is the host's, not the guest's alone */
	bool posix_lock;	/* the same for fcntl locks */
	bool direct_io_allowed; /* --allow-direct-io: O_DIRECT is passed to the host */
	bool local_mount;	/* the peer is this machine's own kernel, over /dev/fuse */
	bool no_readdirplus;
	/*
	 * FUSE_* flags that are taken where they are offered. The options above must be offered: else INIT is
	 * refused.
	 */
	uint64_t if_offered;
	unsigned max_open;		    /* cap of open files and directories */
	unsigned max_locks;		    /* cap of lock owners' descriptors */
	double entry_timeout, attr_timeout; /* seconds, from `cache` unless set */
};

/*
 * A request as a transport hands it in. `bytes` is private memory, which nobody changes any more. File data may stay
 * where the guest has it: what a WRITE brings in `payload`, room for what a READ gives in `room`; both may be changed by
 * the guest at any time, and go to the kernel only.
 */
struct fuse_message {
	const void *bytes; /* header and arguments, without the payload */
	size_t len;
	const struct iovec
		*payload; /* WRITE: the data behind `bytes`, or count 0: it is in `bytes` */
	unsigned payload_count;
	size_t payload_len;
	const struct iovec
		*room; /* READ: where the data may go, behind the reply's header, or count 0 */
	unsigned room_count;
	size_t room_len;
	bool may_block; /* else FUSE_REQUEST_BLOCKS is a possible answer */
	void *token;	/* the transport's name for the request */
};

/* What became of a request. */
enum fuse_request_result {
	FUSE_REQUEST_ANSWERED, /* reply() was called */
	FUSE_REQUEST_SILENT,   /* of a kind that is never answered */
	FUSE_REQUEST_LATER, /* detach() was called: another thread calls reply(), or has done so already */
	FUSE_REQUEST_BLOCKS, /* nothing was done: hand it in again where it may block (may_block) */
};

struct fuse_transport_ops {
	/*
	 * The answer of a request: all of it in one piece (header and data), and of a READ `placed` bytes more
	 * that are in `room` already. Called once for each request. 0 or -errno: it did not arrive.
	 */
	int (*reply)(void *token, const struct iovec *iov, int count, size_t placed);
	/*
	 * The request will be answered from another thread, by the token that this gives (NULL without memory); payload
	 * and room are not used any more. May be NULL: the token is good for any thread.
	 */
	void *(*detach)(void *token);
};

struct fuse_server;
struct fuse_thread;

int fuse_server_new(struct export *x, const struct fuse_config *config, struct fuse_server **out);
void fuse_server_free(struct fuse_server *s); /* closes all open files; every thread must be gone */

/* For status. */
struct fuse_server_stats {
	uint64_t requests, refused; /* all; those that the guard did not let through */
	unsigned open_files, locks;
	bool initialized;
	uint32_t major, minor;
	uint64_t flags; /* agreed at INIT */
};
void fuse_server_stats(struct fuse_server *s, struct fuse_server_stats *out);

/*
 * NULL, or why the guest's kernel was refused at INIT: an option of the administrator's that it does not
 * offer, by name (logged already). A transport that has one guest for good ends then.
 */
const char *fuse_server_refused(const struct fuse_server *s);

int fuse_thread_new(struct fuse_server *s, const struct fuse_transport_ops *ops,
		    struct fuse_thread **out);
void fuse_thread_free(struct fuse_thread *t);

/*
 * Serves one request: checks, answers. Every request but FORGET, BATCH_FORGET and INTERRUPT gets exactly one reply,
 * before or after this returns (blocking locks are answered from another thread). Never fails for what a
 * guest sent: the answer is in the reply. enum fuse_request_result, or -EIO when not even a header can be made out (no
 * reply then).
 */
int fuse_thread_request(struct fuse_thread *t, const struct fuse_message *message);

/*
 * Would the request be better off where it does not hold up others (fsync, syncfs, large copies, what is written through)? Reads the
 * header and the arguments of `message` alone; says nothing of whether it is valid.
 */
bool fuse_message_is_long(const struct fuse_message *message);
/* Does it change nothing in the share? One that does (and one that is nonsense) may wait for writers, one that looks not. */
bool fuse_message_only_looks(const struct fuse_message *message);
/* May what came after it be answered first? Not before what begins or ends the session, or interrupts. */
bool fuse_message_may_be_late(const struct fuse_message *message);

/* Largest request that can come: header, 1 MiB of data, and the arguments. */
#define FUSE_REQUEST_MAX ((size_t)(1 << 20) + 4096)

/* A new session of the guest (its kernel booted anew): open files are closed, INIT is awaited. */
void fuse_server_reset(struct fuse_server *s);

/*
 * A session as its INIT made it: what the guest's kernel said, and what came of that. For a transport whose guest does not notice
 * that a daemon died: the next daemon goes on by it, without an INIT.
 */
struct fuse_agreement {
	uint32_t minor, max_readahead; /* the guest's */
	uint64_t offered, agreed;      /* FUSE_* flags, both words */
};

/* Every lock that is waited for is answered with EINTR; returns when that is done. Where they are answered to has to be dropped before. */
void fuse_server_end_waits(struct fuse_server *s);

/*
 * Has `keep` told of the session that is, of each that begins, and (NULL) of its end, in the thread that has the request in hand, never
 * by two at once. NULL: nobody any more; who was is told nothing after this has returned.
 */
typedef void fuse_keep_fn(void *arg, const struct fuse_agreement *agreement);
void fuse_server_keep(struct fuse_server *s, fuse_keep_fn *keep, void *arg);

/*
 * Goes on with a session that an earlier daemon began. The bytes may be anybody's: nothing comes of them that an INIT with the
 * same offer would not make. -EINVAL: it would agree on something else (other options, another version; or they are made
 * up); -EBUSY: there is a session.
 */
int fuse_server_resume(struct fuse_server *s, const struct fuse_agreement *agreement);

/* ---- inside the layer ------------------------------------------------------------------------------ */

/* The request that a thread has in hand: what libfuse does not hand on. Valid until the handler returns. */
struct fuse_request {
	const struct fuse_in_header *in;
	const uint8_t
		*args;	 /* behind the header, as the guard left them (normalized for libfuse) */
	size_t args_len; /* without extensions */
	/* from the guard: */
	uint32_t open_flags_kill; /* OPEN/CREATE: FUSE_OPEN_KILL_SUIDGID was set */
	bool kill_suidgid;  /* SETATTR (FATTR_KILL_SUIDGID), WRITE (FUSE_WRITE_KILL_SUIDGID) */
	bool acl_kill_sgid; /* SETXATTR: FUSE_SETXATTR_ACL_KILL_SGID */
	bool has_group;	    /* extension FUSE_EXT_GROUPS: one supplementary group */
	uint32_t group;
	const char *secctx_name; /* FUSE_SECURITY_CTX, first context, or NULL; NUL-terminated */
	const void *secctx;
	uint32_t secctx_len;
};

struct fuse_thread {
	struct fuse_server *server;
	struct worker *worker;
	struct fuse_session *session;
	struct fuse_request request;
	const struct fuse_transport_ops *ops;
	const struct fuse_message *message; /* in hand */
	enum fuse_request_result result;    /* of the one in hand */
	uint8_t *
		scratch; /* page-aligned, FUSE_REQUEST_MAX: normalized requests; a handler may use io below */
	uint8_t *
		io; /* page-aligned, FUSE_REQUEST_MAX: READ, READDIR, xattrs build their reply here */
	bool umask_private; /* the thread has its own umask (unshare(CLONE_FS)) */
	bool session_ready; /* the libfuse session has had its INIT */
};

/* The thread of a libfuse request, in every handler. */
static inline struct fuse_thread *fuse_thread_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* The operations for libfuse (ops.c). */
extern const struct fuse_lowlevel_ops holdfast_ops;

/* The wire layer's own opcodes; each sends its reply with fuse_thread_reply(). (wire_*.c, ops_*.c) */
void fuse_wire_init(struct fuse_thread *t);
void fuse_wire_destroy(struct fuse_thread *t);
void fuse_wire_interrupt(struct fuse_thread *t);
void fuse_wire_syncfs(struct fuse_thread *t);  /* ops_file.c */
void fuse_wire_tmpfile(struct fuse_thread *t); /* ops_create.c */
void fuse_wire_statx(struct fuse_thread *t);   /* ops_attr.c */
void fuse_wire_getattr(struct fuse_thread *t); /* ops_attr.c */
void fuse_wire_lookup(struct fuse_thread *t);  /* ops_lookup.c */
void fuse_wire_open(struct fuse_thread *t);    /* ops_file.c: OPEN, OPENDIR */
void fuse_wire_release(struct fuse_thread *t); /* ops_file.c: RELEASE, RELEASEDIR */
void fuse_wire_read(struct fuse_thread *t);    /* ops_data.c */
void fuse_wire_write(struct fuse_thread *t);   /* ops_data.c */

/*
 * Sends the reply of the request in hand: error is 0 or negative errno, data may be NULL. Not 0: it did not arrive, which is
 * logged.
 */
int fuse_thread_reply(struct fuse_thread *t, uint64_t unique, int error, const void *data,
		      size_t len);
/* The reply of a READ whose data is in message->room already. */
void fuse_thread_reply_placed(struct fuse_thread *t, uint64_t unique, size_t placed);

/*
 * Takes the request in hand out of this thread's hands; `req` is used up. fuse_later_reply() answers it, once, from
 * any thread. NULL without memory: `req` is as it was.
 */
struct fuse_later;
struct fuse_later *fuse_thread_detach(fuse_req_t req);
void fuse_later_reply(struct fuse_later *later, int error); /* 0 or -errno; frees it */

/* What INIT agreed on, and the configuration, for the operations. */
const struct fuse_config *fuse_server_config(const struct fuse_server *s);
uint64_t fuse_server_flags(const struct fuse_server *s); /* FUSE_* flags of INIT, both words */
struct file_table *fuse_server_files(struct fuse_server *s);
struct lock_table *fuse_server_locks(struct fuse_server *s);
/* What was open before the session went on (reopen.h); NULL in one that began with us. */
struct reopened *fuse_server_reopened(struct fuse_server *s);

#endif
