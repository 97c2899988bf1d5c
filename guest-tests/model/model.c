/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * model HOLDFAST DIR SEED SEQUENCES [ACTS [FIRST]]
 *
 * Random sequences of what guest and host do - create, rename, link, unlink, exchange, forget, use of handles, moves out of
 * the share and back - with restarts, kills, a lost map and work of the host's while no daemon runs in between, beside a
 * model in memory that says what each handle must open. The first difference ends it, with all that was done.
 *
 * Each sequence follows from SEED and its number alone: FIRST begins with that one.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "world.h"

#define NOTES 100000
#define OLD_HANDLES 64
#define NAMES "abcdef"

static char notes[NOTES];
static size_t noted;

/* Handles of objects of earlier sequences, which are all gone. */
static uint64_t old[OLD_HANDLES];
static unsigned old_count;

void world_note(struct world *w, const char *fmt, ...)
{
	va_list ap;
	int n;

	(void)w;
	va_start(ap, fmt);
	n = vsnprintf(notes + noted, NOTES - noted, fmt, ap);
	va_end(ap);
	if (n > 0 && noted + (size_t)n < NOTES)
		noted += (size_t)n;
}

static void inspect(struct world *w, const struct object *o)
{
	char command[512];

	(void)snprintf(command, sizeof(command),
		       "%s inspect --shared-dir=%s/share --state-dir=%s/state "
		       "81:%08x%08x%08x 2>&1 | sed 's/^/  inspect: /'; tail -n 20 %s/log",
		       w->holdfast, w->dir, w->dir, (unsigned)htobe32((uint32_t)(o->nodeid >> 32)),
		       (unsigned)htobe32((uint32_t)o->nodeid), (unsigned)htobe32(o->generation),
		       w->dir);
	(void)fflush(stdout);
	(void)!system(command);
}

void world_fail(struct world *w, const struct object *o, const char *fmt, ...)
{
	va_list ap;

	(void)printf("--- sequence %u:\n%s", w->sequence, notes);
	if (o && o->known)
		inspect(w, o);
	va_start(ap, fmt);
	(void)printf("FAIL: ");
	(void)vprintf(fmt, ap);
	va_end(ap);
	(void)printf("\n");
	(void)fflush(stdout);
	_exit(1);
}

static uint32_t below(struct world *w, uint32_t n)
{
	w->random = w->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(w->random >> 33) % n;
}

/* --- picking ------------------------------------------------------------------------------------------------------- */

typedef bool wanted_fn(const struct object *o);

static bool is_dir(const struct object *o)
{
	return o->alive && !o->out && o->type == TREE_DIR;
}

static bool is_there(const struct object *o)
{
	return o->alive && !o->out;
}

static bool is_known(const struct object *o)
{
	return o->known;
}

static bool is_linkable(const struct object *o)
{
	return is_there(o) && o->type != TREE_DIR;
}

static bool is_openable(const struct object *o)
{
	return is_there(o) && o->type == TREE_FILE && !o->opened;
}

static bool is_open(const struct object *o)
{
	return o->opened;
}

static bool is_out(const struct object *o)
{
	return o->out;
}

static struct object *pick(struct world *w, wanted_fn *wanted)
{
	struct tree *t = &w->tree;
	unsigned start = below(w, t->count);

	for (unsigned i = 0; i < t->count; i++) {
		struct object *o = &t->objects[(start + i) % t->count];

		if (wanted(o))
			return o;
	}
	return NULL;
}

static const char *pick_text(struct world *w)
{
	static char texts[2][2];
	static unsigned turn;
	char *text = texts[turn++ % 2];

	text[0] = NAMES[below(w, sizeof(NAMES) - 1)];
	return text;
}

/* A name of which all is in the share. */
static struct name *pick_name(struct world *w)
{
	struct tree *t = &w->tree;
	unsigned start;

	if (!t->name_count)
		return NULL;
	start = below(w, t->name_count);
	for (unsigned i = 0; i < t->name_count; i++) {
		struct name *n = &t->names[(start + i) % t->name_count];

		if (!n->dir->out && !n->is->out)
			return n;
	}
	return NULL;
}

/* Is the name's object outside for the time being, so that model and share differ? */
static bool is_vacant(struct world *w, const struct object *dir, const char *text)
{
	const struct name *n = tree_find(&w->tree, dir, text);

	return n && n->is->out;
}

/* The same of one of a directory's names. */
static bool has_vacancy(const struct world *w, const struct object *dir)
{
	for (unsigned i = 0; i < w->tree.name_count; i++)
		if (w->tree.names[i].dir == dir && w->tree.names[i].is->out)
			return true;
	return false;
}

/* --- acts ------------------------------------------------------------------------------------------------------------ */

/* Who does it: the host where no daemon runs, else mostly the guest. */
static bool by_host(struct world *w)
{
	return !w->daemon || below(w, 3) == 0;
}

static const char *who(bool host, const struct world *w)
{
	return !host ? "guest" : w->daemon ? "host" : "host alone";
}

static void compare(struct world *w, const struct object *o, const char *what, int want, int got)
{
	w->acts++;
	if (want != got)
		world_fail(w, o, "%s: %s instead of %s", what, strerror(-got), strerror(-want));
}

static void act_make(struct world *w)
{
	static const enum tree_type types[] = { TREE_FILE, TREE_FILE, TREE_FILE,
						TREE_DIR,  TREE_DIR,  TREE_SYMLINK };
	struct object *dir = pick(w, is_dir), *o = NULL;
	enum tree_type type = types[below(w, 6)];
	const char *text = pick_text(w);
	bool host = by_host(w);
	struct fuse_entry_out e = { 0 };
	int want, got;

	if (is_vacant(w, dir, text) ||
	    (type == TREE_DIR && tree_depth(&w->tree, dir) >= TREE_DEPTH_MAX))
		return;
	want = tree_make(&w->tree, dir, text, type, &o);
	if (want == -ENOSPC)
		return;
	world_note(w, "%s makes %s %u/%s as %u\n", who(host, w),
		   type == TREE_DIR    ? "directory"
		   : type == TREE_FILE ? "file"
				       : "symlink",
		   dir->id, text, o ? o->id : 0);
	got = host ? world_host_make(w, dir, text, type, o ? o->id : 0)
		   : world_guest_make(w, dir, text, type, o ? o->id : 0, &e);
	compare(w, dir, "making it", want, got);
	if (!got && !host)
		world_guest_learn(w, o, &e);
}

static void act_link(struct world *w)
{
	struct object *o = pick(w, is_linkable), *dir = pick(w, is_dir);
	const char *text = pick_text(w);
	bool host = by_host(w);
	int want, got;

	if (!o || w->tree.name_count == TREE_NAMES || is_vacant(w, dir, text))
		return;
	world_note(w, "%s links %u as %u/%s\n", who(host, w), o->id, dir->id, text);
	/* Before the model changes: the object is reached by a name that it has. */
	got = host ? world_host_link(w, o, dir, text) : world_guest_link(w, o, dir, text);
	want = tree_link(&w->tree, o, dir, text);
	compare(w, o, "linking it", want, got);
}

static void act_remove(struct world *w)
{
	const struct name *n = pick_name(w);
	struct object *o, *dir;
	char text[TREE_NAME_LEN];
	bool host = by_host(w);
	int want, got;

	if (!n || has_vacancy(w, n->is))
		return;
	o = n->is;
	dir = n->dir;
	(void)snprintf(text, sizeof(text), "%s", n->text);
	world_note(w, "%s removes %u/%s, object %u\n", who(host, w), dir->id, text, o->id);
	got = host ? world_host_remove(w, dir, text, o->type == TREE_DIR)
		   : world_guest_remove(w, dir, text, o->type == TREE_DIR);
	want = tree_remove(&w->tree, dir, text);
	compare(w, o, "removing it", want, got);
}

static void act_rename(struct world *w)
{
	static const char *const words[] = { "renames", "renames without replacing", "exchanges" };
	const struct name *n = pick_name(w);
	enum tree_rename how = (enum tree_rename)(below(w, 5) % 3);
	struct object *o, *dir, *to = pick(w, is_dir);
	char text[TREE_NAME_LEN], to_text[TREE_NAME_LEN];
	const struct name *there;
	bool host = by_host(w);
	int want, got;

	if (!n)
		return;
	o = n->is;
	dir = n->dir;
	(void)snprintf(text, sizeof(text), "%s", n->text);
	(void)snprintf(to_text, sizeof(to_text), "%s", pick_text(w));
	there = tree_find(&w->tree, to, to_text);
	if (there && (there->is->out || has_vacancy(w, there->is)))
		return;
	if (o->type == TREE_DIR && tree_depth(&w->tree, to) >= TREE_DEPTH_MAX - 2)
		return;
	world_note(w, "%s %s %u/%s, object %u, to %u/%s\n", who(host, w), words[how], dir->id, text,
		   o->id, to->id, to_text);
	got = host ? world_host_rename(w, dir, text, to, to_text, how)
		   : world_guest_rename(w, dir, text, to, to_text, how);
	want = tree_rename(&w->tree, dir, text, to, to_text, how);
	compare(w, o, "renaming it", want, got);
}

static void act_lookup(struct world *w)
{
	struct object *dir = pick(w, is_dir);
	const char *text = pick_text(w);
	struct fuse_entry_out e;
	const struct name *n;
	int got;

	if (!w->daemon)
		return;
	n = tree_find(&w->tree, dir, text);
	if (n && n->is->out)
		n = NULL;
	world_note(w, "guest looks up %u/%s\n", dir->id, text);
	got = world_guest_lookup(w, dir, text, &e);
	compare(w, n ? n->is : dir, "looking it up", n ? 0 : -ENOENT, got);
	if (!got)
		world_guest_learn(w, n->is, &e);
}

static void act_check(struct world *w)
{
	struct object *o = pick(w, is_known);

	if (!w->daemon || !o)
		return;
	world_note(w, "guest uses the handle of %u\n", o->id);
	world_guest_check(w, o);
}

static void act_list(struct world *w)
{
	struct object *dir = pick(w, is_dir);

	if (!w->daemon || has_vacancy(w, dir))
		return;
	world_note(w, "guest lists %u\n", dir->id);
	world_guest_list(w, dir);
}

static void act_open(struct world *w)
{
	struct object *o = pick(w, is_openable);

	if (!w->daemon || !o)
		return;
	world_note(w, "guest opens %u\n", o->id);
	world_guest_open(w, o);
}

static void act_read(struct world *w)
{
	struct object *o = pick(w, is_open);

	if (!w->daemon || !o)
		return;
	world_note(w, "guest reads what it has open of %u\n", o->id);
	world_guest_read_open(w, o);
	if (below(w, 2))
		world_guest_release(w, o);
}

static void act_forget(struct world *w)
{
	struct object *o = pick(w, is_known);

	if (!w->daemon || !o)
		return;
	world_note(w, "guest forgets %u\n", o->id);
	world_guest_forget(w, o);
}

static void act_move(struct world *w)
{
	struct object *o = pick(w, is_out);
	bool out = !o;

	if (out)
		o = pick(w, is_there);
	/* With other names it would be inside all the same. */
	if (!o || o == w->tree.root || o->links > 1)
		return;
	while (!out && tree_name_of(&w->tree, o)->dir->out)
		o = tree_name_of(&w->tree, o)->dir;
	if (out && o->type == TREE_DIR) {
		for (unsigned i = 0; i < w->tree.count; i++) {
			struct object *in = &w->tree.objects[i];

			if (in->alive && in->links > 1)
				return;
		}
	}
	if (!out && world_host_move(w, o, false))
		world_fail(w, o, "the host cannot move %u back: %s", o->id, strerror(errno));
	if (out && world_host_move(w, o, true))
		world_fail(w, o, "the host cannot move %u out: %s", o->id, strerror(errno));
	world_note(w, "host moves %u %s\n", o->id, out ? "out of the share" : "back");
	tree_move_out(&w->tree, o, out);
	w->acts++;
}

static void act_restart(struct world *w)
{
	enum world_end how = below(w, 3) ? WORLD_KILL : WORLD_TERM;

	if (!w->daemon) {
		world_note(w, "a daemon starts\n");
		world_start(w);
		return;
	}
	world_note(w, "the daemon %s\n", how == WORLD_KILL ? "is killed" : "ends");
	world_end(w, how);
	if (below(w, 10) == 0) {
		world_note(w, "its map is lost\n");
		world_lose_map(w);
	}
	/* Else it starts later, and the host is alone until then. */
	if (below(w, 2)) {
		world_note(w, "a daemon starts\n");
		world_start(w);
	}
}

static const struct {
	void (*act)(struct world *w);
	unsigned weight;
} acts[] = {
	{ act_make, 24 },  { act_link, 6 }, { act_remove, 10 }, { act_rename, 16 },
	{ act_lookup, 8 }, { act_list, 3 }, { act_check, 20 },	{ act_open, 3 },
	{ act_read, 4 },   { act_move, 2 }, { act_forget, 3 },	{ act_restart, 4 },
};

/* --- sequences -------------------------------------------------------------------------------------------------------- */

static void one_act(struct world *w)
{
	unsigned total = 0;
	uint32_t at;

	for (unsigned i = 0; i < ARRAY_LEN(acts); i++)
		total += acts[i].weight;
	at = below(w, total);
	for (unsigned i = 0; i < ARRAY_LEN(acts); i++) {
		if (at < acts[i].weight) {
			acts[i].act(w);
			return;
		}
		at -= acts[i].weight;
	}
}

static void begin(struct world *w)
{
	struct fuse_entry_out e;
	int ret;

	noted = 0;
	notes[0] = '\0';
	tree_init(&w->tree);
	(void)snprintf(w->top_name, sizeof(w->top_name), "s%u", w->sequence);
	if (mkdirat(w->share, w->top_name, 0755))
		world_fail(w, NULL, "%s: %s", w->top_name, strerror(errno));
	if (!w->daemon)
		world_start(w);
	ret = fecall_lookup(&w->fuse, FUSE_ROOT_ID, w->top_name, &e);
	if (ret)
		world_fail(w, NULL, "LOOKUP of %s: %s", w->top_name, strerror(-ret));
	w->top = e.nodeid;
}

/* A handle of an earlier sequence: its object is gone, whoever has its inode number now. */
static void check_old(struct world *w)
{
	struct fuse_entry_out e;
	uint64_t nodeid = old_count ? old[below(w, old_count)] : 0;
	int ret;

	if (!nodeid)
		return;
	for (unsigned tries = 0; tries < 1500; tries++) {
		ret = fecall_lookup(&w->fuse, nodeid, ".", &e);
		if (ret != -ENOMEM)
			break;
		(void)usleep(20000);
	}
	if (ret != -ESTALE)
		world_fail(w, NULL, "handle %#llx of an earlier sequence opens (%d)",
			   (unsigned long long)nodeid, ret);
}

static void finish(struct world *w)
{
	if (!w->daemon)
		world_start(w);
	world_note(w, "in the end\n");
	for (unsigned i = 0; i < w->tree.count; i++) {
		struct object *o = &w->tree.objects[i];

		if (o->out && !tree_name_of(&w->tree, o)->dir->out) {
			if (world_host_move(w, o, false))
				world_fail(w, o, "the host cannot move %u back", o->id);
			tree_move_out(&w->tree, o, false);
		}
	}
	for (unsigned i = 0; i < w->tree.count; i++)
		world_guest_check(w, &w->tree.objects[i]);
	check_old(w);
	for (unsigned i = 0; i < w->tree.count; i++) {
		struct object *o = &w->tree.objects[i];

		if (o->opened)
			world_guest_release(w, o);
		if (o->known && below(w, 4) == 0) {
			old[old_count < OLD_HANDLES ? old_count : below(w, OLD_HANDLES)] =
				o->nodeid;
			old_count += old_count < OLD_HANDLES;
		}
	}
	world_host_clear(w);
}

static int make_directory(const char *dir, const char *name)
{
	char path[128];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (mkdir(path, 0755) && errno != EEXIST)
		err(2, "%s", path);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		err(2, "%s", path);
	return fd;
}

int main(int argc, char **argv)
{
	static struct world w;
	unsigned long seed, count, length, first;
	uint64_t said = clock_ns();

	if (argc < 5)
		errx(2, "model HOLDFAST DIR SEED SEQUENCES [ACTS [FIRST]]");
	w.holdfast = argv[1];
	(void)snprintf(w.dir, sizeof(w.dir), "%s", argv[2]);
	seed = strtoul(argv[3], NULL, 0);
	count = strtoul(argv[4], NULL, 0);
	length = argc > 5 ? strtoul(argv[5], NULL, 0) : 80;
	first = argc > 6 ? strtoul(argv[6], NULL, 0) : 0;
	w.share = make_directory(w.dir, "share");
	w.out = make_directory(w.dir, "out");
	(void)printf("seed %lu, %lu sequences of %lu acts from number %lu on\n", seed, count,
		     length, first);
	for (unsigned long i = first; i < first + count; i++) {
		w.sequence = (unsigned)i;
		w.random = (seed + 1) * 0x9e3779b97f4a7c15ULL ^ (i + 1) * 0xbf58476d1ce4e5b9ULL;
		begin(&w);
		for (unsigned long k = 0; k < length; k++)
			one_act(&w);
		finish(&w);
		if (clock_ns() - said > 10000000000ULL) {
			said = clock_ns();
			(void)printf("    %lu sequences\n", i + 1 - first);
			(void)fflush(stdout);
		}
	}
	world_end(&w, WORLD_TERM);
	(void)printf("%lu sequences: %llu acts, %llu uses of handles (%llu stale, as they must), "
		     "%llu restarts, %llu times \"try again\"\n",
		     count, (unsigned long long)w.acts, (unsigned long long)w.checks,
		     (unsigned long long)w.stale, (unsigned long long)w.restarts,
		     (unsigned long long)w.retries);
	fedevice_close(&w.dev);
	return 0;
}
