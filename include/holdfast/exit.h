/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * holdfast/exit.h - exit codes of the holdfast program.
 */
#ifndef HOLDFAST_EXIT_H
#define HOLDFAST_EXIT_H

enum holdfast_exit {
	HOLDFAST_EXIT_OK = 0,
	HOLDFAST_EXIT_FAILURE = 1, /* anything that has no code of its own */
	HOLDFAST_EXIT_USAGE = 2,   /* options or arguments; directories that lie in each other */
	HOLDFAST_EXIT_SHARE = 3,   /* the shared directory cannot be served */
	HOLDFAST_EXIT_STATE =
		4, /* the state directory cannot be used (read-only, full, no permission), or
		    * which one is the share's cannot be told */
	HOLDFAST_EXIT_KEY =
		5, /* the key is lost, damaged, older than the last revoke, or open to others;
		    * root-generation is damaged or of another key; the key's source cannot be
		    * used; the key helper has ended */
	HOLDFAST_EXIT_MAP = 6,	      /* the map is damaged, or of another export than the key */
	HOLDFAST_EXIT_NEWER = 7,      /* key or map come from a newer version */
	HOLDFAST_EXIT_OTHER_ROOT = 8, /* the path is known, but another directory is there */
	HOLDFAST_EXIT_HANDLES = 9,    /* --inode-file-handles=mandatory, and there are none */
	HOLDFAST_EXIT_MOUNT = 10,     /* the mount or socket failed */
	HOLDFAST_EXIT_STALE = 11,     /* handle open, inspect: the handle opens nothing */
	HOLDFAST_EXIT_SANDBOX = 12,   /* the sandbox cannot be set up */
	HOLDFAST_EXIT_SECCOMP = 13,   /* --seccomp=trap: a system call that is not on the list */
};

#endif
