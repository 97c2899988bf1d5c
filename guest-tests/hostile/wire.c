/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wire.c - FUSE requests as bytes, and one of each kind that is right, to be spoilt by the cases.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/util.h"
#include "hostile.h"

uint8_t wire_reply[FEFUSE_IO + 4096];
size_t wire_reply_len;

void wire_begin(struct wire *w, uint32_t opcode, uint64_t nodeid)
{
	memset(&w->head, 0, sizeof(w->head));
	w->head.opcode = opcode;
	w->head.nodeid = nodeid;
	w->head.pid = 1;
	w->len = 0;
}

void wire_add(struct wire *w, const void *bytes, size_t len)
{
	if (len > sizeof(w->args) - w->len)
		len = sizeof(w->args) - w->len;
	memcpy(w->args + w->len, bytes, len);
	w->len += len;
}

void wire_string(struct wire *w, const char *text)
{
	wire_add(w, text, strlen(text) + 1);
}

int wire_send_as_is(struct hostile *h, const struct wire *w, size_t len, size_t room)
{
	static uint8_t bytes[sizeof(struct fuse_in_header) + WIRE_MAX + 64];
	static uint8_t reply[FEFUSE_IO + 4096];
	struct fuse_out_header out;
	int n;

	memcpy(bytes, &w->head, sizeof(w->head));
	memcpy(bytes + sizeof(w->head), w->args, sizeof(w->args));
	n = fefuse_raw(&h->f, h->f.queue, bytes, len, reply, sizeof(out) + room);
	wire_reply_len = 0;
	if (n < 0)
		return n;
	if (n == 0)
		return BARE;
	if (n < (int)sizeof(out))
		return -EBADMSG;
	memcpy(&out, reply, sizeof(out));
	if (out.len != (uint32_t)n || out.error > 0 || (size_t)n > sizeof(out) + room)
		return -EBADMSG;
	if (len >= offsetof(struct fuse_in_header, nodeid) && out.unique != w->head.unique)
		return -EBADMSG;
	wire_reply_len = (size_t)n - sizeof(out);
	memcpy(wire_reply, reply + sizeof(out), wire_reply_len);
	return out.error;
}

int wire_send(struct hostile *h, struct wire *w, size_t room)
{
	h->f.unique += 2;
	w->head.unique = h->f.unique;
	w->head.len = (uint32_t)(sizeof(w->head) + w->len);
	return wire_send_as_is(h, w, w->head.len, room);
}

/* --- one of each ---------------------------------------------------------------------------------------------- */

/* Bytes of the argument struct, then strings, then bytes of data. */
static const struct form {
	uint32_t opcode;
	const char *name;
	uint16_t args;
	const char *strings[2];
	uint16_t data;
} forms[] = {
	{ FUSE_LOOKUP, "LOOKUP", 0, { KNOWN }, 0 },
	{ FUSE_FORGET, "FORGET", sizeof(struct fuse_forget_in), { NULL }, 0 },
	{ FUSE_GETATTR, "GETATTR", sizeof(struct fuse_getattr_in), { NULL }, 0 },
	{ FUSE_SETATTR, "SETATTR", sizeof(struct fuse_setattr_in), { NULL }, 0 },
	{ FUSE_READLINK, "READLINK", 0, { NULL }, 0 },
	{ FUSE_SYMLINK, "SYMLINK", 0, { "made-link", "target" }, 0 },
	{ FUSE_MKNOD, "MKNOD", sizeof(struct fuse_mknod_in), { "made-node" }, 0 },
	{ FUSE_MKDIR, "MKDIR", sizeof(struct fuse_mkdir_in), { "made-dir" }, 0 },
	{ FUSE_UNLINK, "UNLINK", 0, { "nothing" }, 0 },
	{ FUSE_RMDIR, "RMDIR", 0, { "nothing" }, 0 },
	{ FUSE_RENAME, "RENAME", sizeof(struct fuse_rename_in), { "nothing", "else" }, 0 },
	{ FUSE_LINK, "LINK", sizeof(struct fuse_link_in), { "made-hardlink" }, 0 },
	{ FUSE_OPEN, "OPEN", sizeof(struct fuse_open_in), { NULL }, 0 },
	{ FUSE_READ, "READ", sizeof(struct fuse_read_in), { NULL }, 0 },
	{ FUSE_WRITE, "WRITE", sizeof(struct fuse_write_in), { NULL }, 64 },
	{ FUSE_STATFS, "STATFS", 0, { NULL }, 0 },
	{ FUSE_RELEASE, "RELEASE", sizeof(struct fuse_release_in), { NULL }, 0 },
	{ FUSE_FSYNC, "FSYNC", sizeof(struct fuse_fsync_in), { NULL }, 0 },
	{ FUSE_SETXATTR, "SETXATTR", sizeof(struct fuse_setxattr_in), { "user.a" }, 32 },
	{ FUSE_GETXATTR, "GETXATTR", sizeof(struct fuse_getxattr_in), { "user.a" }, 0 },
	{ FUSE_LISTXATTR, "LISTXATTR", sizeof(struct fuse_getxattr_in), { NULL }, 0 },
	{ FUSE_REMOVEXATTR, "REMOVEXATTR", 0, { "user.a" }, 0 },
	{ FUSE_FLUSH, "FLUSH", sizeof(struct fuse_flush_in), { NULL }, 0 },
	{ FUSE_INIT, "INIT", sizeof(struct fuse_init_in), { NULL }, 0 },
	{ FUSE_OPENDIR, "OPENDIR", sizeof(struct fuse_open_in), { NULL }, 0 },
	{ FUSE_READDIR, "READDIR", sizeof(struct fuse_read_in), { NULL }, 0 },
	{ FUSE_RELEASEDIR, "RELEASEDIR", sizeof(struct fuse_release_in), { NULL }, 0 },
	{ FUSE_FSYNCDIR, "FSYNCDIR", sizeof(struct fuse_fsync_in), { NULL }, 0 },
	{ FUSE_GETLK, "GETLK", sizeof(struct fuse_lk_in), { NULL }, 0 },
	{ FUSE_SETLK, "SETLK", sizeof(struct fuse_lk_in), { NULL }, 0 },
	{ FUSE_SETLKW, "SETLKW", sizeof(struct fuse_lk_in), { NULL }, 0 },
	{ FUSE_ACCESS, "ACCESS", sizeof(struct fuse_access_in), { NULL }, 0 },
	{ FUSE_CREATE, "CREATE", sizeof(struct fuse_create_in), { "made-file" }, 0 },
	{ FUSE_INTERRUPT, "INTERRUPT", sizeof(struct fuse_interrupt_in), { NULL }, 0 },
	{ FUSE_DESTROY, "DESTROY", 0, { NULL }, 0 },
	{ FUSE_IOCTL, "IOCTL", sizeof(struct fuse_ioctl_in), { NULL }, 16 },
	{ FUSE_BATCH_FORGET, "BATCH_FORGET", sizeof(struct fuse_batch_forget_in), { NULL }, 32 },
	{ FUSE_FALLOCATE, "FALLOCATE", sizeof(struct fuse_fallocate_in), { NULL }, 0 },
	{ FUSE_READDIRPLUS, "READDIRPLUS", sizeof(struct fuse_read_in), { NULL }, 0 },
	{ FUSE_RENAME2, "RENAME2", sizeof(struct fuse_rename2_in), { "nothing", "else" }, 0 },
	{ FUSE_LSEEK, "LSEEK", sizeof(struct fuse_lseek_in), { NULL }, 0 },
	{ FUSE_COPY_FILE_RANGE,
	  "COPY_FILE_RANGE",
	  sizeof(struct fuse_copy_file_range_in),
	  { NULL },
	  0 },
	{ FUSE_SYNCFS, "SYNCFS", sizeof(struct fuse_syncfs_in), { NULL }, 0 },
	{ FUSE_TMPFILE, "TMPFILE", sizeof(struct fuse_create_in), { "/" }, 0 },
	{ FUSE_OP_STATX, "STATX", sizeof(struct holdfast_statx_in), { NULL }, 0 },
	/* Known to the protocol, of no use here. */
	{ FUSE_BMAP, "BMAP", sizeof(struct fuse_bmap_in), { NULL }, 0 },
	{ FUSE_POLL, "POLL", sizeof(struct fuse_poll_in), { NULL }, 0 },
	{ FUSE_SETUPMAPPING, "SETUPMAPPING", sizeof(struct fuse_setupmapping_in), { NULL }, 0 },
	{ FUSE_REMOVEMAPPING, "REMOVEMAPPING", sizeof(struct fuse_removemapping_in), { NULL }, 16 },
	{ FUSE_NOTIFY_REPLY, "NOTIFY_REPLY", sizeof(struct fuse_notify_retrieve_in), { NULL }, 0 },
};

static const struct form *form_of(uint32_t opcode)
{
	for (size_t i = 0; i < ARRAY_LEN(forms); i++)
		if (forms[i].opcode == opcode)
			return &forms[i];
	return NULL;
}

const char *opcode_name(uint32_t opcode)
{
	const struct form *form = form_of(opcode);

	return form ? form->name : NULL;
}

bool opcode_has_reply(uint32_t opcode)
{
	return opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET && opcode != FUSE_INTERRUPT;
}

static void set_u32(struct wire *w, size_t at, uint32_t v)
{
	memcpy(w->args + at, &v, sizeof(v));
}

/* Sizes and counts that say what is there, and what the form would not pass without. */
static void set_fields(struct wire *w, uint32_t opcode, uint16_t data)
{
	switch (opcode) {
	case FUSE_WRITE:
		set_u32(w, offsetof(struct fuse_write_in, size), data);
		break;
	case FUSE_SETXATTR:
		set_u32(w, offsetof(struct fuse_setxattr_in, size), data);
		break;
	case FUSE_IOCTL:
		set_u32(w, offsetof(struct fuse_ioctl_in, in_size), data);
		break;
	case FUSE_BATCH_FORGET:
		set_u32(w, offsetof(struct fuse_batch_forget_in, count),
			data / (uint32_t)sizeof(struct fuse_forget_one));
		break;
	case FUSE_READ:
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
		set_u32(w, offsetof(struct fuse_read_in, size), 512);
		break;
	case FUSE_INIT:
		set_u32(w, offsetof(struct fuse_init_in, major), FUSE_KERNEL_VERSION);
		set_u32(w, offsetof(struct fuse_init_in, minor), FUSE_KERNEL_MINOR_VERSION);
		set_u32(w, offsetof(struct fuse_init_in, flags), UINT32_MAX);
		set_u32(w, offsetof(struct fuse_init_in, flags2), UINT32_MAX);
		break;
	default:
		break;
	}
}

void wire_valid(struct hostile *h, struct wire *w, uint32_t opcode)
{
	static const uint8_t zeros[256];
	const struct form *form = form_of(opcode);
	bool names = form && form->strings[0] && opcode != FUSE_SETXATTR &&
		     opcode != FUSE_GETXATTR && opcode != FUSE_REMOVEXATTR;

	wire_begin(w, opcode, names ? FUSE_ROOT_ID : h->known);
	if (!form)
		return;
	wire_add(w, zeros, form->args);
	for (unsigned i = 0; i < 2 && form->strings[i]; i++)
		wire_string(w, form->strings[i]);
	wire_add(w, zeros, form->data);
	set_fields(w, opcode, form->data);
}
