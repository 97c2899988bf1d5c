/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhostmsg.c - one table of messages, a reader that follows it, and the writer of answers.
 *
 * Stateless; called by the connection's thread. The socket may be blocking or not: each wait is a poll(2) that can
 * be cancelled, so half a message and silence hold up nobody.
 */
#include "transport/vhostmsg.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define FLAG_VERSION 0x3U
#define VERSION 0x1U
#define FLAG_REPLY 0x4U
#define FLAG_NEED_REPLY 0x8U

struct header {
	uint32_t request, flags, size;
};

#define CONFIG_HEAD ((uint32_t)offsetof(union vhost_payload, config.bytes))
#define REGION ((uint32_t)sizeof(struct vhost_region))

/* How many descriptors come along: a number, as many as there are regions, or as the payload says. */
enum fds { FDS_NONE, FDS_ONE, FDS_MAY, FDS_REGIONS, FDS_RING };

struct form {
	const char *name;
	uint32_t min, max; /* bytes of payload */
	enum fds fds;
};

#define U64 .min = 8, .max = 8
#define STATE .min = 8, .max = 8

static const struct form forms[] = {
	[VHOST_GET_FEATURES] = { "GET_FEATURES" },
	[VHOST_SET_FEATURES] = { "SET_FEATURES", U64 },
	[VHOST_SET_OWNER] = { "SET_OWNER" },
	[VHOST_RESET_OWNER] = { "RESET_OWNER" },
	[VHOST_SET_MEM_TABLE] = { "SET_MEM_TABLE", .min = 8, .max = 8 + VHOST_FDS_MAX * REGION,
				  .fds = FDS_REGIONS },
	[VHOST_SET_VRING_NUM] = { "SET_VRING_NUM", STATE },
	[VHOST_SET_VRING_ADDR] = { "SET_VRING_ADDR", .min = 40, .max = 40 },
	[VHOST_SET_VRING_BASE] = { "SET_VRING_BASE", STATE },
	[VHOST_GET_VRING_BASE] = { "GET_VRING_BASE", STATE },
	[VHOST_SET_VRING_KICK] = { "SET_VRING_KICK", U64, .fds = FDS_RING },
	[VHOST_SET_VRING_CALL] = { "SET_VRING_CALL", U64, .fds = FDS_RING },
	[VHOST_SET_VRING_ERR] = { "SET_VRING_ERR", U64, .fds = FDS_RING },
	[VHOST_GET_PROTOCOL_FEATURES] = { "GET_PROTOCOL_FEATURES" },
	[VHOST_SET_PROTOCOL_FEATURES] = { "SET_PROTOCOL_FEATURES", U64 },
	[VHOST_GET_QUEUE_NUM] = { "GET_QUEUE_NUM" },
	[VHOST_SET_VRING_ENABLE] = { "SET_VRING_ENABLE", STATE },
	[VHOST_GET_CONFIG] = { "GET_CONFIG", .min = CONFIG_HEAD,
			       .max = CONFIG_HEAD + VHOST_CONFIG_MAX },
	[VHOST_SET_CONFIG] = { "SET_CONFIG", .min = CONFIG_HEAD,
			       .max = CONFIG_HEAD + VHOST_CONFIG_MAX },
	/* Twenty bytes, and what a compiler pads them with. */
	[VHOST_GET_INFLIGHT_FD] = { "GET_INFLIGHT_FD", .min = 20, .max = 24 },
	[VHOST_SET_INFLIGHT_FD] = { "SET_INFLIGHT_FD", .min = 20, .max = 24, .fds = FDS_ONE },
	[VHOST_RESET_DEVICE] = { "RESET_DEVICE" },
	[VHOST_GET_MAX_MEM_SLOTS] = { "GET_MAX_MEM_SLOTS" },
	[VHOST_ADD_MEM_REG] = { "ADD_MEM_REG", .min = 8 + REGION, .max = 8 + REGION,
				.fds = FDS_ONE },
	/* Some front-ends send the region's descriptor along. */
	[VHOST_REM_MEM_REG] = { "REM_MEM_REG", .min = 8 + REGION, .max = 8 + REGION,
				.fds = FDS_MAY },
};

static const struct form *form_of(uint32_t request)
{
	return request < ARRAY_LEN(forms) && forms[request].name ? &forms[request] : NULL;
}

const char *vhostmsg_name(uint32_t request)
{
	const struct form *form = form_of(request);

	return form ? form->name : "message";
}

void vhostmsg_clear(struct vhost_msg *msg)
{
	for (unsigned i = 0; i < msg->fd_count; i++)
		msg->fds[i] = fd_close(msg->fds[i]);
	msg->fd_count = 0;
}

int vhostmsg_take_fd(struct vhost_msg *msg, unsigned i)
{
	return i < msg->fd_count ? fd_take(&msg->fds[i]) : -1;
}

/* --- reading --------------------------------------------------------------------------------------- */

/* 0 when the socket is readable, or -ECANCELED. */
static int wait_readable(int sock, int cancel)
{
	struct pollfd fds[2] = { { .fd = sock, .events = POLLIN },
				 { .fd = cancel, .events = POLLIN } };

	while (poll(fds, ARRAY_LEN(fds), -1) < 0)
		if (errno != EINTR)
			return errno_neg();
	return fds[1].revents ? -ECANCELED : 0;
}

/* Keeps the descriptors of a control message; those for which there is no room are closed. */
static int keep_fds(struct msghdr *head, struct vhost_msg *msg)
{
	int ret = head->msg_flags & MSG_CTRUNC ? -EPROTO : 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(head); c; c = CMSG_NXTHDR(head, c)) {
		unsigned n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		for (unsigned i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (msg->fd_count < VHOST_FDS_MAX) {
				msg->fds[msg->fd_count++] = fd;
			} else {
				fd_close(fd);
				ret = -EPROTO;
			}
		}
	}
	return ret;
}

/* Reads `len` bytes; 1, 0 at a hang-up before the first of them, or -errno. */
static int read_all(int sock, int cancel, void *to, size_t len, struct vhost_msg *msg)
{
	uint8_t *at = to;
	size_t done = 0;

	while (done < len) {
		/* More room than a front-end may use: what is surplus is seen, and closed. */
		union {
			struct cmsghdr align;
			uint8_t bytes[CMSG_SPACE(2 * VHOST_FDS_MAX * sizeof(int))];
		} control;
		struct iovec iov = { .iov_base = at + done, .iov_len = len - done };
		struct msghdr head = { .msg_iov = &iov,
				       .msg_iovlen = 1,
				       .msg_control = &control,
				       .msg_controllen = sizeof(control) };
		int ret = wait_readable(sock, cancel);
		ssize_t n;

		if (ret)
			return ret;
		n = recvmsg(sock, &head, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return errno == ECONNRESET ? 0 : errno_neg();
		ret = keep_fds(&head, msg);
		if (ret)
			return ret;
		if (n == 0)
			return done ? -EPROTO : 0;
		done += (size_t)n;
	}
	return 1;
}

/* What there must be of descriptors, from the form and the payload. */
static bool fds_right(const struct form *form, const struct vhost_msg *msg)
{
	switch (form->fds) {
	case FDS_NONE:
		return msg->fd_count == 0;
	case FDS_ONE:
		return msg->fd_count == 1;
	case FDS_MAY:
		return msg->fd_count <= 1;
	case FDS_REGIONS:
		return msg->fd_count == msg->payload.memory.count;
	case FDS_RING:
		return msg->fd_count == (msg->payload.u64 & VHOST_RING_NO_FD ? 0 : 1);
	}
	return false;
}

static int check_header(const struct header *h, char why[VHOST_WHY_MAX])
{
	const struct form *form = form_of(h->request);
	int n = 0;

	if ((h->flags & FLAG_VERSION) != VERSION || h->flags & FLAG_REPLY)
		n = snprintf(why, VHOST_WHY_MAX, "%s %u: flags 0x%x", vhostmsg_name(h->request),
			     h->request, h->flags);
	else if (!form)
		n = snprintf(why, VHOST_WHY_MAX, "message %u is not known", h->request);
	else if (h->size < form->min || h->size > form->max)
		n = snprintf(why, VHOST_WHY_MAX, "%s: %u bytes", form->name, h->size);
	return n ? -EPROTO : 0;
}

static int check_whole(const struct vhost_msg *msg, char why[VHOST_WHY_MAX])
{
	const struct form *form = form_of(msg->request);
	uint32_t count = msg->payload.memory.count;

	if (msg->request == VHOST_SET_MEM_TABLE &&
	    (count > VHOST_FDS_MAX || msg->size != 8 + count * REGION)) {
		(void)snprintf(why, VHOST_WHY_MAX, "%s: %u regions in %u bytes", form->name, count,
			       msg->size);
		return -EPROTO;
	}
	if (!fds_right(form, msg)) {
		(void)snprintf(why, VHOST_WHY_MAX, "%s: comes with %u descriptors", form->name,
			       msg->fd_count);
		return -EPROTO;
	}
	return 0;
}

int vhostmsg_read(int sock, int cancel, struct vhost_msg *out, char why[VHOST_WHY_MAX])
{
	struct header h = { 0 };
	int ret;

	memset(out, 0, sizeof(*out));
	(void)snprintf(why, VHOST_WHY_MAX, "a message breaks off, or has too many descriptors");
	ret = read_all(sock, cancel, &h, sizeof(h), out);
	if (ret == 1) {
		ret = check_header(&h, why);
		if (!ret)
			ret = 1;
	}
	if (ret == 1 && h.size) {
		ret = read_all(sock, cancel, &out->payload, h.size, out);
		if (ret == 0)
			ret = -EPROTO;
	}
	if (ret == 1) {
		out->request = h.request;
		out->size = h.size;
		out->need_reply = h.flags & FLAG_NEED_REPLY;
		ret = check_whole(out, why);
		if (!ret)
			return 1;
	}
	vhostmsg_clear(out);
	return ret;
}

/* --- answers --------------------------------------------------------------------------------------- */

static ssize_t send_some(int sock, const struct header *h, const void *payload, size_t from,
			 uint32_t size, int fd)
{
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(sizeof(int))];
	} control = { .bytes = { 0 } };
	struct iovec iov[2];
	struct msghdr head = { .msg_iov = iov };
	size_t skip = from < sizeof(*h) ? 0 : from - sizeof(*h);

	if (from < sizeof(*h))
		iov[head.msg_iovlen++] = (struct iovec){ .iov_base = (uint8_t *)(uintptr_t)h + from,
							 .iov_len = sizeof(*h) - from };
	if (skip < size)
		iov[head.msg_iovlen++] =
			(struct iovec){ .iov_base = (uint8_t *)(uintptr_t)payload + skip,
					.iov_len = size - skip };
	if (fd >= 0 && from == 0) {
		struct cmsghdr *c = &control.align;

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
		head.msg_control = &control;
		head.msg_controllen = sizeof(control);
	}
	return sendmsg(sock, &head, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int vhostmsg_reply(int sock, const struct vhost_msg *msg, const void *payload, uint32_t size,
		   int fd)
{
	struct header h = { .request = msg->request, .flags = VERSION | FLAG_REPLY, .size = size };
	size_t done = 0;

	while (done < sizeof(h) + size) {
		ssize_t n = send_some(sock, &h, payload, done, size, fd);

		if (n < 0 && errno == EINTR)
			continue;
		/* A front-end that reads no answers fills its socket: that is its own affair. */
		if (n < 0)
			return errno_neg();
		done += (size_t)n;
	}
	return 0;
}
