/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_request.c - FUSE requests through the wire guard to the operations, on a share of its own: any opcode, header and
 * arguments, with nodeids and fhs that the server gave out before. Each has at most one answer, whose length is right.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "fuse/fuse.h"
#include "fuzz.h"

#define KNOWN 8
#define FILE_LIMIT (1 << 20)
#define ROUNDS 2000 /* then the share is emptied */

static struct export *export;
static struct fuse_server *server;
static struct fuse_thread *thread;
static unsigned rounds;

/* Of the request in hand, and what earlier ones brought. */
static struct {
	uint64_t unique;
	uint32_t opcode;
	unsigned answers;
	uint64_t nodeids[KNOWN], fhs[KNOWN];
	unsigned next;
} seen;

static int take_reply(void *token, const struct iovec *iov, int count, size_t placed)
{
	struct fuse_out_header out;
	size_t total = placed;
	uint64_t word;

	(void)token;
	memcpy(&out, iov[0].iov_base, sizeof(out));
	for (int i = 0; i < count; i++)
		total += iov[i].iov_len;
	MUST(out.len == total && out.error <= 0 && out.error > -1000);
	if (out.unique != seen.unique)
		return 0; /* a lock that waited */
	seen.answers++;
	if (out.error || count < 2 || iov[1].iov_len < sizeof(word))
		return 0;
	memcpy(&word, iov[1].iov_base, sizeof(word));
	if (seen.opcode == FUSE_OPEN || seen.opcode == FUSE_OPENDIR)
		seen.fhs[seen.next++ % KNOWN] = word;
	else if (seen.opcode == FUSE_LOOKUP || seen.opcode == FUSE_MKDIR ||
		 seen.opcode == FUSE_MKNOD || seen.opcode == FUSE_SYMLINK)
		seen.nodeids[seen.next++ % KNOWN] = word;
	return 0;
}

static const struct fuse_transport_ops transport = { .reply = take_reply };

static void prepare(void)
{
	const struct fuse_config config = { .xattr = true,
					    .posix_acl = true,
					    .killpriv_v2 = true,
					    .flock = true,
					    .posix_lock = true,
					    .direct_io_allowed = true,
					    .max_open = 16,
					    .max_locks = 16 };
	struct export_config c = { .share = fuzz_directory(),
				   .statedir = -1,
				   .rundir = -1,
				   .handles = HANDLES_NEVER,
				   .max_nodes = 1000,
				   .max_fds = 100 };
	const struct rlimit limit = { FILE_LIMIT, FILE_LIMIT };
	int exit_code = 0;

	if (thread)
		return;
	log_init(LOG_LEVEL_OFF, false);
	MUST(setrlimit(RLIMIT_FSIZE, &limit) == 0 && signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	MUST(export_open(&c, &export, &exit_code) == 0);
	MUST(fuse_server_new(export, &config, &server) == 0);
	MUST(fuse_thread_new(server, &transport, &thread) == 0);
}

/* Things to be found, the same at each beginning. */
static void fill_share(void)
{
	char path[64];
	int fd;

	fuzz_directory_clear(fuzz_directory());
	(void)snprintf(path, sizeof(path), "%s/d", fuzz_directory());
	(void)mkdir(path, 0755);
	(void)snprintf(path, sizeof(path), "%s/l", fuzz_directory());
	(void)!symlink("f", path);
	(void)snprintf(path, sizeof(path), "%s/f", fuzz_directory());
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	(void)!write(fd, "content", 7);
	(void)close(fd);
}

static void send_request(struct fuse_in_header *in, const uint8_t *args, size_t args_len)
{
	/* On the heap, of the length that it has, so that ASan sees a byte too many. */
	size_t len = sizeof(*in) + args_len;
	uint8_t *bytes = malloc(len);
	struct fuse_message message = { .bytes = bytes, .len = len, .may_block = true };
	int result;

	MUST(bytes);
	seen.opcode = in->opcode;
	seen.answers = 0;
	in->unique = seen.unique += 2;
	memcpy(bytes, in, sizeof(*in));
	if (args_len)
		memcpy(bytes + sizeof(*in), args, args_len);
	result = fuse_thread_request(thread, &message);
	free(bytes);
	MUST(result == FUSE_REQUEST_ANSWERED || result == FUSE_REQUEST_SILENT ||
	     result == FUSE_REQUEST_LATER);
	MUST(seen.answers <= 1);
}

static void init(void)
{
	const struct fuse_init_in args = { .major = FUSE_KERNEL_VERSION,
					   .minor = FUSE_KERNEL_MINOR_VERSION,
					   .flags = UINT32_MAX,
					   .flags2 = UINT32_MAX };
	struct fuse_in_header in = { .opcode = FUSE_INIT, .len = sizeof(in) + sizeof(args) };

	memset(&seen, 0, sizeof(seen));
	for (unsigned i = 0; i < KNOWN; i++)
		seen.nodeids[i] = FUSE_ROOT_ID;
	send_request(&in, (const uint8_t *)&args, sizeof(args));
}

/* [opcode, how, length, arguments]: header fields from the input where `how` says so, else as a kernel would. */
static void one_request(struct fuzz_input *in)
{
	struct fuse_in_header head = { .opcode = fuzz_take8(in) };
	uint8_t how = fuzz_take8(in);
	uint16_t len = fuzz_take16(in) % 1024;
	uint8_t args[1024];

	head.nodeid = seen.nodeids[how % KNOWN];
	if (how & 8)
		fuzz_take(in, &head.nodeid, sizeof(head.nodeid));
	if (how & 16)
		head.uid = head.gid = fuzz_take8(in);
	if (how & 32)
		head.total_extlen = fuzz_take16(in);
	if (len > in->left)
		len = (uint16_t)in->left;
	fuzz_take(in, args, len);
	/* An fh, or the nodeid of a second directory, stands first. */
	if (how & 64 && len >= sizeof(uint64_t))
		memcpy(args,
		       head.opcode == FUSE_RENAME || head.opcode == FUSE_LINK
			       ? &seen.nodeids[args[0] % KNOWN]
			       : &seen.fhs[args[0] % KNOWN],
		       sizeof(uint64_t));
	head.len = (uint32_t)(sizeof(head) + len);
	if (how & 128)
		fuzz_take(in, &head.len, sizeof(head.len));
	send_request(&head, args, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { .at = data, .left = size };

	prepare();
	if (rounds++ % ROUNDS == 0)
		fill_share();
	fuse_server_reset(server);
	init();
	for (unsigned i = 0; i < 32 && in.left > 4; i++)
		one_request(&in);
	return 0;
}
