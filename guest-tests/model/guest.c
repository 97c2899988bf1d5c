/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guest.c - what a guest does, by the requests of its kernel, and what it must see.
 *
 * ENOMEM is "try again", as a guest's kernel and an NFS server behind it take it; it must end within RETRY_SECONDS.
 */
#include "world.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"

#define RETRY_SECONDS 30
#define RETRY_US 20000
#define LIST_BYTES 8192

/* Once more? Until then it has waited. */
static bool again(struct world *w, int ret)
{
	if (ret != -ENOMEM) {
		w->until = 0;
		return false;
	}
	if (!w->until)
		w->until = clock_ns() + RETRY_SECONDS * 1000000000ULL;
	if (clock_ns() > w->until)
		return false;
	w->retries++;
	(void)usleep(RETRY_US);
	return true;
}

/* Does `call` until it does not say "try again"; what it says then is in `ret`. */
#define RETRY(ret, call)                                                                           \
	do {                                                                                       \
		(ret) = (call);                                                                    \
	} while (again(w, (ret)))

/* --- by name ---------------------------------------------------------------------------------------------------- */

int world_guest_lookup(struct world *w, struct object *dir, const char *text,
		       struct fuse_entry_out *out)
{
	uint64_t parent = world_guest_nodeid(w, dir);
	int ret;

	RETRY(ret, fecall_lookup(&w->fuse, parent, text, out));
	return ret;
}

void world_guest_learn(struct world *w, struct object *o, const struct fuse_entry_out *e)
{
	if (o->known && (o->nodeid != e->nodeid || o->generation != (uint32_t)e->generation))
		world_fail(w, o, "the handle of object %u has changed to %#llx/%#x", o->id,
			   (unsigned long long)e->nodeid, (unsigned)e->generation);
	if (e->attr.ino != world_host_ino(w, o))
		world_fail(w, o, "object %u shows inode number %llu, the host's is %llu", o->id,
			   (unsigned long long)e->attr.ino,
			   (unsigned long long)world_host_ino(w, o));
	for (unsigned i = 0; i < w->tree.count; i++) {
		const struct object *other = &w->tree.objects[i];

		if (other != o && other->known && other->nodeid == e->nodeid)
			world_fail(w, o, "objects %u and %u have one nodeid", o->id, other->id);
	}
	o->known = true;
	o->nodeid = e->nodeid;
	o->generation = (uint32_t)e->generation;
	o->ino = e->attr.ino;
	o->unsure = false;
}

uint64_t world_guest_nodeid(struct world *w, struct object *o)
{
	struct fuse_entry_out e;
	const struct name *n;
	int ret;

	if (o == w->tree.root)
		return w->top;
	if (o->known && !o->unsure)
		return o->nodeid;
	n = tree_name_of(&w->tree, o);
	ret = world_guest_lookup(w, n->dir, n->text, &e);
	if (ret)
		world_fail(w, o, "LOOKUP of object %u by its name \"%s\": %s", o->id, n->text,
			   strerror(-ret));
	world_guest_learn(w, o, &e);
	return o->nodeid;
}

int world_guest_make(struct world *w, struct object *dir, const char *text, enum tree_type type,
		     unsigned id, struct fuse_entry_out *out)
{
	uint64_t parent = world_guest_nodeid(w, dir);
	char content[64];
	uint64_t fh;
	int ret, n;

	world_content(w, id, content);
	if (type == TREE_DIR) {
		RETRY(ret, fecall_mkdir(&w->fuse, parent, text, 0755, out));
		return ret;
	}
	if (type == TREE_SYMLINK) {
		RETRY(ret, fecall_symlink(&w->fuse, parent, text, content, out));
		return ret;
	}
	RETRY(ret, fecall_create(&w->fuse, parent, text, O_RDWR | O_EXCL, 0644, out, &fh));
	if (ret)
		return ret;
	n = fecall_write(&w->fuse, out->nodeid, fh, 0, content, (uint32_t)strlen(content));
	ret = fecall_release(&w->fuse, out->nodeid, fh);
	if (n != (int)strlen(content) || ret)
		world_fail(w, NULL, "a new file cannot be written (%d) and closed (%d)", n, ret);
	return 0;
}

int world_guest_link(struct world *w, struct object *o, struct object *dir, const char *text)
{
	uint64_t parent = world_guest_nodeid(w, dir), nodeid = world_guest_nodeid(w, o);
	struct fuse_entry_out e;
	int ret;

	RETRY(ret, fecall_link(&w->fuse, nodeid, parent, text, &e));
	return ret;
}

int world_guest_remove(struct world *w, struct object *dir, const char *text, bool is_dir)
{
	uint64_t parent = world_guest_nodeid(w, dir);
	int ret;

	RETRY(ret, is_dir ? fecall_rmdir(&w->fuse, parent, text)
			  : fecall_unlink(&w->fuse, parent, text));
	return ret;
}

int world_guest_rename(struct world *w, struct object *dir, const char *text, struct object *to_dir,
		       const char *to_text, enum tree_rename how)
{
	static const unsigned flags[] = {
		[TREE_NOREPLACE] = RENAME_NOREPLACE, [TREE_EXCHANGE] = RENAME_EXCHANGE
	};
	uint64_t from = world_guest_nodeid(w, dir), to = world_guest_nodeid(w, to_dir);
	int ret;

	RETRY(ret, fecall_rename2(&w->fuse, from, text, to, to_text,
				  how == TREE_RENAME ? 0 : flags[how]));
	return ret;
}

/* --- by handle -------------------------------------------------------------------------------------------------- */

static void check_bytes(struct world *w, struct object *o, const char *got, int len)
{
	char content[64];

	world_content(w, o->id, content);
	if (len != (int)strlen(content) || memcmp(got, content, (size_t)len) != 0)
		world_fail(w, o, "object %u holds \"%.*s\" (%d)", o->id, len < 0 ? 0 : len, got,
			   len);
}

static void check_content(struct world *w, struct object *o)
{
	char got[64] = "";
	uint64_t fh = 0;
	int ret;

	if (o->type == TREE_DIR)
		return;
	if (o->type == TREE_SYMLINK) {
		RETRY(ret, fecall_readlink(&w->fuse, o->nodeid, got, sizeof(got)));
		check_bytes(w, o, got, ret < 0 ? ret : (int)strnlen(got, sizeof(got)));
		return;
	}
	RETRY(ret, fecall_open(&w->fuse, o->nodeid, O_RDONLY, &fh));
	if (ret)
		world_fail(w, o, "OPEN of object %u: %s", o->id, strerror(-ret));
	check_bytes(w, o, got, fecall_read(&w->fuse, o->nodeid, fh, 0, got, sizeof(got)));
	(void)fecall_release(&w->fuse, o->nodeid, fh);
}

void world_guest_check(struct world *w, struct object *o)
{
	struct fuse_entry_out e;
	bool may_be_stale = !o->alive || o->out || o->unsure;
	bool may_open = o->alive;
	int ret;

	if (!o->known || o == w->tree.root)
		return;
	w->checks++;
	RETRY(ret, fecall_lookup(&w->fuse, o->nodeid, ".", &e));
	w->stale += ret == -ESTALE;
	if (ret == -ESTALE && may_be_stale)
		return;
	if (ret)
		world_fail(w, o, "the handle of object %u, which is %s: %s", o->id,
			   o->alive ? "there" : "gone", strerror(-ret));
	if (!may_open)
		world_fail(w, o, "the handle of object %u opens, and it is gone", o->id);
	if (e.nodeid != o->nodeid || (uint32_t)e.generation != o->generation ||
	    e.attr.ino != o->ino)
		world_fail(w, o, "the handle of object %u opens inode %llu, which is not %llu",
			   o->id, (unsigned long long)e.attr.ino, (unsigned long long)o->ino);
	/* What is outside may go stale between two requests. */
	if (!o->out && !o->unsure)
		check_content(w, o);
}

/* --- open files --------------------------------------------------------------------------------------------------- */

void world_guest_open(struct world *w, struct object *o)
{
	uint64_t nodeid = world_guest_nodeid(w, o);
	int ret;

	RETRY(ret, fecall_open(&w->fuse, nodeid, O_RDONLY, &o->fh));

	if (ret)
		world_fail(w, o, "OPEN of object %u: %s", o->id, strerror(-ret));
	o->opened = true;
}

void world_guest_read_open(struct world *w, struct object *o)
{
	char got[64] = "";

	check_bytes(w, o, got, fecall_read(&w->fuse, o->nodeid, o->fh, 0, got, sizeof(got)));
}

void world_guest_release(struct world *w, struct object *o)
{
	int ret = fecall_release(&w->fuse, o->nodeid, o->fh);

	o->opened = false;
	if (ret)
		world_fail(w, o, "RELEASE of object %u: %s", o->id, strerror(-ret));
}

void world_guest_forget(struct world *w, struct object *o)
{
	if (o->known)
		(void)fecall_forget(&w->fuse, o->nodeid, UINT32_MAX);
}

/* --- directories ---------------------------------------------------------------------------------------------------- */

/* One entry: is it in the model? A reply without a nodeid says that it is to be looked up. */
static bool list_entry(struct world *w, struct object *dir, const struct fuse_direntplus *d)
{
	const char *name = (const char *)d + FUSE_NAME_OFFSET_DIRENTPLUS;
	char text[TREE_NAME_LEN] = "";
	const struct name *n;

	if (d->dirent.namelen < sizeof(text))
		memcpy(text, name, d->dirent.namelen);
	if (strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
		return false;
	n = tree_find(&w->tree, dir, text);
	if (!n)
		world_fail(w, dir, "directory %u shows \"%.*s\", which is not in it", dir->id,
			   (int)d->dirent.namelen, name);
	if (d->entry_out.nodeid)
		world_guest_learn(w, n->is, &d->entry_out);
	return true;
}

void world_guest_list(struct world *w, struct object *dir)
{
	uint64_t nodeid = world_guest_nodeid(w, dir), fh, offset = 0;
	uint64_t buf[LIST_BYTES / sizeof(uint64_t)];
	unsigned count = 0;
	int ret;

	RETRY(ret, fecall_opendir(&w->fuse, nodeid, &fh));

	if (ret)
		world_fail(w, dir, "OPENDIR of object %u: %s", dir->id, strerror(-ret));
	for (;;) {
		RETRY(ret, fecall_readdirplus(&w->fuse, nodeid, fh, offset, buf, sizeof(buf)));
		if (ret <= 0)
			break;
		for (int at = 0; at < ret;) {
			const struct fuse_direntplus *d = (const void *)((const char *)buf + at);

			count += list_entry(w, dir, d);
			offset = d->dirent.off;
			at += (int)FUSE_DIRENTPLUS_SIZE(d);
		}
	}
	(void)fecall_releasedir(&w->fuse, nodeid, fh);
	if (ret < 0)
		world_fail(w, dir, "READDIRPLUS of object %u: %s", dir->id, strerror(-ret));
	if (count != tree_entries(&w->tree, dir))
		world_fail(w, dir, "directory %u shows %u of %u names", dir->id, count,
			   tree_entries(&w->tree, dir));
}
