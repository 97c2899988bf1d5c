/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * keysource.h - where the key of an export comes from.
 *
 * What a source holds is the bytes of a key file (keyring.c), which are authenticated as a whole. The file in the
 * state directory and one elsewhere are read again after a revoke or a rotation; a descriptor, a credential and
 * the kernel's keyring are read once, and the key is kept. Where it is not the state directory's own, the root
 * generation may be raised by a file there (generation.h).
 */
#ifndef HOLDFAST_EXPORT_KEYSOURCE_H
#define HOLDFAST_EXPORT_KEYSOURCE_H

#include "export/keyring.h"

#define KEY_FILE "key"

enum keysource_kind {
	KEYSOURCE_STATE,      /* KEY_FILE in the state directory */
	KEYSOURCE_FILE,	      /* --key-file=PATH */
	KEYSOURCE_FD,	      /* --key-fd=N */
	KEYSOURCE_CREDENTIAL, /* --key-credential=NAME, of systemd */
	KEYSOURCE_KEYRING,    /* --key-keyring=DESCRIPTION, of the kernel */
};

/* Zeroed, it is KEYSOURCE_STATE. */
struct keysource {
	enum keysource_kind kind;
	char *shown; /* the option as it was given, for messages; NULL: KEYSOURCE_STATE */
	char *name;  /* of the file in `dir`, of the credential; the description */
	int dir;     /* KEYSOURCE_FILE, _CREDENTIAL: the directory, else -1 or, zeroed, unused */
	bool apart;  /* `dir` is a mount of its own, from which there is no way up */
	int fd;	     /* KEYSOURCE_FD, until it was read */
	struct keyring *kept; /* of what is read once */
};

/*
 * Opens what has to be reached by path. `value` is what the option says. 0, or -errno after one line in the log.
 */
int keysource_open(struct keysource *s, enum keysource_kind kind, const char *value);
void keysource_close(struct keysource *s);

/* "state directory", "--key-file", ...: for status. Never the value. */
const char *keysource_name(const struct keysource *s);

/* Is it read anew at each keysource_load()? Can it be written by keysource_store()? */
bool keysource_is_file(const struct keysource *s);

/* A directory that stays open and leads to all of the host's files by "..", for a sandbox to set apart; or -1. */
int keysource_way_up(const struct keysource *s);

/*
 * The key as it is now, its root generation by the file in `statedir` if that says more; for the caller to free.
 * What keyring_load() gives; -EUCLEAN: GENERATION_FILE is damaged; -ENOKEY: the kernel has no such key;
 * -EOPNOTSUPP: it has one that no program may read.
 */
int keysource_load(struct keysource *s, int statedir, struct keyring **out);

/* The same with the root generation as the source itself has it. */
int keysource_read(struct keysource *s, int statedir, struct keyring **out);

/* Replaces the key file after a rotation. -EROFS: not a file. */
int keysource_store(const struct keysource *s, int statedir, const struct keyring *k);

/* What keysource_load() has failed with, in one line of the log. The exit code that is due (holdfast/exit.h). */
int keysource_failed(const struct keysource *s, const char *statepath, int error);

#endif
