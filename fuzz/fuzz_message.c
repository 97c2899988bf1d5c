/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_message.c - a front-end that says anything: messages with any bytes and descriptors, in any order. The device
 * serves until it hangs up, or ends the connection; nothing leaks, nothing hangs.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "export/export.h"
#include "fuse/fuse.h"
#include "fuzz.h"
#include "transport/vhostuser.h"

#define MEMORY ((off_t)1 << 20)
#define INPUT_MAX 4096 /* answers must fit into the socket that nobody reads */
#define HEADER 12

static struct export *export;
static struct fuse_server *server;
static int spare[4]; /* what messages bring: two memories, an eventfd, a directory */

static void prepare(void)
{
	const struct fuse_config config = { .max_open = 8, .max_locks = 8 };
	struct export_config c = { .share = fuzz_directory(),
				   .statedir = -1,
				   .rundir = -1,
				   .handles = HANDLES_NEVER,
				   .max_nodes = 1000,
				   .max_fds = 100 };
	int exit_code = 0;

	if (server)
		return;
	log_init(LOG_LEVEL_OFF, false);
	MUST(export_open(&c, &export, &exit_code) == 0);
	MUST(fuse_server_new(export, &config, &server) == 0);
	for (unsigned i = 0; i < 2; i++) {
		spare[i] = memfd_create("guest", MFD_CLOEXEC);
		MUST(spare[i] >= 0 && ftruncate(spare[i], MEMORY << i) == 0);
	}
	spare[2] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	spare[3] = open(c.share, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* One message: [request, flags, descriptors, length, bytes]; its header says what is true, or what the input has. */
static void send_message(int sock, struct fuzz_input *in)
{
	uint8_t bytes[HEADER + UINT8_MAX];
	union {
		struct cmsghdr align;
		uint8_t room[CMSG_SPACE(8 * sizeof(int))];
	} control = { 0 };
	uint32_t request = fuzz_take8(in);
	uint8_t how = fuzz_take8(in), fds = fuzz_take8(in);
	uint32_t len = fuzz_take8(in);
	uint32_t head[3] = { request, how & 1 ? 1U | 1U << 3 : 1U, len };
	struct iovec iov = { .iov_base = bytes, .iov_len = HEADER + len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	unsigned count = fds & 7;

	if (how & 0x80)
		fuzz_take(in, head, sizeof(head));
	memcpy(bytes, head, sizeof(head));
	fuzz_take(in, bytes + HEADER, len);
	if (count) {
		struct cmsghdr *c;

		msg.msg_control = control.room;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(count * sizeof(int));
		for (unsigned i = 0; i < count; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int),
			       &spare[((unsigned)(fds >> 3) + i * (how >> 4)) % 4], sizeof(int));
	}
	(void)sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static unsigned open_descriptors(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { .at = data, .left = size < INPUT_MAX ? size : INPUT_MAX };
	uint8_t how = fuzz_take8(&in);
	struct vhostuser_config config = { .tag = how & 1 ? "tag" : NULL, .pool = how & 2 };
	struct vhostuser *dev;
	unsigned before;
	int pair[2];
	int ret;

	prepare();
	before = open_descriptors();
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	config.socket = pair[1];
	while (in.left > 4)
		send_message(pair[0], &in);
	(void)shutdown(pair[0], SHUT_WR);
	MUST(vhostuser_new(&config, server, &dev) == 0);
	ret = vhostuser_serve(dev);
	MUST(ret <= 0);
	vhostuser_free(dev);
	(void)close(pair[0]);
	(void)close(pair[1]);
	MUST(open_descriptors() == before);
	return 0;
}
