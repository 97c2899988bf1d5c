/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_fh.c - values of fh that are another's, closed, guessed: EBADF, never another object.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/util.h"
#include "hostile.h"

static struct wire w;

/* Each request that takes an fh, on `nodeid`. */
static const struct {
	uint32_t opcode;
	size_t args, fh_at;
} takes_fh[] = {
	{ FUSE_READ, sizeof(struct fuse_read_in), offsetof(struct fuse_read_in, fh) },
	{ FUSE_WRITE, sizeof(struct fuse_write_in), offsetof(struct fuse_write_in, fh) },
	{ FUSE_RELEASE, sizeof(struct fuse_release_in), offsetof(struct fuse_release_in, fh) },
	{ FUSE_FSYNC, sizeof(struct fuse_fsync_in), offsetof(struct fuse_fsync_in, fh) },
	{ FUSE_FLUSH, sizeof(struct fuse_flush_in), offsetof(struct fuse_flush_in, fh) },
	{ FUSE_READDIR, sizeof(struct fuse_read_in), offsetof(struct fuse_read_in, fh) },
	{ FUSE_READDIRPLUS, sizeof(struct fuse_read_in), offsetof(struct fuse_read_in, fh) },
	{ FUSE_RELEASEDIR, sizeof(struct fuse_release_in), offsetof(struct fuse_release_in, fh) },
	{ FUSE_FSYNCDIR, sizeof(struct fuse_fsync_in), offsetof(struct fuse_fsync_in, fh) },
	{ FUSE_FALLOCATE, sizeof(struct fuse_fallocate_in),
	  offsetof(struct fuse_fallocate_in, fh) },
	{ FUSE_LSEEK, sizeof(struct fuse_lseek_in), offsetof(struct fuse_lseek_in, fh) },
	{ FUSE_GETLK, sizeof(struct fuse_lk_in), offsetof(struct fuse_lk_in, fh) },
	{ FUSE_SETLK, sizeof(struct fuse_lk_in), offsetof(struct fuse_lk_in, fh) },
	{ FUSE_SETLKW, sizeof(struct fuse_lk_in), offsetof(struct fuse_lk_in, fh) },
	{ FUSE_COPY_FILE_RANGE, sizeof(struct fuse_copy_file_range_in),
	  offsetof(struct fuse_copy_file_range_in, fh_in) },
	{ FUSE_IOCTL, sizeof(struct fuse_ioctl_in), offsetof(struct fuse_ioctl_in, fh) },
	{ FUSE_GETATTR, sizeof(struct fuse_getattr_in), offsetof(struct fuse_getattr_in, fh) },
	{ FUSE_SETATTR, sizeof(struct fuse_setattr_in), offsetof(struct fuse_setattr_in, fh) },
};

static void fill(uint32_t opcode)
{
	switch (opcode) {
	case FUSE_READ:
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
		((struct fuse_read_in *)(void *)w.args)->size = 4096;
		break;
	case FUSE_FALLOCATE:
		((struct fuse_fallocate_in *)(void *)w.args)->length = 1;
		break;
	case FUSE_GETATTR:
		((struct fuse_getattr_in *)(void *)w.args)->getattr_flags = FUSE_GETATTR_FH;
		break;
	case FUSE_SETATTR:
		((struct fuse_setattr_in *)(void *)w.args)->valid = FATTR_FH | FATTR_MODE;
		break;
	case FUSE_GETLK:
	case FUSE_SETLK:
	case FUSE_SETLKW:
		((struct fuse_lk_in *)(void *)w.args)->lk.type = F_WRLCK;
		break;
	case FUSE_IOCTL: /* FS_IOC_GETFLAGS */
		((struct fuse_ioctl_in *)(void *)w.args)->cmd = 0x80086601;
		((struct fuse_ioctl_in *)(void *)w.args)->out_size = 8;
		break;
	default:
		break;
	}
}

/* Every request by this fh is EBADF. */
static int all_bad(struct hostile *h, uint64_t nodeid, uint64_t fh)
{
	for (size_t i = 0; i < ARRAY_LEN(takes_fh); i++) {
		wire_begin(&w, takes_fh[i].opcode, nodeid);
		wire_add(&w, (uint8_t[128]){ 0 }, takes_fh[i].args);
		fill(takes_fh[i].opcode);
		memcpy(w.args + takes_fh[i].fh_at, &fh, sizeof(fh));
		if (expect(h, opcode_name(takes_fh[i].opcode), wire_send(h, &w, 8192), -EBADF))
			return -1;
	}
	return 0;
}

static int open_it(struct hostile *h, uint64_t nodeid, uint32_t flags, uint64_t *fh)
{
	int ret = fecall_open(&h->f, nodeid, flags, fh);

	return ret ? wrong(h, "open: %s", result_name(ret)) : 0;
}

static int of_another(struct hostile *h, const struct hostile_case *c)
{
	uint64_t fh;

	(void)c;
	return open_it(h, h->other_file, O_RDWR, &fh) || all_bad(h, h->known, fh) ||
			       all_bad(h, FUSE_ROOT_ID, fh) || all_bad(h, h->dir, fh)
		       ? -1
		       : 0;
}

static int closed(struct hostile *h, const struct hostile_case *c)
{
	uint64_t fh;
	uint64_t again;

	(void)c;
	if (open_it(h, h->known, O_RDWR, &fh) ||
	    expect(h, "RELEASE", fecall_release(&h->f, h->known, fh), 0) ||
	    all_bad(h, h->known, fh))
		return -1;
	/* Its place is taken by another, its number not. */
	if (open_it(h, h->known, O_RDWR, &again))
		return -1;
	return again == fh ? wrong(h, "the same fh was given again") : all_bad(h, h->known, fh);
}

static int guessed(struct hostile *h, const struct hostile_case *c)
{
	static const uint64_t all[] = { 0,	    1,		2,	    3,	       100,
					0xffffffff, 1ULL << 32, 1ULL << 63, UINT64_MAX };
	uint64_t fh;

	(void)c;
	if (open_it(h, h->known, O_RDWR, &fh))
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (all[i] != fh && all_bad(h, h->known, all[i]))
			return -1;
	for (unsigned bit = 0; bit < 64; bit++) {
		int got = fecall_read(&h->f, h->known, fh ^ 1ULL << bit, 0, &got, sizeof(got));

		if (got != -EBADF)
			return wrong(h, "with bit %u turned: %s", bit, result_name(got));
	}
	return 0;
}

static int of_a_directory(struct hostile *h, const struct hostile_case *c)
{
	static const uint32_t for_files[] = { FUSE_READ,  FUSE_WRITE,	  FUSE_RELEASE,
					      FUSE_FSYNC, FUSE_FALLOCATE, FUSE_LSEEK };
	uint64_t fh;

	(void)c;
	if (fecall_opendir(&h->f, h->dir, &fh))
		return wrong(h, "opendir failed");
	for (size_t i = 0; i < ARRAY_LEN(takes_fh); i++) {
		for (size_t k = 0; k < ARRAY_LEN(for_files); k++) {
			if (takes_fh[i].opcode != for_files[k])
				continue;
			wire_begin(&w, for_files[k], h->dir);
			wire_add(&w, (uint8_t[128]){ 0 }, takes_fh[i].args);
			fill(for_files[k]);
			memcpy(w.args + takes_fh[i].fh_at, &fh, sizeof(fh));
			if (expect(h, opcode_name(for_files[k]), wire_send(h, &w, 8192), -EBADF))
				return -1;
		}
	}
	return 0;
}

static int of_a_file_for_directories(struct hostile *h, const struct hostile_case *c)
{
	uint64_t fh;

	(void)c;
	if (open_it(h, h->known, O_RDONLY, &fh))
		return -1;
	if (expect(h, "READDIR", fecall_readdir(&h->f, h->known, fh, 0, NULL, 4096), -EBADF) ||
	    expect(h, "READDIRPLUS", fecall_readdirplus(&h->f, h->known, fh, 0, NULL, 4096),
		   -EBADF) ||
	    expect(h, "FSYNCDIR", fecall_fsyncdir(&h->f, h->known, fh, false), -EBADF))
		return -1;
	return expect(h, "RELEASEDIR", fecall_releasedir(&h->f, h->known, fh), -EBADF);
}

static int release_twice(struct hostile *h, const struct hostile_case *c)
{
	uint64_t fh;
	uint64_t dir;

	(void)c;
	if (open_it(h, h->known, O_RDONLY, &fh) || fecall_opendir(&h->f, FUSE_ROOT_ID, &dir))
		return -1;
	if (expect(h, "RELEASE", fecall_release(&h->f, h->known, fh), 0) ||
	    expect(h, "RELEASE again", fecall_release(&h->f, h->known, fh), -EBADF) ||
	    expect(h, "RELEASEDIR", fecall_releasedir(&h->f, FUSE_ROOT_ID, dir), 0))
		return -1;
	return expect(h, "RELEASEDIR again", fecall_releasedir(&h->f, FUSE_ROOT_ID, dir), -EBADF);
}

static int wrong_way(struct hostile *h, const struct hostile_case *c)
{
	uint64_t reads;
	uint64_t writes;
	char byte = 'x';

	(void)c;
	if (open_it(h, h->other_file, O_RDONLY, &reads) ||
	    open_it(h, h->other_file, O_WRONLY, &writes))
		return -1;
	if (expect(h, "WRITE by a file that is open for reading",
		   fecall_write(&h->f, h->other_file, reads, 0, &byte, 1), -EBADF))
		return -1;
	return expect(h, "READ by a file that is open for writing",
		      fecall_read(&h->f, h->other_file, writes, 0, &byte, 1), -EBADF);
}

static int copy_to_another(struct hostile *h, const struct hostile_case *c)
{
	struct fuse_copy_file_range_in in = { .len = 4, .nodeid_out = h->known };

	(void)c;
	if (open_it(h, h->known, O_RDONLY, &in.fh_in) ||
	    open_it(h, h->other_file, O_RDWR, &in.fh_out))
		return -1;
	wire_begin(&w, FUSE_COPY_FILE_RANGE, h->known);
	wire_add(&w, &in, sizeof(in));
	return expect(h, "COPY_FILE_RANGE", wire_send(h, &w, 64), -EBADF);
}

static int ten_thousand(struct hostile *h, const struct hostile_case *c)
{
	uint64_t fh;
	uint64_t x = 88172645463325252ULL;
	int byte;

	(void)c;
	if (open_it(h, h->known, O_RDONLY, &fh))
		return -1;
	for (unsigned i = 0; i < 10000; i++) {
		const uint64_t guess = i % 2 ? x : (fh & ~0xffffffffULL) | (x & 0xff);

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		if (guess != fh && fecall_read(&h->f, h->known, guess, 0, &byte, 1) != -EBADF)
			return wrong(h, "a guess opened something");
	}
	say(h, "EBADF");
	return 0;
}

/* RELEASE races READ and WRITE in other slots: never a wrong descriptor. */
static int release_races(struct hostile *h, const struct hostile_case *c)
{
	struct fuse_read_in in = { .size = sizeof(KNOWN_TEXT) - 1 };
	char text[8][64];
	int slots[8];

	(void)c;
	for (unsigned round = 0; round < 200; round++) {
		if (open_it(h, h->known, O_RDONLY, &in.fh))
			return -1;
		for (unsigned i = 0; i < 8; i++) {
			struct fefuse_request r = { .opcode = FUSE_READ,
						    .nodeid = h->known,
						    .in = { { &in, sizeof(in) } },
						    .parts = 1,
						    .out = text[i],
						    .room = in.size };

			slots[i] = fefuse_send(&h->f, 1, &r);
		}
		(void)fecall_release(&h->f, h->known, in.fh);
		for (unsigned i = 0; i < 8; i++) {
			int ret = slots[i] < 0 ? slots[i]
					       : fefuse_receive(&h->f, slots[i], CASE_TIMEOUT_MS);

			if (ret != -EBADF && (ret || memcmp(text[i], KNOWN_TEXT, in.size) != 0))
				return wrong(h, "READ: %s", result_name(ret));
		}
	}
	say(h, "EBADF or the file's own bytes");
	return 0;
}

static const struct hostile_case cases[] = {
	{ .name = "the fh of another file", .run = of_another },
	{ .name = "the fh of a closed file", .run = closed },
	{ .name = "an fh that was guessed", .run = guessed },
	{ .name = "ten thousand guesses", .run = ten_thousand },
	{ .name = "the fh of a directory, to read and write", .run = of_a_directory },
	{ .name = "the fh of a file, to list", .run = of_a_file_for_directories },
	{ .name = "RELEASE twice", .run = release_twice },
	{ .name = "an fh that is open the other way", .run = wrong_way },
	{ .name = "COPY_FILE_RANGE to the fh of another file", .run = copy_to_another },
	{ .name = "RELEASE while READs are in flight", .run = release_races },
};

const struct hostile_area area_fh = { "fh", cases, ARRAY_LEN(cases) };
