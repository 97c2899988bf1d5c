/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tree.c - objects and names in two arrays; everything is found by looking through them.
 */
#include "tree.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void tree_init(struct tree *t)
{
	memset(t, 0, sizeof(*t));
	t->root = &t->objects[t->count++];
	*t->root = (struct object){ .type = TREE_DIR, .alive = true, .links = 1 };
}

struct name *tree_find(struct tree *t, const struct object *dir, const char *text)
{
	for (unsigned i = 0; i < t->name_count; i++)
		if (t->names[i].dir == dir && strcmp(t->names[i].text, text) == 0)
			return &t->names[i];
	return NULL;
}

struct name *tree_name_of(struct tree *t, const struct object *o)
{
	for (unsigned i = 0; i < t->name_count; i++)
		if (t->names[i].is == o)
			return &t->names[i];
	return NULL;
}

unsigned tree_entries(const struct tree *t, const struct object *dir)
{
	unsigned n = 0;

	for (unsigned i = 0; i < t->name_count; i++)
		n += t->names[i].dir == dir;
	return n;
}

unsigned tree_depth(struct tree *t, const struct object *dir)
{
	unsigned depth = 0;

	while (dir != t->root) {
		dir = tree_name_of(t, dir)->dir;
		depth++;
	}
	return depth;
}

bool tree_below(struct tree *t, const struct object *dir, const struct object *above)
{
	while (dir != above && dir != t->root)
		dir = tree_name_of(t, dir)->dir;
	return dir == above;
}

void tree_name_path(struct tree *t, const struct object *dir, const char *text,
		    char out[TREE_PATH_MAX])
{
	char above[TREE_PATH_MAX];

	tree_path(t, dir, above);
	(void)snprintf(out, TREE_PATH_MAX, "%.100s%s%s", above, above[0] ? "/" : "", text);
}

void tree_path(struct tree *t, const struct object *o, char out[TREE_PATH_MAX])
{
	const struct name *n;

	out[0] = '\0';
	if (o == t->root)
		return;
	n = tree_name_of(t, o);
	tree_name_path(t, n->dir, n->text, out);
}

/* --- names ---------------------------------------------------------------------------------------------------- */

static int name_add(struct tree *t, struct object *dir, const char *text, struct object *is)
{
	struct name *n = &t->names[t->name_count];

	if (t->name_count == TREE_NAMES)
		return -ENOSPC;
	t->name_count++;
	n->dir = dir;
	n->is = is;
	(void)snprintf(n->text, sizeof(n->text), "%s", text);
	is->links++;
	is->alive = true;
	return 0;
}

static void name_drop(struct tree *t, struct name *n)
{
	if (--n->is->links == 0)
		n->is->alive = false;
	*n = t->names[--t->name_count];
}

/* --- operations ------------------------------------------------------------------------------------------------ */

int tree_make(struct tree *t, struct object *dir, const char *text, enum tree_type type,
	      struct object **out)
{
	struct object *o = &t->objects[t->count];

	if (t->count == TREE_OBJECTS || t->name_count == TREE_NAMES)
		return -ENOSPC;
	if (tree_find(t, dir, text))
		return -EEXIST;
	*o = (struct object){ .id = t->count, .type = type };
	t->count++;
	*out = o;
	return name_add(t, dir, text, o);
}

int tree_link(struct tree *t, struct object *o, struct object *dir, const char *text)
{
	if (t->name_count == TREE_NAMES)
		return -ENOSPC;
	if (tree_find(t, dir, text))
		return -EEXIST;
	if (o->type == TREE_DIR)
		return -EPERM;
	return name_add(t, dir, text, o);
}

int tree_remove(struct tree *t, struct object *dir, const char *text)
{
	struct name *n = tree_find(t, dir, text);

	if (!n)
		return -ENOENT;
	if (n->is->type == TREE_DIR && tree_entries(t, n->is) > 0)
		return -ENOTEMPTY;
	name_drop(t, n);
	return 0;
}

static int exchange(struct tree *t, struct name *a, struct name *b)
{
	struct object *is = a->is;

	/* A directory cannot come to lie below itself. */
	if ((a->is->type == TREE_DIR && tree_below(t, b->dir, a->is)) ||
	    (b->is->type == TREE_DIR && tree_below(t, a->dir, b->is)))
		return -EINVAL;
	a->is = b->is;
	b->is = is;
	return 0;
}

/* What Linux looks at, in its order. */
static int rename_error(struct tree *t, const struct name *from, const struct object *to_dir,
			const struct name *to, enum tree_rename how)
{
	bool dir = from->is->type == TREE_DIR;

	if (how == TREE_NOREPLACE && to)
		return -EEXIST;
	if (dir && tree_below(t, to_dir, from->is))
		return -EINVAL;
	if (!to)
		return 0;
	/* The target is a directory that holds the source. */
	if (to->is->type == TREE_DIR && tree_below(t, from->dir, to->is))
		return -ENOTEMPTY;
	if (dir && to->is->type != TREE_DIR)
		return -ENOTDIR;
	if (!dir && to->is->type == TREE_DIR)
		return -EISDIR;
	if (to->is->type == TREE_DIR && to->is != from->is && tree_entries(t, to->is) > 0)
		return -ENOTEMPTY;
	return 0;
}

int tree_rename(struct tree *t, struct object *dir, const char *text, struct object *to_dir,
		const char *to_text, enum tree_rename how)
{
	struct name *from = tree_find(t, dir, text);
	struct name *to = tree_find(t, to_dir, to_text);
	struct object *is;
	int error;

	if (!from || (how == TREE_EXCHANGE && !to))
		return -ENOENT;
	if (how == TREE_EXCHANGE)
		return exchange(t, from, to);
	error = rename_error(t, from, to_dir, to, how);
	if (error)
		return error;
	is = from->is;
	if (to && to->is == is)
		return 0; /* two names of one object: both stay */
	if (to) {
		name_drop(t, to);
		from = tree_find(t, dir, text);
	}
	from->dir = to_dir;
	(void)snprintf(from->text, sizeof(from->text), "%s", to_text);
	return 0;
}

void tree_move_out(struct tree *t, struct object *o, bool out)
{
	o->out = out;
	o->unsure = true;
	for (unsigned i = 0; i < t->name_count; i++)
		if (t->names[i].dir == o)
			tree_move_out(t, t->names[i].is, out);
}
