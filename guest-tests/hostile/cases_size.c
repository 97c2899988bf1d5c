/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_size.c - sizes, counts and offsets that lie.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "hostile.h"

static struct wire w;

static int opened(struct hostile *h, uint64_t *fh)
{
	int ret = fecall_open(&h->f, h->other_file, O_RDWR, fh);

	return ret ? wrong(h, "open: %s", result_name(ret)) : 0;
}

/* The text of the file that cases write to is as it was. */
static int unchanged(struct hostile *h)
{
	char path[4096];
	char text[256] = "";
	CLEANUP_FD int fd = -1;

	(void)host_path(h, path, sizeof(path), OTHER);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0 || strcmp(text, OTHER_TEXT) != 0)
		return wrong(h, "the file was changed");
	return 0;
}

/* --- READ and WRITE --------------------------------------------------------------------------------------------------- */

struct io {
	uint64_t offset;
	uint32_t size, room;
	int want;
};

static int read_lies(struct hostile *h, const struct hostile_case *c)
{
	const struct io *io = c->data;
	struct fuse_read_in in = { .offset = io->offset, .size = io->size };

	if (opened(h, &in.fh))
		return -1;
	wire_begin(&w, FUSE_READ, h->other_file);
	wire_add(&w, &in, sizeof(in));
	return expect(h, "READ", wire_send(h, &w, io->room), io->want);
}

/* `room` bytes of data are there. */
static int write_lies(struct hostile *h, const struct hostile_case *c)
{
	const struct io *io = c->data;
	struct fuse_write_in in = { .offset = io->offset, .size = io->size };
	static const uint8_t data[65536];

	if (opened(h, &in.fh))
		return -1;
	wire_begin(&w, FUSE_WRITE, h->other_file);
	wire_add(&w, &in, sizeof(in));
	wire_add(&w, data, io->room);
	return expect(h, "WRITE", wire_send(h, &w, 64), io->want) || unchanged(h) ? -1 : 0;
}

/* A READ with data behind it, and a WRITE with more room than it can use. */
static int read_with_payload(struct hostile *h, const struct hostile_case *c)
{
	struct fuse_read_in in = { .size = 16 };
	static const uint8_t data[32768];

	(void)c;
	if (opened(h, &in.fh))
		return -1;
	wire_begin(&w, FUSE_READ, h->other_file);
	wire_add(&w, &in, sizeof(in));
	wire_add(&w, data, sizeof(data));
	return expect(h, "READ", wire_send(h, &w, 4096), -EINVAL);
}

/* Requests longer than any may be. */
static int too_long(struct hostile *h, const struct hostile_case *c)
{
	const uint32_t len = FEFUSE_IO + 8000;
	struct fuse_in_header head = { .opcode = (uint32_t)c->arg,
				       .nodeid = h->other_file,
				       .len = len };
	const uint64_t at = raw_alloc(h, len);
	const uint64_t to = raw_alloc(h, 4096);
	struct fuse_out_header out;
	int n;

	head.unique = h->f.unique += 2;
	(void)femem_write(&h->dev.mem, at, &head, sizeof(head));
	raw_desc(h, RAW_DESC, (struct raw_desc){ at, len, VRING_DESC_F_NEXT, RAW_DESC + 1 });
	raw_desc(h, RAW_DESC + 1, (struct raw_desc){ to, 4096, VRING_DESC_F_WRITE, 0 });
	raw_submit(h, RAW_DESC);
	n = raw_wait(h, CASE_TIMEOUT_MS);
	if (n != (int)sizeof(out))
		return wrong(h, "used length %d", n);
	(void)femem_read(&h->dev.mem, to, &out, sizeof(out));
	return expect(h, "the reply", out.error, -EINVAL);
}

/* --- counts ------------------------------------------------------------------------------------------------------------ */

/* Two entries, and a count of arg. */
static int batch_forget_lies(struct hostile *h, const struct hostile_case *c)
{
	const struct fuse_batch_forget_in in = { .count = (uint32_t)c->arg };
	const struct fuse_forget_one all[2] = { { h->known, 1 }, { h->other_file, 1 } };

	wire_begin(&w, FUSE_BATCH_FORGET, 0);
	wire_add(&w, &in, sizeof(in));
	wire_add(&w, all, sizeof(all));
	return expect(h, "BATCH_FORGET", wire_send(h, &w, 64), BARE);
}

static int setxattr_lies(struct hostile *h, const struct hostile_case *c)
{
	const struct fuse_setxattr_in in = { .size = (uint32_t)c->arg };

	wire_begin(&w, FUSE_SETXATTR, h->other_file);
	wire_add(&w, &in, sizeof(in));
	wire_string(&w, "user.a");
	wire_add(&w, (uint8_t[8]){ 0 }, 8);
	return expect_either(h, "SETXATTR", wire_send(h, &w, 64), -EINVAL,
			     c->arg > 65536 ? -E2BIG : -EINVAL);
}

static int getxattr_lies(struct hostile *h, const struct hostile_case *c)
{
	const struct fuse_getxattr_in in = { .size = (uint32_t)c->arg2 };

	wire_begin(&w, (uint32_t)c->arg, h->other_file);
	wire_add(&w, &in, sizeof(in));
	if (c->arg == FUSE_GETXATTR)
		wire_string(&w, "user.none");
	return expect_either(h, "the reply", wire_send(h, &w, 65536),
			     c->arg == FUSE_GETXATTR ? -ENODATA : 0, -EOPNOTSUPP);
}

struct io_ctl {
	uint32_t cmd, flags, in_size, out_size, data;
	int want;
};

static int ioctl_lies(struct hostile *h, const struct hostile_case *c)
{
	const struct io_ctl *io = c->data;
	struct fuse_ioctl_in in = {
		.flags = io->flags, .cmd = io->cmd, .in_size = io->in_size, .out_size = io->out_size
	};
	static const uint8_t data[4096];

	if (opened(h, &in.fh))
		return -1;
	wire_begin(&w, FUSE_IOCTL, h->other_file);
	wire_add(&w, &in, sizeof(in));
	wire_add(&w, data, io->data);
	return expect(h, "IOCTL", wire_send(h, &w, 8192), io->want);
}

/* --- directories -------------------------------------------------------------------------------------------------------- */

static int readdir_lies(struct hostile *h, const struct hostile_case *c)
{
	const struct io *io = c->data;
	struct fuse_read_in in = { .offset = io->offset, .size = io->size };
	int got;

	if (fecall_opendir(&h->f, FUSE_ROOT_ID, &in.fh))
		return wrong(h, "opendir failed");
	for (unsigned plus = 0; plus < 2; plus++) {
		wire_begin(&w, plus ? FUSE_READDIRPLUS : FUSE_READDIR, FUSE_ROOT_ID);
		wire_add(&w, &in, sizeof(in));
		got = wire_send(h, &w, io->room);
		/* An offset from elsewhere is any place in the directory, its end too. */
		if (expect_either(h, plus ? "READDIRPLUS" : "READDIR", got, io->want,
				  io->want == 0 ? -EINVAL : io->want))
			return -1;
	}
	return 0;
}

/* --- ranges ---------------------------------------------------------------------------------------------------------------- */

struct range {
	uint64_t a, b, c;
	uint32_t mode;
	int want, or_want;
};

static int fallocate_range(struct hostile *h, const struct hostile_case *c)
{
	const struct range *r = c->data;
	struct fuse_fallocate_in in = { .offset = r->a, .length = r->b, .mode = r->mode };

	if (opened(h, &in.fh))
		return -1;
	wire_begin(&w, FUSE_FALLOCATE, h->other_file);
	wire_add(&w, &in, sizeof(in));
	return expect_either(h, "FALLOCATE", wire_send(h, &w, 64), r->want,
			     r->or_want ? r->or_want : r->want) ||
			       unchanged(h)
		       ? -1
		       : 0;
}

static int lseek_range(struct hostile *h, const struct hostile_case *c)
{
	const struct range *r = c->data;
	struct fuse_lseek_in in = { .offset = r->a, .whence = r->mode };

	if (opened(h, &in.fh))
		return -1;
	wire_begin(&w, FUSE_LSEEK, h->other_file);
	wire_add(&w, &in, sizeof(in));
	return expect_either(h, "LSEEK", wire_send(h, &w, 64), r->want,
			     r->or_want ? r->or_want : r->want);
}

static int copy_range(struct hostile *h, const struct hostile_case *c)
{
	const struct range *r = c->data;
	struct fuse_copy_file_range_in in = { .off_in = r->a,
					      .off_out = r->b,
					      .len = r->c,
					      .flags = r->mode,
					      .nodeid_out = h->other_file };

	if (opened(h, &in.fh_in))
		return -1;
	in.fh_out = in.fh_in;
	wire_begin(&w, FUSE_COPY_FILE_RANGE, h->other_file);
	wire_add(&w, &in, sizeof(in));
	return expect_either(h, "COPY_FILE_RANGE", wire_send(h, &w, 64), r->want,
			     r->or_want ? r->or_want : r->want) ||
			       unchanged(h)
		       ? -1
		       : 0;
}

/* Sizes near 8 EiB: refused, or a sparse file that is read at its end. */
static int giant_size(struct hostile *h, const struct hostile_case *c)
{
	struct fuse_setattr_in in = { .valid = FATTR_SIZE, .size = c->arg };
	struct fuse_entry_out entry;
	uint64_t fh;
	char byte;
	int ret = fecall_create(&h->f, FUSE_ROOT_ID, "giant", O_RDWR, 0600, &entry, &fh);
	int size_ret;

	if (ret)
		return wrong(h, "create: %s", result_name(ret));
	size_ret = fecall_setattr(&h->f, entry.nodeid, &in, NULL);
	ret = fecall_read(&h->f, entry.nodeid, fh, c->arg > 4096 ? c->arg - 4096 : 0, &byte, 1);
	(void)fecall_unlink(&h->f, FUSE_ROOT_ID, "giant");
	(void)fecall_release(&h->f, entry.nodeid, fh);
	if (size_ret == 0)
		return ret == 1 ? (say(h, "made, and read at its end"), 0)
				: wrong(h, "made, but READ: %d", ret);
	return expect_either(h, "SETATTR", size_ret, -EFBIG, -EINVAL);
}

static int bad_times(struct hostile *h, const struct hostile_case *c)
{
	struct fuse_setattr_in in = { .valid = (uint32_t)c->arg,
				      .atimensec = (uint32_t)c->arg2,
				      .mtimensec = (uint32_t)c->arg2,
				      .ctimensec = (uint32_t)c->arg2 };

	wire_begin(&w, FUSE_SETATTR, h->other_file);
	wire_add(&w, &in, sizeof(in));
	return expect(h, "SETATTR", wire_send(h, &w, 256), -EINVAL);
}

static int lock_range(struct hostile *h, const struct hostile_case *c)
{
	const struct range *r = c->data;
	struct fuse_lk_in in = { .owner = 1,
				 .lk = { .start = r->a, .end = r->b, .type = r->mode } };

	if (opened(h, &in.fh))
		return -1;
	for (uint32_t opcode = FUSE_GETLK; opcode <= FUSE_SETLKW; opcode++) {
		wire_begin(&w, opcode, h->other_file);
		wire_add(&w, &in, sizeof(in));
		if (expect(h, opcode_name(opcode), wire_send(h, &w, 64), r->want))
			return -1;
	}
	return 0;
}

/* STATX and GETATTR with all flags, the fh of nobody. */
static int all_flags(struct hostile *h, const struct hostile_case *c)
{
	struct holdfast_statx_in x = { .sx_flags = UINT32_MAX, .sx_mask = UINT32_MAX };
	struct fuse_getattr_in a = { .getattr_flags = UINT32_MAX };

	(void)c;
	wire_begin(&w, FUSE_OP_STATX, h->known);
	wire_add(&w, &x, sizeof(x));
	if (expect(h, "STATX of all that there is", wire_send(h, &w, 512), 0))
		return -1;
	wire_begin(&w, FUSE_GETATTR, h->known);
	wire_add(&w, &a, sizeof(a));
	return expect(h, "GETATTR by no fh", wire_send(h, &w, 512), -EBADF);
}

#define IO(text, fn, ...)                                                                          \
	{                                                                                          \
		.name = (text), .run = (fn), .data = &(const struct io)                            \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}
#define IOCTL(text, ...)                                                                           \
	{                                                                                          \
		.name = (text), .run = ioctl_lies, .data = &(const struct io_ctl)                  \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}
#define RANGE(text, fn, ...)                                                                       \
	{                                                                                          \
		.name = (text), .run = (fn), .data = &(const struct range)                         \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}

static const struct hostile_case cases[] = {
	IO("READ of more than its room", read_lies, .size = 8192, .room = 4096, .want = -EINVAL),
	IO("READ of 2^32-1 bytes", read_lies, .size = UINT32_MAX, .room = 4096, .want = -EINVAL),
	IO("READ without any room", read_lies, .size = 4096, .room = 0, .want = -EIO),
	IO("READ at 2^63-1", read_lies, .offset = INT64_MAX, .size = 4096, .room = 4096,
	   .want = -EINVAL),
	IO("READ at 2^64-1", read_lies, .offset = UINT64_MAX, .size = 4096, .room = 4096,
	   .want = -EINVAL),
	IO("READ at 2^63", read_lies, .offset = 1ULL << 63, .size = 1, .room = 4096,
	   .want = -EINVAL),
	{ .name = "READ with data behind it", .run = read_with_payload },
	IO("WRITE of more than it has", write_lies, .size = 8192, .room = 4096, .want = -EINVAL),
	IO("WRITE of less than it has", write_lies, .size = 16, .room = 4096, .want = -EINVAL),
	IO("WRITE of 2^32-1 bytes", write_lies, .size = UINT32_MAX, .room = 65000, .want = -EINVAL),
	IO("WRITE at 2^63-1", write_lies, .offset = INT64_MAX, .size = 64, .room = 64,
	   .want = -EINVAL),
	IO("WRITE at 2^64-64", write_lies, .offset = UINT64_MAX - 63, .size = 64, .room = 64,
	   .want = -EINVAL),
	{ .name = "a LOOKUP longer than any request", .run = too_long, .arg = FUSE_LOOKUP },
	{ .name = "a WRITE longer than any request", .run = too_long, .arg = FUSE_WRITE },
	{ .name = "a BATCH_FORGET longer than any request", .run = too_long, .arg = FUSE_SETXATTR },
	{ .name = "BATCH_FORGET counts one more", .run = batch_forget_lies, .arg = 3 },
	{ .name = "BATCH_FORGET counts one less", .run = batch_forget_lies, .arg = 1 },
	{ .name = "BATCH_FORGET counts 2^32-1", .run = batch_forget_lies, .arg = UINT32_MAX },
	{ .name = "BATCH_FORGET counts 2^28 + 2, which is 32 bytes by 32 bits",
	  .run = batch_forget_lies,
	  .arg = (1U << 28) + 2 },
	{ .name = "SETXATTR says one byte more", .run = setxattr_lies, .arg = 9 },
	{ .name = "SETXATTR says one byte less", .run = setxattr_lies, .arg = 7 },
	{ .name = "SETXATTR says 2^32-1 bytes", .run = setxattr_lies, .arg = UINT32_MAX },
	{ .name = "GETXATTR of 2^32-1 bytes",
	  .run = getxattr_lies,
	  .arg = FUSE_GETXATTR,
	  .arg2 = UINT32_MAX },
	{ .name = "LISTXATTR of 2^32-1 bytes",
	  .run = getxattr_lies,
	  .arg = FUSE_LISTXATTR,
	  .arg2 = UINT32_MAX },
	IOCTL("IOCTL says more than it has", .cmd = 1, .in_size = 64, .data = 16, .want = -EINVAL),
	IOCTL("IOCTL says 2^32-1 bytes", .cmd = 1, .in_size = UINT32_MAX, .data = 16,
	      .want = -EINVAL),
	IOCTL("IOCTL wants 2^32-1 bytes", .cmd = 1, .out_size = UINT32_MAX, .want = -EINVAL),
	IOCTL("IOCTL asks for retries", .cmd = 1,
	      .flags = FUSE_IOCTL_UNRESTRICTED | FUSE_IOCTL_RETRY, .in_size = 16, .data = 16,
	      .want = -ENOTTY),
	IOCTL("IOCTL sets flags with 2 bytes", .cmd = FS_IOC_SETFLAGS, .in_size = 2, .data = 2,
	      .want = -EINVAL),
	IOCTL("IOCTL wants flags in 2 bytes", .cmd = FS_IOC_GETFLAGS, .out_size = 2,
	      .want = -EINVAL),
	IOCTL("IOCTL FS_IOC_SETVERSION", .cmd = FS_IOC_SETVERSION, .in_size = 8, .data = 8,
	      .want = -ENOTTY),
	IOCTL("IOCTL FS_IOC_GETVERSION", .cmd = FS_IOC_GETVERSION, .out_size = 8, .want = -ENOTTY),
	IOCTL("IOCTL FICLONE", .cmd = FICLONE, .in_size = 8, .data = 8, .want = -ENOTTY),
	IOCTL("IOCTL FIFREEZE", .cmd = FIFREEZE, .in_size = 8, .data = 8, .want = -ENOTTY),
	IOCTL("IOCTL 2^32-1", .cmd = UINT32_MAX, .in_size = 8, .out_size = 8, .data = 8,
	      .want = -ENOTTY),
	IO("READDIR of 2^32-1 bytes with room for 64", readdir_lies, .size = UINT32_MAX, .room = 64,
	   .want = -EIO),
	IO("READDIR of no bytes", readdir_lies, .size = 0, .room = 4096, .want = -EINVAL),
	IO("READDIR of 8 bytes", readdir_lies, .size = 8, .room = 4096, .want = -EINVAL),
	IO("READDIR from 12345", readdir_lies, .offset = 12345, .size = 4096, .room = 4096),
	IO("READDIR from 2^63-1", readdir_lies, .offset = INT64_MAX, .size = 4096, .room = 4096),
	IO("READDIR from 2^63", readdir_lies, .offset = 1ULL << 63, .size = 4096, .room = 4096,
	   .want = -EINVAL),
	IO("READDIR from 2^64-1", readdir_lies, .offset = UINT64_MAX, .size = 4096, .room = 4096,
	   .want = -EINVAL),
	RANGE("FALLOCATE of 2^64-1 bytes", fallocate_range, .b = UINT64_MAX, .want = -EINVAL),
	RANGE("FALLOCATE from 2^63", fallocate_range, .a = 1ULL << 63, .b = 1, .want = -EINVAL),
	RANGE("FALLOCATE past 2^63", fallocate_range, .a = INT64_MAX - 1, .b = 2, .want = -EINVAL),
	RANGE("FALLOCATE of nothing", fallocate_range, .want = -EINVAL),
	RANGE("FALLOCATE of 8 EiB", fallocate_range, .b = INT64_MAX, .mode = FALLOC_FL_KEEP_SIZE,
	      .want = -EFBIG, .or_want = -ENOSPC),
	RANGE("FALLOCATE in all modes at once", fallocate_range, .b = 1, .mode = UINT32_MAX,
	      .want = -EOPNOTSUPP, .or_want = -EINVAL),
	RANGE("LSEEK from nowhere", lseek_range, .mode = 99, .want = -EINVAL),
	RANGE("LSEEK for data from 2^64-1", lseek_range, .a = UINT64_MAX, .mode = SEEK_DATA,
	      .want = -ENXIO, .or_want = -EINVAL),
	RANGE("LSEEK for a hole from 2^63-1", lseek_range, .a = INT64_MAX, .mode = SEEK_HOLE,
	      .want = -ENXIO, .or_want = -EINVAL),
	RANGE("LSEEK to 2^63", lseek_range, .a = 1ULL << 63, .mode = SEEK_SET, .want = -EINVAL),
	RANGE("COPY_FILE_RANGE of 2^64-1 bytes", copy_range, .c = UINT64_MAX, .want = -EINVAL),
	RANGE("COPY_FILE_RANGE from 2^63", copy_range, .a = 1ULL << 63, .c = 1, .want = -EINVAL),
	RANGE("COPY_FILE_RANGE to 2^64-1", copy_range, .b = UINT64_MAX, .c = 1, .want = -EINVAL),
	RANGE("COPY_FILE_RANGE onto itself", copy_range, .c = 10, .want = -EINVAL),
	RANGE("COPY_FILE_RANGE with flags", copy_range, .b = 4096, .c = 10, .mode = UINT32_MAX,
	      .want = -EINVAL),
	{ .name = "a file of 8 EiB", .run = giant_size, .arg = INT64_MAX },
	{ .name = "a file of 2^63 bytes", .run = giant_size, .arg = 1ULL << 63 },
	{ .name = "a file of 2^64-1 bytes", .run = giant_size, .arg = UINT64_MAX },
	{ .name = "SETATTR with a second of nanoseconds",
	  .run = bad_times,
	  .arg = FATTR_ATIME,
	  .arg2 = 1000000000 },
	{ .name = "SETATTR with UTIME_NOW for nanoseconds",
	  .run = bad_times,
	  .arg = FATTR_MTIME,
	  .arg2 = (1U << 30) - 1 },
	{ .name = "SETATTR with 2^32-1 nanoseconds",
	  .run = bad_times,
	  .arg = FATTR_ATIME | FATTR_MTIME,
	  .arg2 = UINT32_MAX },
	RANGE("a lock that ends before it begins", lock_range, .a = 10, .b = 9, .mode = F_WRLCK,
	      .want = -EINVAL),
	RANGE("a lock up to 2^64-1", lock_range, .b = UINT64_MAX, .mode = F_WRLCK, .want = -EINVAL),
	RANGE("a lock of a kind that is none", lock_range, .b = 9, .mode = 77, .want = -EINVAL),
	{ .name = "STATX and GETATTR with all flags", .run = all_flags },
};

const struct hostile_area area_size = { "size", cases, ARRAY_LEN(cases) };
