/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * state.c - opening the state of a share, its locks, and its run directory.
 *
 * Locks: an flock on the base while searching; an flock on the state directory while its record is read
 * and replaced; two byte-range locks of the open file description on `lock`: byte 0 shared by every process
 * that uses the state, byte 1 exclusive while a daemon opens key and ring or `revoke` changes them.
 * All are gone with the process. Order: base, record, byte 0, byte 1. Main thread.
 */
#include "admin/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "admin/dirs.h"
#include "admin/state_private.h"
#include "base/log.h"
#include "base/util.h"
#include "export/generation.h"
#include "export/map.h"
#include "holdfast/exit.h"

enum lock_byte { LOCK_BYTE_USE, LOCK_BYTE_START };

int state_fail(struct state_search *q, int exit_code, const char *fmt, ...)
{
	char text[2 * PATH_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_error("%s", text);
	q->exit_code = exit_code;
	return -1;
}

static int lock_byte(const struct state *s, enum lock_byte byte, short type, bool wait)
{
	struct flock lock = {
		.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1
	};

	while (fcntl(s->lock, wait ? F_OFD_SETLKW : F_OFD_SETLK, &lock)) {
		if (errno != EINTR)
			return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
	}
	return 0;
}

int state_lock_start(struct state *s)
{
	return lock_byte(s, LOCK_BYTE_START, F_WRLCK, true);
}

void state_unlock_start(struct state *s)
{
	(void)lock_byte(s, LOCK_BYTE_START, F_UNLCK, false);
}

int state_lock_alone(struct state *s)
{
	return lock_byte(s, LOCK_BYTE_USE, F_WRLCK, false);
}

int state_lock_shared(struct state *s)
{
	return lock_byte(s, LOCK_BYTE_USE, F_RDLCK, true);
}

/* Does another process use the state? Asked before we do. */
bool state_in_use(const struct state *s)
{
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_BYTE_USE, .l_len = 1
	};

	return fcntl(s->lock, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

int state_move_aside(struct state *s, const char *name, const char *suffix, long long now)
{
	char to[NAME_MAX + 1];

	(void)snprintf(to, sizeof(to), "%s.%s-%lld", name, suffix, now);
	if (renameat2(s->statedir, name, s->statedir, to, RENAME_NOREPLACE))
		return -errno;
	return 0;
}

enum state_shows state_record_shows(const struct state_search *q, const struct state_record *record)
{
	CLEANUP_FD int fd = -1;
	char root[ROOT_IDENTITY_HEX];
	struct stat there, here;

	fd = open(record->path, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || state_root_identity(fd, root) || !root[0] || strcmp(root, record->root) != 0)
		return STATE_SHOWS_NOT;
	if (fstat(fd, &there) || fstat(q->state->share, &here))
		return STATE_SHOWS_NOT;
	return there.st_dev == here.st_dev ? STATE_SHOWS_HERE : STATE_SHOWS_ELSEWHERE;
}

static int open_share(struct state_search *q)
{
	struct state *s = q->state;
	const char *path = q->request->share;
	int err;

	s->share = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->share < 0)
		return state_fail(q, HOLDFAST_EXIT_SHARE, "share: cannot open %s: %s", path,
				  strerror(errno));
	s->sharepath = dirs_path(s->share);
	if (!s->sharepath)
		return state_fail(q, HOLDFAST_EXIT_SHARE, "share: cannot find the path of %s: %s",
				  path, strerror(errno));
	err = state_root_identity(s->share, q->root);
	if (err)
		return state_fail(q, HOLDFAST_EXIT_SHARE, "share: cannot identify %s: %s", path,
				  strerror(-err));
	return 0;
}

const char *state_record_error(int err)
{
	switch (err) {
	case -EPROTO:
		return "it is of a newer version of holdfast";
	case -EBADMSG:
		return "it is damaged";
	default:
		return dirs_error(err);
	}
}

int state_record_exit(int err)
{
	return err == -EPROTO ? HOLDFAST_EXIT_NEWER : HOLDFAST_EXIT_STATE;
}

int state_record_begin(struct state_search *q, const char id[STATE_ID_DIGITS + 1])
{
	struct state *s = q->state;
	int err;

	memset(&s->record, 0, sizeof(s->record));
	memcpy(s->record.id, id, STATE_ID_DIGITS + 1);
	memcpy(s->record.root, q->root, sizeof(q->root));
	(void)snprintf(s->record.path, sizeof(s->record.path), "%s", s->sharepath);
	err = state_record_write(s->statedir, &s->record);
	if (err)
		return state_fail(q, HOLDFAST_EXIT_STATE, "state: cannot write %s for %s: %s",
				  STATE_EXPORT_FILE, s->sharepath, strerror(-err));
	return 0;
}

/* --state-dir: opened or made. What is in there is looked at in load_record. */
static int open_given(struct state_search *q)
{
	struct state *s = q->state;
	unsigned make = q->request->mode == STATE_CREATE ? 1 : 0;
	int err = dirs_open(q->request->statedir, make, s->share, &s->statedir);

	if (!err)
		err = dirs_check_private(s->statedir);
	if (err)
		return state_fail(q, err == -EXDEV ? HOLDFAST_EXIT_USAGE : HOLDFAST_EXIT_STATE,
				  "state: cannot use %s: %s", q->request->statedir,
				  dirs_error(err));
	return 0;
}

/* State and share must not lie in each other: guests would be served the key, or write the map. */
static int check_apart(struct state_search *q)
{
	struct state *s = q->state;
	int below, above;

	if (s->share < 0)
		return 0;
	below = dirs_inside(s->statedir, s->share);
	above = dirs_inside(s->share, s->statedir);
	if (below < 0 || above < 0)
		return state_fail(q, HOLDFAST_EXIT_STATE, "state: cannot compare %s with %s: %s",
				  s->statepath, s->sharepath,
				  strerror(below < 0 ? -below : -above));
	if (below || above)
		return state_fail(q, HOLDFAST_EXIT_USAGE,
				  "state: the state directory %s and the shared directory %s must "
				  "not lie in each "
				  "other; give another --state-dir",
				  s->statepath, s->sharepath);
	return 0;
}

const char *state_remains(int dirfd)
{
	static const char *const files[] = { STATE_KEY_FILE, MAP_FILE, GENERATION_FILE };

	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		if (faccessat(dirfd, files[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return files[i];
	return NULL;
}

/* What any directory may have, or a first start has left that found no room for its record. */
static bool is_no_matter(const char *name)
{
	static const char *const names[] = { ".", "..", "lost+found", STATE_LOCK_FILE,
					     STATE_TEMP_FILE };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* Is there nothing in the directory, or what is left of a state, so that it may become (or be again) a state directory? */
static bool may_begin(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *d;
	bool other = false;

	if (!dir) {
		fd_close(fd);
		return false;
	}
	while ((d = readdir(dir)))
		other |= !is_no_matter(d->d_name);
	(void)closedir(dir);
	return !other || state_remains(dirfd);
}

static int open_lock(struct state_search *q)
{
	struct state *s = q->state;

	s->lock = openat(s->statedir, STATE_LOCK_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
			 0600);
	if (s->lock < 0)
		return state_fail(q, HOLDFAST_EXIT_STATE, "state: cannot open %s/%s: %s",
				  s->statepath, STATE_LOCK_FILE, strerror(errno));
	return 0;
}

/* A directory given by --state-dir that has no record. */
static int begin_given(struct state_search *q)
{
	struct state *s = q->state;
	char id[STATE_ID_DIGITS + 1];
	int err;

	if (q->request->mode != STATE_CREATE)
		return state_fail(q, HOLDFAST_EXIT_STATE,
				  "state: %s is no state directory: it has no file `%s`",
				  s->statepath, STATE_EXPORT_FILE);
	if (!may_begin(s->statedir))
		return state_fail(q, HOLDFAST_EXIT_STATE,
				  "state: %s holds other files; give an empty or new directory",
				  s->statepath);
	/* A new record names another run directory than the one that is in use. */
	if (open_lock(q))
		return -1;
	if (state_in_use(s))
		return state_fail(q, HOLDFAST_EXIT_STATE,
				  "state: %s is in use, and has lost its file `%s`; stop the "
				  "daemons before it is made again",
				  s->statepath, STATE_EXPORT_FILE);
	err = state_new_id(id);
	if (err)
		return state_fail(q, HOLDFAST_EXIT_FAILURE, "state: no random numbers: %s",
				  strerror(-err));
	if (state_record_begin(q, id))
		return -1;
	s->created = true;
	return 0;
}

/* The record of a directory given by --state-dir against the share: may they belong together? */
static int check_given(struct state_search *q)
{
	const struct state *s = q->state;
	const struct state_record *r = &s->record;

	if (s->share < 0 || q->request->mode == STATE_ADOPT)
		return 0;
	if (strcmp(r->root, q->root) != 0) {
		if (strcmp(r->path, s->sharepath) == 0)
			return state_fail(
				q, HOLDFAST_EXIT_OTHER_ROOT,
				"%s is known, but another directory is there now: is its disk not "
				"mounted? If this is right: holdfast adopt --shared-dir=%s "
				"--state-dir=%s",
				s->sharepath, s->sharepath, s->statepath);
		return state_fail(
			q, HOLDFAST_EXIT_OTHER_ROOT,
			"state: %s belongs to %s, which is another directory than %s; if it is to "
			"serve this one: holdfast adopt --shared-dir=%s --state-dir=%s",
			s->statepath, r->path, s->sharepath, s->sharepath, s->statepath);
	}
	if (strcmp(r->path, s->sharepath) == 0)
		return 0;
	if (!q->root[0])
		return state_fail(q, HOLDFAST_EXIT_OTHER_ROOT,
				  "state: %s belongs to %s, and nothing but the path tells it from "
				  "%s; if it is to "
				  "serve this one: holdfast adopt --shared-dir=%s --state-dir=%s",
				  s->statepath, r->path, s->sharepath, s->sharepath, s->statepath);
	if (state_record_shows(q, r) == STATE_SHOWS_ELSEWHERE)
		return state_fail(q, HOLDFAST_EXIT_OTHER_ROOT,
				  "state: %s belongs to %s, and %s is on a copy of its file "
				  "system; give it a state "
				  "directory of its own",
				  s->statepath, r->path, s->sharepath);
	return 0;
}

/* Reads the record, begins one where that is right, and brings root and path up to date. */
static int load_record(struct state_search *q, bool *changed)
{
	struct state *s = q->state;
	struct state_record *r = &s->record;
	int err = state_record_read(s->statedir, r);

	if (err == -ENOENT && q->request->statedir)
		return begin_given(q);
	if (err)
		return state_fail(q, state_record_exit(err), "state: cannot use %s/%s: %s",
				  s->statepath, STATE_EXPORT_FILE, state_record_error(err));
	if (q->request->statedir && check_given(q))
		return -1;
	if (s->share < 0)
		return 0;

	if (strcmp(r->root, q->root) != 0 || (q->request->mode == STATE_ADOPT && !q->root[0] &&
					      strcmp(r->path, s->sharepath) != 0)) {
		s->adopted = true;
		memcpy(r->root, q->root, sizeof(r->root));
		(void)snprintf(r->path, sizeof(r->path), "%s", s->sharepath);
		*changed = true;
	} else if (strcmp(r->path, s->sharepath) != 0 &&
		   state_record_shows(q, r) == STATE_SHOWS_NOT) {
		log_info("state: the share has moved from %s to %s", r->path, s->sharepath);
		(void)snprintf(r->path, sizeof(r->path), "%s", s->sharepath);
		*changed = true;
	}
	return 0;
}

/* Opens the state directory, however it is found, and everything about it but the run directory. */
static int open_state(struct state_search *q, bool *changed)
{
	struct state *s = q->state;

	if (q->request->share && open_share(q))
		return -1;
	if (q->request->statedir ? open_given(q) : state_search_base(q))
		return -1;
	s->statepath = dirs_path(s->statedir);
	if (!s->statepath)
		return state_fail(q, HOLDFAST_EXIT_STATE, "state: cannot find its path: %s",
				  strerror(errno));
	if (dirs_check_private(s->statedir))
		return state_fail(q, HOLDFAST_EXIT_STATE, "state: cannot use %s: %s", s->statepath,
				  dirs_error(EKEYREJECTED));
	if (check_apart(q))
		return -1;
	if (flock(s->statedir, LOCK_EX))
		return state_fail(q, HOLDFAST_EXIT_STATE, "state: cannot lock %s: %s", s->statepath,
				  strerror(errno));
	if (load_record(q, changed))
		return -1;
	return s->lock < 0 ? open_lock(q) : 0;
}

/* The run directory, the changed record on disk, and our mark that the state is in use. */
static int take_into_use(struct state_search *q, bool changed)
{
	struct state *s = q->state;
	bool in_use = state_in_use(s);
	int err;

	if (s->adopted && in_use)
		return state_fail(
			q, HOLDFAST_EXIT_STATE,
			"state: %s is in use; stop the daemons before another root is adopted",
			s->statepath);
	if (state_run_open(q, in_use, &changed))
		return -1;
	err = changed ? state_record_write(s->statedir, &s->record) : 0;
	if (err)
		return state_fail(q, HOLDFAST_EXIT_STATE, "state: cannot write %s/%s: %s",
				  s->statepath, STATE_EXPORT_FILE, strerror(-err));
	err = state_lock_shared(s);
	if (err)
		return state_fail(q, HOLDFAST_EXIT_STATE, "state: cannot lock %s/%s: %s",
				  s->statepath, STATE_LOCK_FILE, strerror(-err));
	(void)flock(s->statedir, LOCK_UN);
	return 0;
}

int state_find(const struct state_request *request, struct state **out, int *exit_code)
{
	struct state_search q = { .request = request, .exit_code = HOLDFAST_EXIT_FAILURE };
	bool changed = false;
	int err;

	*out = NULL;
	q.state = calloc(1, sizeof(*q.state));
	if (!q.state) {
		*exit_code = HOLDFAST_EXIT_FAILURE;
		log_error("state: %s", strerror(ENOMEM));
		return -1;
	}
	q.state->share = q.state->statedir = q.state->rundir = q.state->lock = -1;

	if (request->mode == STATE_NONE) {
		err = open_share(&q);
	} else {
		err = open_state(&q, &changed);
		if (!err)
			err = take_into_use(&q, changed);
	}
	if (err) {
		*exit_code = q.exit_code;
		state_free(q.state);
		return -1;
	}
	*out = q.state;
	return 0;
}

void state_free(struct state *s)
{
	if (!s)
		return;
	fd_close(s->share);
	fd_close(s->statedir);
	fd_close(s->rundir);
	fd_close(s->lock);
	keysource_close(&s->key);
	free(s->sharepath);
	free(s->statepath);
	free(s->runpath);
	free(s);
}

/* The directory in which the one at the absolute `path` lies: a descriptor or -errno. */
static int open_parent(const char *path)
{
	char *up = strdup(path);
	char *slash = up ? strrchr(up, '/') : NULL;
	int fd = -EINVAL;

	if (slash) {
		slash[slash == up] = '\0';
		fd = open(up, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			fd = -errno;
	}
	free(up);
	return fd;
}

/* 1 if `mount` and `other` lie in each other, 0, or -errno. */
static int overlap(int mount, const char *path, int other)
{
	CLEANUP_FD int parent = -1;
	struct stat st;

	if (fstat(mount, &st) == 0) {
		int below = dirs_inside(mount, other);

		return below ? below : dirs_inside(other, mount);
	}
	if (errno != ENOTCONN)
		return -errno;
	/* A mount whose daemon was killed: nothing can lie in it, and it lies where its parent does. */
	parent = open_parent(path);
	return parent < 0 ? parent : dirs_inside(parent, other);
}

int state_check_mount(const struct state *s, int mount, const char *path)
{
	const struct {
		int dir;
		const char *what, *path;
	} others[] = {
		{ s->share, "shared", s->sharepath },
		{ s->statedir, "state", s->statepath },
	};

	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		int found = others[i].dir < 0 ? 0 : overlap(mount, path, others[i].dir);

		if (found > 0)
			log_error("mount: the mount point %s and the %s directory %s must not lie "
				  "in each other",
				  path, others[i].what, others[i].path);
		if (found < 0)
			log_error("mount: cannot compare %s with %s: %s", path, others[i].path,
				  strerror(-found));
		if (found)
			return -1;
	}
	return 0;
}
