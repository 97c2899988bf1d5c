/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_object.c - objects that are not to be opened, made or labelled: FIFOs, devices, symlinks, attributes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "hostile.h"

static struct wire w;

struct opening {
	const char *name;
	uint32_t flags;
	int want;
};

static int open_object(struct hostile *h, const struct hostile_case *c)
{
	const struct opening *o = c->data;
	struct fuse_entry_out entry;
	uint64_t fh;

	if (fecall_lookup(&h->f, FUSE_ROOT_ID, o->name, &entry))
		return wrong(h, "LOOKUP failed");
	return expect(h, "OPEN", fecall_open(&h->f, entry.nodeid, o->flags, &fh), o->want);
}

static int opendir_object(struct hostile *h, const struct hostile_case *c)
{
	struct fuse_entry_out entry;
	uint64_t fh;

	if (fecall_lookup(&h->f, FUSE_ROOT_ID, c->data, &entry))
		return wrong(h, "LOOKUP failed");
	return expect(h, "OPENDIR", fecall_opendir(&h->f, entry.nodeid, &fh), -ENOTDIR);
}

static int create_over(struct hostile *h, const struct hostile_case *c)
{
	const struct opening *o = c->data;
	struct fuse_entry_out entry;
	uint64_t fh;

	return expect(h, "CREATE",
		      fecall_create(&h->f, FUSE_ROOT_ID, o->name, o->flags, 0644, &entry, &fh),
		      o->want);
}

/* A FIFO takes the place of a file that was looked up: the next OPEN must neither hang nor open it. */
static int fifo_in_its_place(struct hostile *h, const struct hostile_case *c)
{
	struct fuse_entry_out entry;
	char path[4096];
	char other[4096];
	uint64_t fh;
	int got;

	(void)c;
	(void)host_path(h, path, sizeof(path), "swapped");
	(void)host_path(h, other, sizeof(other), "swapped-new");
	if (host_write(h, "swapped", "a file") ||
	    fecall_lookup(&h->f, FUSE_ROOT_ID, "swapped", &entry) || mkfifo(other, 0644) ||
	    rename(other, path))
		return wrong(h, "no file");
	got = fecall_open(&h->f, entry.nodeid, O_RDONLY, &fh);
	(void)unlink(path);
	if (got == 0)
		return wrong(h, "what took its place was opened");
	say(h, "OPEN: %s", result_name(got));
	return 0;
}

/* CREATE with O_TRUNC, as a caller who may not write. */
static int create_without_right(struct hostile *h, const struct hostile_case *c)
{
	struct fuse_entry_out entry;
	struct fuse_attr attr;
	uint64_t fh;
	int got;

	(void)c;
	h->f.uid = h->f.gid = 12345;
	got = fecall_create(&h->f, FUSE_ROOT_ID, OTHER, O_RDWR | O_TRUNC, 0644, &entry, &fh);
	h->f.uid = h->f.gid = 0;
	if (expect(h, "CREATE", got, -EACCES))
		return -1;
	if (fecall_getattr(&h->f, h->other_file, &attr) || attr.size != strlen(OTHER_TEXT))
		return wrong(h, "the file was cut");
	return 0;
}

/* All flags of open(2), also those that are no business of a guest, in CREATE and OPEN. */
static int all_open_flags(struct hostile *h, const struct hostile_case *c)
{
	static const uint32_t all[] = { O_PATH,	    O_TMPFILE,	O_DIRECTORY,
					O_CREAT,    O_NONBLOCK, O_ASYNC,
					O_NOFOLLOW, O_NOCTTY,	O_EXCL,
					1U << 31,   1U << 30,	0x7ffffffc & ~(uint32_t)O_TRUNC };
	uint64_t fh;
	int got;

	(void)c;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		got = fecall_open(&h->f, h->other_file, all[i], &fh);
		if (got && got != -EINVAL)
			return wrong(h, "OPEN with 0x%x: %s", all[i], result_name(got));
		if (!got && fecall_release(&h->f, h->other_file, fh))
			return wrong(h, "RELEASE failed");
	}
	return expect(h, "OPEN with O_ACCMODE", fecall_open(&h->f, h->other_file, O_ACCMODE, &fh),
		      -EINVAL);
}

struct node {
	uint32_t mode, rdev;
	int want;
};

static int make_node(struct hostile *h, const struct hostile_case *c)
{
	const struct node *n = c->data;
	const struct fuse_mknod_in in = { .mode = n->mode, .rdev = n->rdev };
	struct fuse_entry_out entry;
	uint64_t fh;
	int got;

	wire_begin(&w, FUSE_MKNOD, FUSE_ROOT_ID);
	wire_add(&w, &in, sizeof(in));
	wire_string(&w, "made-node");
	got = wire_send(h, &w, 4096);
	/* What root may on the host root may here: a device is made, but never opened. */
	if (got == 0 && n->want == 0) {
		memcpy(&entry, wire_reply, sizeof(entry));
		if (fecall_open(&h->f, entry.nodeid, O_RDONLY, &fh) != -ENXIO)
			got = -EBADE;
	}
	(void)fecall_unlink(&h->f, FUSE_ROOT_ID, "made-node");
	if (got == -EPERM && n->want == 0)
		return expect(h, "MKNOD", got, -EPERM);
	return expect(h, "MKNOD", got, n->want);
}

/* An ordinary user of the guest makes a device. */
static int device_as_user(struct hostile *h, const struct hostile_case *c)
{
	struct fuse_entry_out entry;
	int got;

	(void)c;
	(void)fecall_mkdir(&h->f, FUSE_ROOT_ID, "everybody", 0777, &entry);
	(void)fecall_setattr(&h->f, entry.nodeid,
			     &(struct fuse_setattr_in){ .valid = FATTR_MODE, .mode = 01777 }, NULL);
	h->f.uid = h->f.gid = 12345;
	got = fecall_mknod(&h->f, entry.nodeid, "disk", S_IFBLK | 0666, &entry);
	h->f.uid = h->f.gid = 0;
	(void)fecall_rmdir(&h->f, FUSE_ROOT_ID, "everybody");
	return expect(h, "MKNOD", got, -EPERM);
}

struct attribute {
	const char *name;
	size_t size;
	int want, or_want;
};

/* Set and removed alike. */
static int set_attribute(struct hostile *h, const struct hostile_case *c)
{
	static const uint8_t value[65536];
	const struct attribute *a = c->data;
	int got = fecall_setxattr(&h->f, h->other_file, a->name, value, (uint32_t)a->size, 0);
	int removed;

	if (expect_either(h, "SETXATTR", got, a->want, a->or_want))
		return -1;
	removed = fecall_removexattr(&h->f, h->other_file, a->name);
	return got ? expect_either(h, "REMOVEXATTR", removed, a->want,
				   removed == -ENODATA ? -ENODATA : a->or_want)
		   : 0;
}

/* Our handle is not in a list, and is read by itself. */
static int handle_attribute(struct hostile *h, const struct hostile_case *c)
{
	char text[65536];
	int n = fecall_getxattr(&h->f, h->known, "trusted.holdfast.handle", text, sizeof(text));

	(void)c;
	if (n <= 0 || n > 128)
		return wrong(h, "GETXATTR: %s", result_name(n));
	if (expect(h, "GETXATTR into a byte",
		   fecall_getxattr(&h->f, h->known, "trusted.holdfast.handle", text, 1), -ERANGE))
		return -1;
	return expect(h, "SETXATTR of it",
		      fecall_setxattr(&h->f, h->dir, "trusted.holdfast.handle", "x", 1, 0), -EPERM);
}

static int rename_flags(struct hostile *h, const struct hostile_case *c)
{
	const int got =
		fecall_rename2(&h->f, FUSE_ROOT_ID, OTHER, FUSE_ROOT_ID, "moved", (uint32_t)c->arg);

	return expect(h, "RENAME2", got, -EINVAL);
}

/* A directory into itself, the root away, names that are dots. */
static int rename_into_itself(struct hostile *h, const struct hostile_case *c)
{
	struct fuse_entry_out entry;

	(void)c;
	if (expect(h, "RENAME into itself",
		   fecall_rename2(&h->f, FUSE_ROOT_ID, "dir", h->dir, "deeper", 0), -EINVAL) ||
	    expect_either(h, "RENAME onto its parent",
			  fecall_rename2(&h->f, h->dir, "inside", FUSE_ROOT_ID, "dir", 0),
			  -ENOTEMPTY, -EISDIR) ||
	    expect(h, "RENAME out of a file",
		   fecall_rename2(&h->f, h->known, "x", FUSE_ROOT_ID, "y", 0), -ENOTDIR) ||
	    expect(h, "LINK of a directory",
		   fecall_link(&h->f, h->dir, FUSE_ROOT_ID, "made-link", &entry), -EPERM))
		return -1;
	return expect(h, "UNLINK of a directory", fecall_unlink(&h->f, FUSE_ROOT_ID, "dir"),
		      -EISDIR);
}

static int readlink_of_no_link(struct hostile *h, const struct hostile_case *c)
{
	char text[64];
	uint64_t all[] = { h->known, h->dir, FUSE_ROOT_ID };

	(void)c;
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (expect(h, "READLINK", fecall_readlink(&h->f, all[i], text, sizeof(text)),
			   -EINVAL))
			return -1;
	return 0;
}

#define OPEN(text, n, f, e)                                                                        \
	{                                                                                          \
		.name = (text), .run = open_object, .data = &(const struct opening)                \
		{                                                                                  \
			(n), (f), (e)                                                              \
		}                                                                                  \
	}
#define CREATE(text, n, f, e)                                                                      \
	{                                                                                          \
		.name = (text), .run = create_over, .data = &(const struct opening)                \
		{                                                                                  \
			(n), (f), (e)                                                              \
		}                                                                                  \
	}
#define NODE(text, m, d, e)                                                                        \
	{                                                                                          \
		.name = (text), .run = make_node, .data = &(const struct node)                     \
		{                                                                                  \
			(m), (d), (e)                                                              \
		}                                                                                  \
	}
#define XATTR(text, n, s, e, o)                                                                    \
	{                                                                                          \
		.name = (text), .run = set_attribute, .data = &(const struct attribute)            \
		{                                                                                  \
			(n), (s), (e), (o)                                                         \
		}                                                                                  \
	}

static const struct hostile_case cases[] = {
	OPEN("OPEN of a FIFO for reading", "fifo", O_RDONLY, -ENXIO),
	OPEN("OPEN of a FIFO for writing", "fifo", O_WRONLY, -ENXIO),
	OPEN("OPEN of a device", "device", O_RDWR, -ENXIO),
	OPEN("OPEN of a symlink", "link", O_RDONLY, -ELOOP),
	OPEN("OPEN of a directory", "dir", O_RDONLY, -EISDIR),
	OPEN("OPEN of a directory for writing", "dir", O_RDWR, -EISDIR),
	{ .name = "OPENDIR of a file", .run = opendir_object, .data = KNOWN },
	{ .name = "OPENDIR of a FIFO", .run = opendir_object, .data = "fifo" },
	{ .name = "OPENDIR of a symlink", .run = opendir_object, .data = "link" },
	CREATE("CREATE over a FIFO", "fifo", O_RDWR, -ENXIO),
	CREATE("CREATE over a device", "device", O_RDWR, -ENXIO),
	CREATE("CREATE over a symlink", "link", O_RDWR | O_TRUNC, -ELOOP),
	CREATE("CREATE over a directory", "dir", O_RDWR, -EISDIR),
	CREATE("CREATE with O_EXCL over a file", KNOWN, O_RDWR | O_EXCL | O_TRUNC, -EEXIST),
	{ .name = "a FIFO takes the place of a file that was looked up", .run = fifo_in_its_place },
	{ .name = "CREATE with O_TRUNC by a caller without the right",
	  .run = create_without_right },
	{ .name = "all flags of open(2)", .run = all_open_flags },
	NODE("MKNOD of a device, as root", S_IFCHR | 0666, 0x101, 0),
	NODE("MKNOD of a disk, as root", S_IFBLK | 0666, 0x800, 0),
	NODE("MKNOD of a FIFO", S_IFIFO | 0666, 0, 0),
	NODE("MKNOD of a socket", S_IFSOCK | 0666, 0, 0),
	NODE("MKNOD of a directory", S_IFDIR | 0777, 0, -EINVAL),
	NODE("MKNOD of a symlink", S_IFLNK | 0777, 0, -EINVAL),
	NODE("MKNOD of no type", 0666, 0, -EINVAL),
	NODE("MKNOD of all types", S_IFMT | 0666, 0, -EINVAL),
	{ .name = "MKNOD of a device, as an ordinary user", .run = device_as_user },
	XATTR("our own handle's attribute is set and removed", "trusted.holdfast.handle", 32,
	      -EPERM, -EPERM),
	XATTR("security.capability is set", "security.capability", 20, -EOPNOTSUPP, -EINVAL),
	XATTR("trusted.overlay.opaque is set", "trusted.overlay.opaque", 1, -EPERM, -EOPNOTSUPP),
	XATTR("system.posix_acl_access is set", "system.posix_acl_access", 28, -EOPNOTSUPP,
	      -EOPNOTSUPP),
	XATTR("an attribute of no kind is set", "nonsense", 1, -EOPNOTSUPP, -EOPNOTSUPP),
	XATTR("an attribute of 64 KiB is set", "user.big", 65536, -ENOSPC, -EOPNOTSUPP),
	{ .name = "our own handle's attribute is read", .run = handle_attribute },
	{ .name = "RENAME2 with RENAME_WHITEOUT in an exchange", .run = rename_flags, .arg = 6 },
	{ .name = "RENAME2 with all flags", .run = rename_flags, .arg = UINT32_MAX },
	{ .name = "RENAME2 with flags that exclude each other", .run = rename_flags, .arg = 3 },
	{ .name = "RENAME of a directory into itself", .run = rename_into_itself },
	{ .name = "READLINK of what is no symlink", .run = readlink_of_no_link },
};

const struct hostile_area area_object = { "object", cases, ARRAY_LEN(cases) };
