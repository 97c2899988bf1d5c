/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tree.h - the model: which objects there are, under which names, and what each one's handle must open.
 *
 * Nothing here knows of a server or of a file system. What an operation does is said by tree_*() alone, with the errno
 * that Linux gives where it cannot be done; world.h does the same to the share, by guest or host, and compares.
 */
#ifndef HOLDFAST_MODEL_TREE_H
#define HOLDFAST_MODEL_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TREE_OBJECTS 256
#define TREE_NAMES 256
#define TREE_NAME_LEN 8
#define TREE_DEPTH_MAX 6
#define TREE_PATH_MAX 128

enum tree_type { TREE_FILE, TREE_DIR, TREE_SYMLINK };

struct object {
	unsigned id; /* its content names it */
	enum tree_type type;
	bool alive; /* has a name in the share */
	bool out;   /* the host has moved it out of the share, or a directory above it */
	unsigned links;
	/* What the guest knows of it: */
	bool known;
	uint64_t nodeid;
	uint32_t generation;
	uint64_t ino;
	uint64_t fh; /* open, when `opened` */
	bool opened;
	/*
	 * It was out of the share: its handle may be stale until the guest has looked it up again by name.
	 */
	bool unsure;
};

struct name {
	struct object *dir, *is;
	char text[TREE_NAME_LEN];
};

struct tree {
	struct object objects[TREE_OBJECTS];
	unsigned count;
	struct name names[TREE_NAMES];
	unsigned name_count;
	struct object *root;
};

/* Empty but for its root, which is alive. */
void tree_init(struct tree *t);

/* NULL: there is none of that name. */
struct name *tree_find(struct tree *t, const struct object *dir, const char *text);
/* Any name of an object, or NULL. */
struct name *tree_name_of(struct tree *t, const struct object *o);
unsigned tree_entries(const struct tree *t, const struct object *dir);
unsigned tree_depth(struct tree *t, const struct object *dir);
/* Is `dir` the directory `above`, or below it? */
bool tree_below(struct tree *t, const struct object *dir, const struct object *above);
/* "a/b/c", without a slash in front; "" is the root. */
void tree_path(struct tree *t, const struct object *o, char out[TREE_PATH_MAX]);
void tree_name_path(struct tree *t, const struct object *dir, const char *text,
		    char out[TREE_PATH_MAX]);

/* --- operations: 0 or the errno, negative, that they must give ------------------------------------------------- */

/* *out is the new object; -ENOSPC: the model is full, and nothing is to be done. */
int tree_make(struct tree *t, struct object *dir, const char *text, enum tree_type type,
	      struct object **out);
int tree_link(struct tree *t, struct object *o, struct object *dir, const char *text);
/* For a directory as rmdir(2), else as unlink(2). */
int tree_remove(struct tree *t, struct object *dir, const char *text);

enum tree_rename { TREE_RENAME, TREE_NOREPLACE, TREE_EXCHANGE };
int tree_rename(struct tree *t, struct object *dir, const char *text, struct object *to_dir,
		const char *to_text, enum tree_rename how);

/* The host takes `o`, and all below it, out of the share, or back in under the name that it had. */
void tree_move_out(struct tree *t, struct object *o, bool out);

#endif
