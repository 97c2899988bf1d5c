/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * frontend.c - messages of the vhost-user protocol, from the front-end's side.
 *
 * The socket is blocking; each wait for an answer is a poll(2) with a limit, so that a back-end which says nothing
 * fails a test instead of holding it up.
 */
#include "frontend.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/util.h"

/* --- connections ------------------------------------------------------------------------------------------ */

void frontend_adopt(struct frontend *fe, int sock)
{
	*fe = (struct frontend){ .sock = sock };
}

int frontend_connect(struct frontend *fe, const char *path, int timeout_ms)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const uint64_t end = clock_ns() + (uint64_t)timeout_ms * 1000000U;
	int ret;

	frontend_adopt(fe, -1);
	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, strlen(path) + 1);
	fe->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fe->sock < 0)
		return errno_neg();
	for (;;) {
		if (connect(fe->sock, (struct sockaddr *)&addr, sizeof(addr)) == 0)
			return 0;
		ret = errno_neg();
		if ((ret != -ENOENT && ret != -ECONNREFUSED && ret != -EINTR) || clock_ns() > end)
			break;
		(void)poll(NULL, 0, 5);
	}
	frontend_close(fe);
	return ret;
}

void frontend_close(struct frontend *fe)
{
	fe->sock = fd_close(fe->sock);
}

/* --- raw ------------------------------------------------------------------------------------------------- */

int frontend_send_bytes(struct frontend *fe, const void *bytes, size_t len, const int *fds,
			unsigned fd_count)
{
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(FE_SEND_FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = len };
	struct msghdr head = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd_count > FE_SEND_FDS_MAX)
		return -E2BIG;
	memset(&control, 0, sizeof(control));
	if (fd_count) {
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, fd_count * sizeof(int));
		head.msg_control = &control;
		head.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
	}
	while (iov.iov_len > 0) {
		ssize_t n = sendmsg(fe->sock, &head, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == ECONNRESET ? -EPIPE : errno_neg();
		/* The descriptors went with the first byte. */
		head.msg_control = NULL;
		head.msg_controllen = 0;
		iov.iov_base = (uint8_t *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
	}
	return 0;
}

int frontend_send_claimed(struct frontend *fe, uint32_t request, uint32_t flags, uint32_t claimed,
			  const void *payload, size_t size, const int *fds, unsigned fd_count)
{
	uint8_t bytes[4096];
	const struct frontend_header h = { .request = request, .flags = flags, .size = claimed };

	if (size > sizeof(bytes) - sizeof(h))
		return -E2BIG;
	memcpy(bytes, &h, sizeof(h));
	if (size)
		memcpy(bytes + sizeof(h), payload, size);
	return frontend_send_bytes(fe, bytes, sizeof(h) + size, fds, fd_count);
}

int frontend_send(struct frontend *fe, uint32_t request, const void *payload, size_t size,
		  const int *fds, unsigned fd_count, bool need_reply)
{
	return frontend_send_claimed(fe, request,
				     FE_FLAG_VERSION | (need_reply ? FE_FLAG_NEED_REPLY : 0),
				     (uint32_t)size, payload, size, fds, fd_count);
}

/* 0 when there is something to read, or its end; -ETIMEDOUT. */
static int wait_readable(const struct frontend *fe, uint64_t end_ns)
{
	struct pollfd p = { .fd = fe->sock, .events = POLLIN };

	for (;;) {
		uint64_t now = clock_ns();
		int n = poll(&p, 1, now < end_ns ? (int)((end_ns - now) / 1000000U + 1) : 0);

		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return errno_neg();
		if (n == 0 && now >= end_ns)
			return -ETIMEDOUT;
	}
}

/* Reads all `len` bytes; a descriptor that comes along is kept in *fd. */
static int receive_all(struct frontend *fe, void *to, size_t len, uint64_t end_ns, int *fd)
{
	size_t done = 0;

	while (done < len) {
		union {
			struct cmsghdr align;
			uint8_t bytes[CMSG_SPACE(sizeof(int))];
		} control = { .bytes = { 0 } };
		struct iovec iov = { .iov_base = (uint8_t *)to + done, .iov_len = len - done };
		struct msghdr head = { .msg_iov = &iov,
				       .msg_iovlen = 1,
				       .msg_control = &control,
				       .msg_controllen = sizeof(control) };
		int ret = wait_readable(fe, end_ns);
		ssize_t n;

		if (ret)
			return ret;
		n = recvmsg(fe->sock, &head, MSG_CMSG_CLOEXEC);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 || errno == ECONNRESET ? -EPIPE : errno_neg();
		if (CMSG_FIRSTHDR(&head) && control.align.cmsg_type == SCM_RIGHTS) {
			(void)fd_close(*fd);
			memcpy(fd, CMSG_DATA(&control.align), sizeof(*fd));
		}
		done += (size_t)n;
	}
	return 0;
}

int frontend_receive(struct frontend *fe, struct frontend_answer *out, int timeout_ms)
{
	const uint64_t end = clock_ns() + (uint64_t)timeout_ms * 1000000U;
	int ret;

	memset(out, 0, sizeof(*out));
	out->fd = -1;
	ret = receive_all(fe, &out->header, sizeof(out->header), end, &out->fd);
	if (!ret && (out->header.size > sizeof(out->payload) ||
		     out->header.flags != (FE_FLAG_VERSION | FE_FLAG_REPLY)))
		ret = -EPROTO;
	if (!ret)
		ret = receive_all(fe, &out->payload, out->header.size, end, &out->fd);
	if (ret)
		out->fd = fd_close(out->fd);
	return ret;
}

bool frontend_hung_up(struct frontend *fe, int timeout_ms)
{
	const uint64_t end = clock_ns() + (uint64_t)timeout_ms * 1000000U;
	uint8_t byte;
	int fd = -1;
	int ret;

	do {
		ret = receive_all(fe, &byte, sizeof(byte), end, &fd);
		fd = fd_close(fd);
	} while (!ret);
	return ret == -EPIPE;
}

/* --- well formed ------------------------------------------------------------------------------------------ */

int frontend_ask(struct frontend *fe, uint32_t request, const void *payload, size_t size,
		 struct frontend_answer *out)
{
	int ret = frontend_send(fe, request, payload, size, NULL, 0, false);

	if (!ret)
		ret = frontend_receive(fe, out, FE_TIMEOUT_MS);
	if (!ret && out->header.request != request) {
		out->fd = fd_close(out->fd);
		ret = -EPROTO;
	}
	return ret;
}

int frontend_ask_u64(struct frontend *fe, uint32_t request, uint64_t *out)
{
	struct frontend_answer answer;
	int ret = frontend_ask(fe, request, NULL, 0, &answer);

	if (ret)
		return ret;
	(void)fd_close(answer.fd);
	if (answer.header.size != sizeof(*out))
		return -EPROTO;
	*out = answer.payload.u64;
	return 0;
}

int frontend_tell(struct frontend *fe, uint32_t request, const void *payload, size_t size,
		  const int *fds, unsigned fd_count)
{
	const bool ack = fe->protocol & FE_P_REPLY_ACK;
	int ret = frontend_send(fe, request, payload, size, fds, fd_count, ack);
	struct frontend_answer answer;
	uint64_t offered;

	if (ret)
		return ret;
	if (!ack)
		return frontend_ask_u64(fe, VHOST_GET_FEATURES, &offered);
	ret = frontend_receive(fe, &answer, FE_TIMEOUT_MS);
	if (ret)
		return ret;
	(void)fd_close(answer.fd);
	if (answer.header.request != request || answer.header.size != sizeof(uint64_t))
		return -EPROTO;
	return answer.payload.u64 ? -EREMOTEIO : 0;
}

int frontend_tell_u64(struct frontend *fe, uint32_t request, uint64_t value)
{
	return frontend_tell(fe, request, &value, sizeof(value), NULL, 0);
}

int frontend_tell_state(struct frontend *fe, uint32_t request, uint32_t index, uint32_t num)
{
	const uint32_t state[2] = { index, num };

	return frontend_tell(fe, request, state, sizeof(state), NULL, 0);
}

int frontend_negotiate(struct frontend *fe, uint64_t features, uint64_t protocol)
{
	int ret = frontend_ask_u64(fe, VHOST_GET_FEATURES, &fe->offered);

	if (!ret && features & fe->offered & FE_F_PROTOCOL) {
		ret = frontend_ask_u64(fe, VHOST_GET_PROTOCOL_FEATURES, &fe->protocol_offered);
		if (!ret) {
			protocol &= fe->protocol_offered;
			ret = frontend_send(fe, VHOST_SET_PROTOCOL_FEATURES, &protocol,
					    sizeof(protocol), NULL, 0, false);
			fe->protocol = protocol;
		}
	}
	if (!ret)
		ret = frontend_tell(fe, VHOST_SET_OWNER, NULL, 0, NULL, 0);
	if (!ret)
		ret = frontend_tell_u64(fe, VHOST_SET_FEATURES, features & fe->offered);
	if (!ret)
		fe->features = features & fe->offered;
	return ret;
}
