/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * session.c - one thread that serves requests: guard, our own opcodes, or a libfuse session of its
 * own.
 *
 * The libfuse session has custom I/O: requests are put in by fuse_session_process_buf(), replies
 * come out of reply_from_libfuse(). It sees one INIT, ours, whose reply is swallowed, and after
 * that nothing but requests that passed the guard; never INIT, DESTROY (twice is an error to it) or
 * INTERRUPT (it would keep those of unknown requests in a list). A session for each thread, because
 * its lock is slower than the requests.
 *
 * Everything here runs on the thread that owns the struct fuse_thread, but for
 * reply_from_libfuse(), which the lock waiters call too, long after the request was in hand.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "base/util.h"
#include "fuse/locks.h"
#include "fuse/server.h"

#define IO_ALIGN 4096
/* The protocol that libfuse 3.14 as Debian 12 has it was written for. */
#define LIBFUSE_MINOR 31

/* --- replies ---------------------------------------------------------------------------------- */

/*
 * Sends the answer of the request in hand. One that failed only because it may not wait here is not answered at all: it
 * comes again where it may.
 */
static int send(struct fuse_thread *t, const struct iovec *iov, int count, size_t placed)
{
	struct fuse_out_header out;

	memcpy(&out, iov[0].iov_base, sizeof(out));
	if ((out.error == -ENOMEM || out.error == -EAGAIN) && !t->message->may_block &&
	    worker_would_wait(t->worker)) {
		t->result = FUSE_REQUEST_BLOCKS;
		return 0;
	}
	t->result = FUSE_REQUEST_ANSWERED;
	return t->ops->reply(t->message->token, iov, count, placed);
}

/*
 * libfuse's writev. A failure is ENOENT to it (the request was interrupted): it says nothing then,
 * and the operation learns that its reply did not arrive.
 */
static ssize_t reply_from_libfuse(int fd, struct iovec *iov, int count, void *userdata)
{
	struct fuse_thread *t = userdata;
	struct fuse_out_header out;

	(void)fd;
	if (!t->session_ready)
		return 0; /* the answer to our own INIT */
	if (send(t, iov, count, 0)) {
		errno = ENOENT;
		return -1;
	}
	memcpy(&out, iov[0].iov_base, sizeof(out));
	return (ssize_t)out.len;
}

/* libfuse wants one, and never calls it: requests are put in. */
static ssize_t read_for_libfuse(int fd, void *buf, size_t len, void *userdata)
{
	(void)fd;
	(void)buf;
	(void)len;
	(void)userdata;
	errno = ENODEV;
	return -1;
}

int fuse_thread_reply(struct fuse_thread *t, uint64_t unique, int error, const void *data,
		      size_t len)
{
	struct fuse_out_header out = { .len = sizeof(out), .error = error, .unique = unique };
	struct iovec iov[2] = { { .iov_base = &out, .iov_len = sizeof(out) } };
	int count = 1;

	if (!error && data && len) {
		iov[1] = (struct iovec){ .iov_base = (void *)(uintptr_t)data, .iov_len = len };
		out.len += (uint32_t)len;
		count = 2;
	}
	error = send(t, iov, count, 0);
	if (error)
		log_debug("fuse: a reply could not be sent: %s", strerror(-error));
	return error;
}

void fuse_thread_reply_placed(struct fuse_thread *t, uint64_t unique, size_t placed)
{
	struct fuse_out_header out = { .len = (uint32_t)(sizeof(out) + placed), .unique = unique };
	struct iovec iov = { .iov_base = &out, .iov_len = sizeof(out) };

	if (send(t, &iov, 1, placed))
		log_debug("fuse: a reply could not be sent");
}

/* --- answers from other threads --------------------------------------------------------------- */

struct fuse_later {
	const struct fuse_transport_ops *ops;
	void *token;
	uint64_t unique;
};

struct fuse_later *fuse_thread_detach(fuse_req_t req)
{
	struct fuse_thread *t = fuse_thread_of(req);
	struct fuse_later *later = malloc(sizeof(*later));

	if (!later)
		return NULL;
	*later = (struct fuse_later){ .ops = t->ops,
				      .token = t->message->token,
				      .unique = t->request.in->unique };
	if (t->ops->detach)
		later->token = t->ops->detach(later->token);
	if (!later->token) {
		free(later);
		return NULL;
	}
	t->result = FUSE_REQUEST_LATER;
	fuse_reply_none(req);
	return later;
}

void fuse_later_reply(struct fuse_later *later, int error)
{
	struct fuse_out_header out = { .len = sizeof(out),
				       .error = error,
				       .unique = later->unique };
	struct iovec iov = { .iov_base = &out, .iov_len = sizeof(out) };

	error = later->ops->reply(later->token, &iov, 1, 0);
	if (error)
		log_debug("fuse: a late reply could not be sent: %s", strerror(-error));
	free(later);
}

/* --- the thread ------------------------------------------------------------------------------- */

/* Feeds the libfuse session its one INIT. */
static int begin_libfuse(struct fuse_thread *t)
{
	struct {
		struct fuse_in_header in;
		struct fuse_init_in init;
	} request = {
		.in = { .len = sizeof(request), .opcode = FUSE_INIT, .unique = 1 },
		.init = { .major = FUSE_KERNEL_VERSION,
			  .minor = LIBFUSE_MINOR,
			  .max_readahead = INIT_MAX_WRITE,
			  .flags = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_EXPORT_SUPPORT |
				   FUSE_BIG_WRITES | FUSE_HAS_IOCTL_DIR | FUSE_MAX_PAGES },
	};
	struct fuse_buf buf = { .size = sizeof(request), .mem = &request };

	fuse_session_process_buf(t->session, &buf);
	if (fuse_session_exited(t->session))
		return -EPROTO;
	t->session_ready = true;
	return 0;
}

static int new_session(struct fuse_thread *t)
{
	static const struct fuse_custom_io io = { .writev = reply_from_libfuse,
						  .read = read_for_libfuse };
	char name[] = "holdfast";
	char *argv[] = { name, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	int error;
	int fd;

	t->session = fuse_session_new(&args, &holdfast_ops, sizeof(holdfast_ops), t);
	fuse_opt_free_args(&args);
	if (!t->session)
		return -ENOMEM;
	/* libfuse keeps and closes a descriptor that it never uses; this one needs no file. */
	fd = eventfd(0, EFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	error = fuse_session_custom_io(t->session, &io, fd);
	if (error) {
		(void)fd_close(fd);
		return error;
	}
	return begin_libfuse(t);
}

int fuse_thread_new(struct fuse_server *s, const struct fuse_transport_ops *ops,
		    struct fuse_thread **out)
{
	struct fuse_thread *t = calloc(1, sizeof(*t));
	int error = -ENOMEM;

	if (!t)
		return error;
	t->server = s;
	t->ops = ops;
	t->scratch = aligned_alloc(IO_ALIGN, FUSE_REQUEST_MAX);
	t->io = aligned_alloc(IO_ALIGN, FUSE_REQUEST_MAX);
	if (!t->scratch || !t->io)
		goto err;
	error = worker_new(s->export, &t->worker);
	if (error)
		goto err;
	error = new_session(t);
	if (error)
		goto err;
	*out = t;
	return 0;

err:
	fuse_thread_free(t);
	return error;
}

void fuse_thread_free(struct fuse_thread *t)
{
	if (!t)
		return;
	/* Requests that wait for locks belong to the session. */
	lock_table_stop(t->server->locks, t);
	if (t->session)
		fuse_session_destroy(t->session);
	worker_free(t->worker);
	free(t->io);
	free(t->scratch);
	free(t);
}

/* --- requests --------------------------------------------------------------------------------- */

void fuse_wire_interrupt(struct fuse_thread *t)
{
	struct fuse_interrupt_in in;

	memcpy(&in, t->request.args, sizeof(in));
	lock_table_interrupt(t->server->locks, in.unique);
}

/* Hands a request that passed to whom it concerns. */
static void dispatch(struct fuse_thread *t)
{
	const struct fuse_in_header *in = t->request.in;
	struct fuse_buf buf = { .size = sizeof(*in) + t->request.args_len,
				.mem = (void *)(uintptr_t)in };

	switch (in->opcode) {
	case FUSE_INIT:
		fuse_wire_init(t);
		break;
	case FUSE_DESTROY:
		fuse_wire_destroy(t);
		break;
	case FUSE_INTERRUPT:
		fuse_wire_interrupt(t);
		break;
	case FUSE_SYNCFS:
		fuse_wire_syncfs(t);
		break;
	case FUSE_TMPFILE:
		fuse_wire_tmpfile(t);
		break;
	case FUSE_OP_STATX:
		fuse_wire_statx(t);
		break;
	case FUSE_LOOKUP:
		fuse_wire_lookup(t);
		break;
	case FUSE_GETATTR:
		fuse_wire_getattr(t);
		break;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		fuse_wire_open(t);
		break;
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
		fuse_wire_release(t);
		break;
	case FUSE_READ:
		fuse_wire_read(t);
		break;
	case FUSE_WRITE:
		fuse_wire_write(t);
		break;
	default:
		fuse_session_process_buf(t->session, &buf);
		break;
	}
}

/* What passed the guard is carried out; what did not is refused, or dropped. */
static void judge(struct fuse_thread *t, struct guard_result *verdict)
{
	struct fuse_server *s = t->server;

	if (verdict->verdict == GUARD_PASS && !server_live(s) && verdict->opcode != FUSE_INIT) {
		verdict->verdict = verdict->answered ? GUARD_REFUSE : GUARD_DROP;
		verdict->error = -EIO;
	}
	if (verdict->verdict != GUARD_PASS) {
		atomic_fetch_add_explicit(&s->refused, 1, memory_order_relaxed);
		log_limited(LOG_LEVEL_DEBUG, "fuse: %s %u of %zu bytes refused: %s",
			    guard_opcode_name(verdict->opcode), verdict->opcode, t->message->len,
			    verdict->error ? strerror(-verdict->error) : "malformed");
		if (verdict->verdict == GUARD_REFUSE)
			fuse_thread_reply(t, verdict->unique, verdict->error, NULL, 0);
		return;
	}
	t->request = verdict->request;
	dispatch(t);
	t->request = (struct fuse_request){ 0 };
}

int fuse_thread_request(struct fuse_thread *t, const struct fuse_message *message)
{
	struct guard_terms terms = server_terms(t->server);
	struct guard_result verdict;

	if (message->len < sizeof(struct fuse_in_header))
		return -EIO;
	atomic_fetch_add_explicit(&t->server->requests, 1, memory_order_relaxed);
	t->message = message;
	t->result = FUSE_REQUEST_SILENT;
	worker_begin(t->worker, message->may_block);
	guard_check(&terms, message->bytes, message->len, message->payload_len, t->scratch,
		    &verdict);
	judge(t, &verdict);
	t->message = NULL;
	return (int)t->result;
}

/* From here on a copy takes as long as many other requests. */
#define LONG_DATA ((size_t)256 << 10)

/* Of a request that may be any bytes; 0, which is none, where there is no header. */
static uint32_t opcode_of(const struct fuse_message *message)
{
	uint32_t opcode = 0;

	if (message->len >= sizeof(struct fuse_in_header))
		memcpy(&opcode,
		       (const uint8_t *)message->bytes + offsetof(struct fuse_in_header, opcode),
		       sizeof(opcode));
	return opcode;
}

/* Is it to be on the disk before the answer? */
static bool writes_through(const struct fuse_message *message)
{
	struct fuse_write_in in;

	if (message->len < sizeof(struct fuse_in_header) + sizeof(in))
		return false;
	memcpy(&in, (const uint8_t *)message->bytes + sizeof(struct fuse_in_header), sizeof(in));
	return in.flags & O_DSYNC;
}

bool fuse_message_is_long(const struct fuse_message *message)
{
	switch (opcode_of(message)) {
	case FUSE_FSYNC:
	case FUSE_FSYNCDIR:
	case FUSE_SYNCFS:
	case FUSE_FALLOCATE:
	case FUSE_COPY_FILE_RANGE:
		return true;
	case FUSE_WRITE:
		return message->payload_len >= LONG_DATA || writes_through(message);
	case FUSE_READ:
		return message->room_len >= LONG_DATA;
	default:
		return false;
	}
}

bool fuse_message_only_looks(const struct fuse_message *message)
{
	const uint32_t opcode = opcode_of(message);
	const uint64_t looks = 1ULL << FUSE_LOOKUP | 1ULL << FUSE_GETATTR | 1ULL << FUSE_READLINK |
			       1ULL << FUSE_READ | 1ULL << FUSE_STATFS | 1ULL << FUSE_GETXATTR |
			       1ULL << FUSE_LISTXATTR | 1ULL << FUSE_OPENDIR |
			       1ULL << FUSE_READDIR | 1ULL << FUSE_READDIRPLUS |
			       1ULL << FUSE_RELEASEDIR | 1ULL << FUSE_GETLK | 1ULL << FUSE_ACCESS |
			       1ULL << FUSE_LSEEK | 1ULL << FUSE_OP_STATX;

	return opcode < 64 && looks >> opcode & 1;
}

bool fuse_message_may_be_late(const struct fuse_message *message)
{
	const uint32_t opcode = opcode_of(message);

	return opcode != FUSE_INIT && opcode != FUSE_DESTROY && opcode != FUSE_INTERRUPT;
}
