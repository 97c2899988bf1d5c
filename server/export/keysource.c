/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * keysource.c - finds the bytes of a key file, wherever the administrator has put them.
 *
 * Used by the main thread when an export is opened, and by whichever thread takes a revoke or a rotation over, under
 * the export's locks. Bytes of keys are in secret memory from the first read on.
 */
#include "export/keysource.h"

#include <errno.h>
#include <fcntl.h>
#include <keyutils.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/secret.h"
#include "base/util.h"
#include "export/generation.h"
#include "holdfast/exit.h"

/* --- opening -------------------------------------------------------------------------------------- */

static int complain(const struct keysource *s, int error, const char *hint)
{
	log_error("key: cannot use %s: %s%s", s->shown, strerror(-error), hint);
	return error;
}

/*
 * A directory from which there is no way up, where we may make one: a device keeps it in its sandbox. Who may not (a user
 * without a user namespace yet) has the directory itself.
 */
static int open_directory(const char *path, bool *apart)
{
	int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd >= 0 && tree_forbid_devices(fd)) {
		fd_close(fd);
		return -1;
	}
	*apart = fd >= 0;
	return fd >= 0 ? fd : open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static int open_file(struct keysource *s, const char *path)
{
	const char *slash = strrchr(path, '/');
	CLEANUP_FREE char *dir = path_directory(path);

	s->name = strdup(slash ? slash + 1 : path);
	if (!dir || !s->name)
		return -ENOMEM;
	if (!s->name[0])
		return complain(s, -EISDIR, "");
	s->dir = open_directory(dir, &s->apart);
	return s->dir < 0 ? complain(s, errno_neg(), "; its directory cannot be opened") : 0;
}

static int open_credential(struct keysource *s, const char *name)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");

	s->name = strdup(name);
	if (!s->name)
		return -ENOMEM;
	if (!dir || dir[0] != '/') {
		log_error("key: %s: systemd has passed no credentials ($CREDENTIALS_DIRECTORY is "
			  "not set); put LoadCredentialEncrypted=%s:FILE into the unit",
			  s->shown, name);
		return -ENOENT;
	}
	s->dir = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return s->dir < 0 ? complain(s, errno_neg(), "; $CREDENTIALS_DIRECTORY cannot be opened")
			  : 0;
}

static int open_fd(struct keysource *s, const char *number)
{
	s->fd = atoi(number);
	if (fcntl(s->fd, F_SETFD, FD_CLOEXEC) == 0)
		return 0;
	s->fd = -1;
	return complain(s, errno_neg(), "; it is not open");
}

const char *keysource_name(const struct keysource *s)
{
	static const char *const names[] = {
		[KEYSOURCE_STATE] = "state directory", [KEYSOURCE_FILE] = "--key-file",
		[KEYSOURCE_FD] = "--key-fd",	       [KEYSOURCE_CREDENTIAL] = "--key-credential",
		[KEYSOURCE_KEYRING] = "--key-keyring",
	};

	return names[s->kind];
}

int keysource_open(struct keysource *s, enum keysource_kind kind, const char *value)
{
	*s = (struct keysource){ .kind = kind, .dir = -1, .fd = -1 };
	if (kind == KEYSOURCE_STATE)
		return 0;
	if (asprintf(&s->shown, "%s=%s", keysource_name(s), value) < 0) {
		s->shown = NULL;
		return -ENOMEM;
	}
	switch (kind) {
	case KEYSOURCE_FILE:
		return open_file(s, value);
	case KEYSOURCE_CREDENTIAL:
		return open_credential(s, value);
	case KEYSOURCE_FD:
		return open_fd(s, value);
	default:
		s->name = strdup(value);
		return s->name ? 0 : -ENOMEM;
	}
}

void keysource_close(struct keysource *s)
{
	if (s->kind != KEYSOURCE_STATE) {
		fd_close(s->dir);
		fd_close(s->fd);
	}
	keyring_free(s->kept);
	free(s->shown);
	free(s->name);
	*s = (struct keysource){ .kind = s->kind, .dir = -1, .fd = -1 };
}

bool keysource_is_file(const struct keysource *s)
{
	return s->kind == KEYSOURCE_STATE || s->kind == KEYSOURCE_FILE;
}

int keysource_way_up(const struct keysource *s)
{
	return s->kind == KEYSOURCE_FILE && !s->apart ? s->dir : -1;
}

/* --- reading -------------------------------------------------------------------------------------- */

/* systemd lets a service's user in by an ACL, which shows as a group that may read; nobody else may. */
static int read_credential(const struct keysource *s, struct keyring **out)
{
	CLEANUP_FD int fd =
		openat(s->dir, s->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return errno_neg();
	if (!S_ISREG(st.st_mode))
		return -EBADMSG;
	if (st.st_mode & (S_IWGRP | S_IRWXO))
		return -EPERM;
	return keyring_read(fd, out);
}

static int read_kernel_key(key_serial_t key, struct keyring **out)
{
	const size_t room = KEYRING_FILE_MAX + 1;
	uint8_t *image = secret_alloc(room);
	long len;
	int ret = -ENOMEM;

	if (!image)
		return ret;
	len = keyctl_read(key, (char *)image, room);
	if (len < 0)
		ret = errno_neg();
	else /* what is longer than the room is said to be so, and was not read */
		ret = keyring_decode(image, (size_t)len < room ? (size_t)len : room, out);
	secret_free(image, room);
	return ret;
}

static int read_keyring(const struct keysource *s, struct keyring **out)
{
	static const key_serial_t rings[] = { KEY_SPEC_SESSION_KEYRING, KEY_SPEC_USER_KEYRING,
					      KEY_SPEC_USER_SESSION_KEYRING };

	for (size_t i = 0; i < ARRAY_LEN(rings); i++) {
		long key = keyctl_search(rings[i], "user", s->name, 0);

		if (key >= 0)
			return read_kernel_key((key_serial_t)key, out);
		if (errno == ENOSYS || errno == EPERM)
			return errno_neg();
	}
	for (size_t i = 0; i < ARRAY_LEN(rings); i++)
		if (keyctl_search(rings[i], "logon", s->name, 0) >= 0)
			return -EOPNOTSUPP;
	return -ENOKEY;
}

static int read_once(struct keysource *s)
{
	int ret;

	if (s->kind == KEYSOURCE_CREDENTIAL) {
		ret = read_credential(s, &s->kept);
		s->dir = fd_close(s->dir); /* a sandbox is no place for it */
		return ret;
	}
	if (s->kind == KEYSOURCE_KEYRING)
		return read_keyring(s, &s->kept);
	ret = keyring_read(s->fd, &s->kept);
	s->fd = fd_close(s->fd);
	return ret;
}

int keysource_read(struct keysource *s, int statedir, struct keyring **out)
{
	int ret = 0;

	*out = NULL;
	if (s->kind == KEYSOURCE_STATE)
		return keyring_load(statedir, KEY_FILE, out);
	if (s->kind == KEYSOURCE_FILE)
		return keyring_load(s->dir, s->name, out);
	if (!s->kept)
		ret = read_once(s);
	return ret ? ret : keyring_copy(s->kept, out);
}

int keysource_load(struct keysource *s, int statedir, struct keyring **out)
{
	int ret = keysource_read(s, statedir, out);

	if (!ret && s->kind != KEYSOURCE_STATE)
		ret = generation_apply(statedir, *out);
	if (ret) {
		keyring_free(*out);
		*out = NULL;
	}
	return ret;
}

int keysource_store(const struct keysource *s, int statedir, const struct keyring *k)
{
	if (s->kind == KEYSOURCE_STATE)
		return keyring_store(k, statedir, KEY_FILE, false);
	if (s->kind == KEYSOURCE_FILE)
		return keyring_store(k, s->dir, s->name, false);
	return -EROFS;
}

/* --- what went wrong ------------------------------------------------------------------------------ */

static void failed_elsewhere(const struct keysource *s, int error)
{
	switch (error) {
	case -ENOENT:
		log_error("key: %s: there is no such file%s", s->shown,
			  s->kind == KEYSOURCE_FILE
				  ? "; `holdfast make-key PATH` makes one, for a new export"
				  : " in $CREDENTIALS_DIRECTORY; see to LoadCredential= in the "
				    "unit");
		break;
	case -EPERM:
		log_error("key: %s can be read or written by others than its owner, or is not ours "
			  "to read; chmod 0600 it",
			  s->shown);
		break;
	case -EBADMSG:
		log_error("key: %s is not a key file, or is damaged; restore it from a backup",
			  s->shown);
		break;
	case -EPROTO:
		log_error("key: %s was made by a newer version of holdfast; use that", s->shown);
		break;
	case -ENOKEY:
		log_error("key: %s: no key of type user has this description in the session's or "
			  "the user's keyring; keyctl padd user DESCRIPTION @u <FILE",
			  s->shown);
		break;
	case -EOPNOTSUPP:
		log_error("key: %s: this key is of type logon, which the kernel shows to no "
			  "program; add it as type user",
			  s->shown);
		break;
	default:
		log_error("key: cannot read %s: %s", s->shown, strerror(-error));
	}
}

int keysource_failed(const struct keysource *s, const char *statepath, int error)
{
	if (error == -EUCLEAN)
		log_error("key: %s/" GENERATION_FILE " is damaged or of another key than %s; "
			  "restore it from a backup, or give a new --state-dir",
			  statepath, s->shown);
	else
		failed_elsewhere(s, error);
	return error == -EPROTO ? HOLDFAST_EXIT_NEWER : HOLDFAST_EXIT_KEY;
}
