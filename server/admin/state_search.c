/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * state_search.c - which of the state directories below the base is the share's.
 *
 * First by root identity, then by path. One search at a time: an flock on the base, so that two daemons
 * that start at once do not make two states. Main thread.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "admin/dirs.h"
#include "admin/state_private.h"
#include "base/log.h"
#include "base/util.h"
#include "holdfast/exit.h"

#define NAME_PART_MAX 40 /* bytes of the share's own name in the name of its state */

struct candidate {
	char *name;	     /* below the base */
	int error;	     /* its record cannot be read, so whose it is cannot be known: -errno */
	const char *remains; /* it has no record, but this file of a state */
	bool by_root, by_path;
	enum state_shows shows;
};

struct candidates {
	struct candidate *list;
	size_t count;
};

static void candidates_free(struct candidates *c)
{
	for (size_t i = 0; i < c->count; i++)
		free(c->list[i].name);
	free(c->list);
}

int state_new_id(char id[STATE_ID_DIGITS + 1])
{
	uint8_t bytes[STATE_ID_DIGITS / 2];

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return -EIO;
	hex_encode(bytes, sizeof(bytes), id);
	return 0;
}

/* The base directory's path, and how many of its components may be made. NULL with errno. */
static char *base_path(const struct state_request *request, unsigned *make)
{
	const char *xdg = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");
	char *path = NULL;
	int n;

	*make = 2;
	if (request->base)
		return strdup(request->base);
	if (geteuid() == 0)
		return strdup("/var/lib/holdfast");
	if (xdg && xdg[0] == '/') {
		n = asprintf(&path, "%s/holdfast", xdg);
		return n < 0 ? NULL : path;
	}
	if (!home || home[0] != '/') {
		const struct passwd *pw = getpwuid(geteuid());

		home = pw ? pw->pw_dir : NULL;
	}
	if (!home) {
		errno = ENOENT;
		return NULL;
	}
	*make = 3;
	n = asprintf(&path, "%s/.local/state/holdfast", home);
	return n < 0 ? NULL : path;
}

/* What a record has in common with the share. */
static struct candidate compare(const struct state_search *q, const struct state_record *record)
{
	struct candidate c = { .shows = STATE_SHOWS_NOT };

	c.by_root = q->root[0] && strcmp(record->root, q->root) == 0;
	c.by_path = strcmp(record->path, q->state->sharepath) == 0;
	/* Without a root on both sides the path is all there is. */
	if (c.by_path && !q->root[0] && !record->root[0])
		c.by_root = true;
	if (c.by_root)
		c.shows = state_record_shows(q, record);
	return c;
}

/*
 * The record of the directory `name` of the base. What can never be a state directory has none: -ENOENT. One that has lost it
 * has *remains besides.
 */
static int read_record(int base, const char *name, struct state_record *record,
		       const char **remains)
{
	CLEANUP_FD int fd = openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int err;

	if (fd < 0)
		return errno == ENOTDIR || strcmp(name, "lost+found") == 0 ? -ENOENT : errno_neg();
	err = state_record_read(fd, record);
	if (err == -ENOENT)
		*remains = state_remains(fd);
	return err;
}

/* Adds the directory `name` of the base if its record has the share's root or path, or cannot be read. 0 or -errno. */
static int consider(struct state_search *q, int base, const char *name, struct candidates *all)
{
	struct state_record record = { 0 };
	struct candidate c = { 0 };
	struct candidate *grown;
	const char *remains = NULL;
	int err = read_record(base, name, &record, &remains);

	if (err == -ENOENT && !remains)
		return 0; /* a start that was killed before it wrote one */
	if (!err)
		c = compare(q, &record);
	c.error = err;
	c.remains = remains;
	if (!c.error && !c.by_root && !c.by_path)
		return 0;

	grown = realloc(all->list, (all->count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	all->list = grown;
	c.name = strdup(name);
	if (!c.name)
		return -ENOMEM;
	grown[all->count++] = c;
	return 0;
}

static int collect(struct state_search *q, int base, struct candidates *all)
{
	int fd = openat(base, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct dirent *d;
	DIR *dir;
	int err = 0;

	dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir) {
		err = -errno;
		fd_close(fd);
		return err;
	}
	while (!err) {
		errno = 0;
		d = readdir(dir);
		if (!d) {
			err = -errno; /* 0 at the end */
			break;
		}
		if (d->d_name[0] != '.')
			err = consider(q, base, d->d_name, all);
	}
	(void)closedir(dir);
	return err;
}

/*
 * The candidate that is the share's, or NULL: none is, or *rival says that two claim it. In this order:
 * root and path agree; the recorded path shows this very directory (bind mount); the recorded path shows
 * the root no more (moved). One whose path shows the root on another file system at this moment belongs
 * to that: this one is a clone of it, or it is of this.
 */
static const struct candidate *choose(const struct candidates *all, const struct candidate **rival)
{
	for (int rank = 0; rank < 3; rank++) {
		const struct candidate *found = NULL;

		for (size_t i = 0; i < all->count; i++) {
			const struct candidate *c = &all->list[i];
			int has = c->by_path			 ? 0
				  : c->shows == STATE_SHOWS_HERE ? 1
				  : c->shows == STATE_SHOWS_NOT	 ? 2
								 : -1;

			if (!c->by_root || has != rank)
				continue;
			if (found) {
				*rival = c;
				return found;
			}
			found = c;
		}
		if (found)
			return found;
	}
	return NULL;
}

/* A readable name out of the share's path and the id; never hidden, never with odd bytes. */
static void state_name(const char *sharepath, const char *id, char out[NAME_MAX + 1])
{
	const char *last = strrchr(sharepath, '/');
	size_t len = 0;

	for (const char *p = last ? last + 1 : sharepath; *p && len < NAME_PART_MAX; p++) {
		bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
			     (*p >= '0' && *p <= '9') || *p == '-' || (*p == '.' && len);

		out[len++] = (char)(plain ? *p : '_');
	}
	(void)snprintf(out + len, NAME_MAX + 1 - len, "%s-%.8s", len ? "" : "root", id);
}

static int create(struct state_search *q, int base, const char *basepath)
{
	struct state *s = q->state;
	char id[STATE_ID_DIGITS + 1];
	char name[NAME_MAX + 1];
	int err = state_new_id(id);

	if (err)
		return state_fail(q, HOLDFAST_EXIT_FAILURE, "state: no random numbers: %s",
				  strerror(-err));
	state_name(s->sharepath, id, name);
	if (mkdirat(base, name, 0700))
		return state_fail(q, HOLDFAST_EXIT_STATE, "state: cannot make %s/%s: %s", basepath,
				  name, strerror(errno));
	s->statedir = openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (s->statedir < 0)
		return state_fail(q, HOLDFAST_EXIT_STATE, "state: cannot open %s/%s: %s", basepath,
				  name, strerror(errno));
	if (state_record_begin(q, id)) {
		(void)unlinkat(base, name, AT_REMOVEDIR);
		return -1;
	}
	s->created = true;
	return 0;
}

/*
 * No candidate is the share's: a new state, or a refusal. Where a record cannot be read its state may be the share's, and
 * a new one would have another key: every handle that was given out would be stale.
 */
static int none_found(struct state_search *q, int base, const char *basepath,
		      const struct candidates *all)
{
	const char *share = q->state->sharepath;

	for (size_t i = 0; i < all->count; i++) {
		const struct candidate *c = &all->list[i];

		if (c->remains)
			return state_fail(
				q, HOLDFAST_EXIT_STATE,
				"state: %s/%s has a file `%s` but no `%s`, and may be that of %s: "
				"if it is, serve with --state-dir=%s/%s, which writes it again; "
				"if not, move it away",
				basepath, c->name, c->remains, STATE_EXPORT_FILE, share, basepath,
				c->name);
		if (c->error)
			return state_fail(
				q, state_record_exit(c->error),
				"state: cannot read %s/%s/%s, which may be that of %s: %s; see to "
				"it, or give the share's state (a new directory, if it has none) "
				"by --state-dir",
				basepath, c->name, STATE_EXPORT_FILE, share,
				state_record_error(c->error));
	}
	if (q->request->mode == STATE_CREATE)
		return create(q, base, basepath);
	return state_fail(q, HOLDFAST_EXIT_STATE,
			  "state: %s is not known below %s: it was never served, or "
			  "--state-dir is due",
			  share, basepath);
}

/* What was found among the candidates becomes an open state directory, a new one, or a refusal. */
static int settle(struct state_search *q, int base, const char *basepath,
		  const struct candidates *all)
{
	struct state *s = q->state;
	const struct candidate *rival = NULL, *known = NULL;
	const struct candidate *found = choose(all, &rival);

	if (found && rival)
		return state_fail(q, HOLDFAST_EXIT_STATE,
				  "state: both %s/%s and %s/%s claim %s; say which by --state-dir",
				  basepath, found->name, basepath, rival->name, s->sharepath);
	for (size_t i = 0; !found && i < all->count; i++)
		if (all->list[i].by_path && !all->list[i].by_root)
			known = &all->list[i];
	if (known && q->request->mode != STATE_ADOPT)
		return state_fail(q, HOLDFAST_EXIT_OTHER_ROOT,
				  "%s is known, but another directory is there now: is its disk "
				  "not mounted? If "
				  "this is right: holdfast adopt --shared-dir=%s (state: %s/%s)",
				  s->sharepath, s->sharepath, basepath, known->name);
	if (!found)
		found = known;
	if (!found)
		return none_found(q, base, basepath, all);
	for (size_t i = 0; i < all->count; i++)
		if (all->list[i].error)
			log_warn("state: %s/%s/%s is left out: %s", basepath, all->list[i].name,
				 STATE_EXPORT_FILE, state_record_error(all->list[i].error));
	s->statedir = openat(base, found->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (s->statedir < 0)
		return state_fail(q, HOLDFAST_EXIT_STATE, "state: cannot open %s/%s: %s", basepath,
				  found->name, strerror(errno));
	return 0;
}

/* Opens the base at `path`, or makes it, but never inside the share. 0 or -1. */
static int open_base(struct state_search *q, const char *path, unsigned make, int *base)
{
	bool create = q->request->mode == STATE_CREATE;
	int err = dirs_open(path, create ? make : 0, q->state->share, base);

	if (err == -ENOENT && !create)
		return state_fail(
			q, HOLDFAST_EXIT_STATE,
			"state: %s is not known (there is no %s): it was never served, or "
			"--state-dir is due",
			q->state->sharepath, path);
	if (!err)
		err = dirs_check_private(*base);
	if (!err && dirs_inside(*base, q->state->share) == 1)
		err = -EXDEV; /* before anything is made in there */
	if (err)
		return state_fail(q, err == -EXDEV ? HOLDFAST_EXIT_USAGE : HOLDFAST_EXIT_STATE,
				  "state: cannot use %s: %s; give --state-dir", path,
				  dirs_error(err));
	if (flock(*base, LOCK_EX))
		return state_fail(q, HOLDFAST_EXIT_STATE, "state: cannot lock %s: %s", path,
				  strerror(errno));
	return 0;
}

int state_search_base(struct state_search *q)
{
	struct candidates all = { 0 };
	unsigned make = 0;
	int base = -1;
	char *path = base_path(q->request, &make);
	int err;

	if (!path)
		return state_fail(q, HOLDFAST_EXIT_STATE,
				  "state: no place for it: %s; give --state-dir", strerror(errno));
	err = open_base(q, path, make, &base);
	if (!err) {
		err = collect(q, base, &all);
		if (err)
			err = state_fail(q, HOLDFAST_EXIT_STATE, "state: cannot read %s: %s", path,
					 strerror(-err));
		else
			err = settle(q, base, path, &all);
	}
	candidates_free(&all);
	fd_close(base);
	free(path);
	return err;
}
